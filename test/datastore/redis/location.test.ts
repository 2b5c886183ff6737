import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../../src/errors.js';
import { parseRedisUrl } from '../../../src/datastore/redis/location.js';

describe('datastore: the URL of a Redis', () => {
  let directory: string;
  before(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-url-'))));
  after(() => rmSync(directory, { recursive: true }));

  it('names one server, those of Sentinel, and a cluster', () => {
    expect(parseRedisUrl('redis://db')).to.include({ form: 'single', database: 0, prefix: 'tortie', quorum: 0 });
    expect(parseRedisUrl('redis://[fd00::1]:7000/3').hosts).to.deep.equal([{ host: 'fd00::1', port: 7000 }]);
    expect(parseRedisUrl('redis://[fd00::1]:7000/3').database).to.equal(3);
    const sentinel = parseRedisUrl('redis-sentinel://a,b:1/main?wait=2');
    expect(sentinel).to.deep.include({
      form: 'sentinel',
      master: 'main',
      quorum: 2,
      hosts: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 1 },
      ],
    });
    expect(parseRedisUrl('rediss-cluster://a,b').tls).to.deep.equal({});
  });
  it('takes the user from the URL, and passwords from files alone', () => {
    const file = join(directory, 'password');
    writeFileSync(file, 'a:b/c \n');
    const location = parseRedisUrl(`redis://tor%3Atie@db?password-file=${file}`);
    expect([location.user, location.password]).to.deep.equal(['tor:tie', 'a:b/c ']);
    expect(location.display).to.equal('redis://db');
    const refusal = (): unknown => parseRedisUrl('redis://tortie:hunter2@db');
    expect(refusal).to.throw(UserError, 'password-file');
    expect(refusal).not.to.throw(/hunter2/);
    expect(() => parseRedisUrl('redis://db?password-file=/nonexistent')).to.throw(
      UserError,
      'Cannot read password-file',
    );
  });
  for (const [url, says] of [
    ['redis:db', 'expected redis://'],
    ['redis://a,b', 'one server has one host'],
    ['redis://a:0', 'port is "0"'],
    ['redis://', '"" is no host'],
    ['redis://a/x', 'database is "x"'],
    ['redis://a?pasword-file=x', '"pasword-file" is unknown; expected password-file'],
    ['redis://a?wait=1&wait=2', '"wait" is given twice'],
    ['redis://a?wait=-1', 'wait is "-1"'],
    ['redis://a?accept-loss=1', 'expected true or false'],
    ['redis://a?ca-file=/x', 'expected rediss'],
    ['redis://a?prefix={x}', 'prefix is "{x}"'],
    ['redis-sentinel://a', 'the name of the master'],
    ['redis-cluster://a/1', 'a cluster has no databases'],
  ] as const)
    it(`refuses ${url}`, () => expect(() => parseRedisUrl(url)).to.throw(UserError, says));
});
