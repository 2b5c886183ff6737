import { expect } from 'chai';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseHealthAddress, renderHealth, serveHealth, type HealthCheck } from '../src/health.js';
import { UserError } from '../src/errors.js';

describe('health', () => {
  let server: Server | undefined;
  let checks: readonly HealthCheck[];
  let url: string;
  let port: number;
  beforeEach(async () => {
    checks = [{ name: 'start', problems: [] }];
    server = await serveHealth({ host: '127.0.0.1', port: 0 }, () => checks);
    ({ port } = server.address() as AddressInfo);
    url = `http://127.0.0.1:${port}`;
  });
  afterEach(() => {
    server?.close();
    server?.closeAllConnections();
  });

  it('is live as soon as it answers, whatever is wrong', async () => {
    checks = [{ name: 'start', problems: ['no API server'] }];
    expect((await fetch(`${url}/livez`)).status).to.equal(200);
  });

  it('is ready when every check is well, and says why not', async () => {
    const well = await fetch(`${url}/readyz`);
    expect([well.status, await well.text()]).to.deep.equal([200, '[+]start ok\nreadyz check passed\n']);
    checks = [...checks, { name: 'policy', problems: ['the kernel refuses "x"', 'and "y"'] }];
    const unwell = await fetch(`${url}/readyz?verbose`);
    expect([unwell.status, await unwell.text()]).to.deep.equal([
      503,
      '[+]start ok\n[-]policy failed: the kernel refuses "x"; and "y"\nreadyz check failed\n',
    ]);
  });

  it('answers nothing else', async () => {
    expect((await fetch(`${url}/metrics`)).status).to.equal(404);
    expect((await fetch(`${url}/livez`, { method: 'POST' })).status).to.equal(405);
  });

  it('shows no terminal commands, and of many reasons the first', () => {
    const problems = Array.from({ length: 300 }, (_, index) => `\u001b[2Jproblem ${index}`);
    const { text, isWell } = renderHealth([{ name: 'routes', problems }]);
    expect(isWell).to.equal(false);
    expect(text).to.not.contain('\u001b');
    expect(text).to.contain('and 290 more');
  });

  it('refuses a port that is taken, in a sentence', async () => {
    const failure: unknown = await serveHealth({ host: '127.0.0.1', port }, () => []).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(UserError);
    expect(String(failure)).to.contain(`Cannot listen on 127.0.0.1 port ${port}`);
  });

  for (const [text, host, port] of [
    ['127.0.0.1:9679', '127.0.0.1', 9679],
    ['[::1]:1', '::1', 1],
  ] as const)
    it(`reads ${text}`, () => expect(parseHealthAddress(text, '--health-address')).to.deep.equal({ host, port }));
  for (const text of ['', '9679', '127.0.0.1', '127.0.0.1:0', '127.0.0.1:65536', '::1:80', 'localhost:80'])
    it(`refuses "${text}"`, () =>
      expect(() => parseHealthAddress(text, '--health-address')).to.throw(UserError, '--health-address'));
});
