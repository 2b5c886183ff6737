import { expect } from 'chai';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Flow } from '../../src/flows/flow.js';
import { FlowHistory } from '../../src/flows/history.js';
import { parseQuery, type FlowQuery } from '../../src/flows/query.js';
import { UserError } from '../../src/errors.js';

const NOW = Date.parse('2026-12-01T12:00:00Z');
const HOUR = 3_600_000;

const flow = (at: number, port: number, verdict: Flow['verdict'] = 'allowed'): Flow => ({
  type: 'flow',
  node: 'n1',
  reporter: 'destination',
  from: { type: 'outside', address: '192.0.2.1' },
  to: { type: 'pod', namespace: 'shop', name: 'db-0', labels: 'L1' },
  family: 4,
  protocol: 'TCP',
  port,
  verdict,
  ingress: {
    allowed: verdict === 'allowed',
    decision: {
      type: 'tier-default',
      tier: 'default',
      policies: [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'db' }],
    },
    staged: [],
  },
  start: at,
  last: at + 10,
  begun: 1,
  ended: 0,
  sent: { packets: 1, bytes: 60 },
  answered: { packets: 0, bytes: 0 },
});

describe('flows: history', () => {
  let directory: string;
  let problems: string[];
  let history: FlowHistory;
  const open = (bytes = 100_000_000): FlowHistory =>
    FlowHistory.open({
      path: join(directory, 'flows.db'),
      days: 2,
      bytes,
      labels: (id) => (id === 'L1' ? { id, labels: { app: 'db' } } : undefined),
      onProblem: (sentence) => problems.push(sentence),
    });
  const ask = async (query: FlowQuery): Promise<readonly Flow[]> => {
    const found: Flow[] = [];
    for await (const part of history.query(parseQuery(query, NOW))) for (const one of part) found.push(one);
    return found;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-flows-'));
    problems = [];
    history = open();
  });
  afterEach(() => {
    history.close();
    rmSync(directory, { recursive: true });
  });

  it('gives back what it was given, by time and by what is asked for, after a restart too', async () => {
    const all = [flow(NOW - 3 * HOUR, 80), flow(NOW - 2 * HOUR, 81, 'denied'), flow(NOW - HOUR, 80)];
    history.append(all);
    expect(await ask({ since: '1d' })).to.deep.equal(all);
    expect(await ask({ since: '150m' })).to.deep.equal(all.slice(1));
    expect(await ask({ since: '1d', until: '150m' })).to.deep.equal(all.slice(0, 1));
    expect(await ask({ since: '1d', verdict: 'denied' })).to.deep.equal([all[1]]);
    expect(await ask({ since: '1d', port: '80/tcp', to: 'shop/db-0', from: '192.0.2.0/24' })).to.deep.equal([
      all[0],
      all[2],
    ]);
    expect(await ask({ since: '1d', policy: 'NetworkPolicy/shop/db' })).to.have.length(3);
    expect(await ask({ since: '1d', policy: 'web' })).to.deep.equal([]);
    expect(await ask({ since: '1d', limit: '1' })).to.deep.equal([all[2]]);
    history.close();
    history = open();
    expect(await ask({ since: '1d' })).to.deep.equal(all);
    expect(history.labels('L1')).to.deep.equal({ id: 'L1', labels: { app: 'db' } });
    expect(statSync(join(directory, 'flows.db')).mode & 0o777).to.equal(0o600);
    expect(problems).to.deep.equal([]);
  });

  it('gives the newest of many, in parts', async () => {
    const all = Array.from({ length: 9_000 }, (_, i) => flow(NOW - HOUR + i, 1 + (i % 7)));
    for (let at = 0; at < all.length; at += 3_000) history.append(all.slice(at, at + 3_000));
    const parts: number[] = [];
    for await (const part of history.query(parseQuery({ limit: '100000' }, NOW))) parts.push(part.length);
    expect(parts).to.deep.equal([2_000, 2_000, 2_000, 2_000, 1_000]);
    const some = await ask({ port: '3/TCP', limit: '700' });
    expect(some).to.deep.equal(all.filter(({ port }) => port === 3).slice(-700));
  });

  it('forgets by days', async () => {
    history.append([flow(NOW - 60 * HOUR, 80), flow(NOW - HOUR, 81)]);
    history.prune(NOW);
    expect((await ask({ since: '30d' })).map(({ port }) => port)).to.deep.equal([81]);
  });

  it('forgets the oldest when there is too much, and gives the disk back', async () => {
    history.close();
    history = open(1_000_000);
    for (let part = 0; part < 30; part++)
      history.append(
        Array.from({ length: 1_000 }, (_, i) => flow(NOW - HOUR + part * 1_000 + i, 1 + ((part * 1_000 + i) % 9_000))),
      );
    expect(history.size()).to.be.greaterThan(1_000_000);
    for (let turn = 0; turn < 20; turn++) history.prune(NOW);
    expect(history.size()).to.be.at.most(1_000_000);
    expect(statSync(join(directory, 'flows.db')).size).to.be.lessThan(2_000_000);
    const left = await ask({ since: '1d', limit: '100000' });
    expect(left.length).to.be.greaterThan(100);
    expect(left.at(-1)?.start).to.equal(NOW - HOUR + 29_999);
    expect(problems).to.deep.equal([]);
  });

  it('puts a file aside that is no history, and goes on', async () => {
    history.close();
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    writeFileSync(join(directory, 'flows.db'), 'no database, '.repeat(1_000));
    history = open();
    expect(problems.join()).to.include('begun anew');
    history.append([flow(NOW - HOUR, 80)]);
    expect(await ask({ since: '1d' })).to.have.length(1);
    expect(readdirSync(directory)).to.include('flows.db.unreadable');
  });
});

describe('flows: queries', () => {
  it('name what they cannot use', () => {
    for (const [query, said] of [
      [{ verdict: 'maybe' }, 'Cannot use --verdict "maybe": expected allowed or denied'],
      [{ since: 'yesterday' }, 'Cannot use --since "yesterday"'],
      [{ limit: '0' }, 'Cannot use --limit "0"'],
      [{ port: '70000' }, 'Cannot use --port "70000"'],
      [{ port: '80/' }, 'Cannot use --port "80/"'],
      [{ from: 'a/b/c' }, 'Cannot use --from "a/b/c"'],
      [{ to: '10.0.0.0/40' }, 'Cannot use --to "10.0.0.0/40"'],
      [{ policy: 'a//b' }, 'Cannot use --policy "a//b"'],
      [{ from: 'x'.repeat(2_000) }, 'Cannot use --from'],
    ] as const)
      expect(() => parseQuery(query, NOW), JSON.stringify(query)).to.throw(UserError, said);
  });

  it('find ends by namespace, owner, node and prefix of either family', () => {
    const subject = {
      ...flow(NOW, 80),
      from: { type: 'pod', namespace: 'shop', name: 'web-1', owner: { kind: 'Deployment', name: 'web' } },
      to: { type: 'node', name: 'n1', address: 'fd00::1' },
    } as const;
    const matches = (query: FlowQuery): boolean => parseQuery(query, NOW).matches(subject);
    for (const query of [
      { from: 'shop' },
      { from: 'shop/web' },
      { from: 'shop/web-1' },
      { to: 'node:n1' },
      { to: 'fd00::/16' },
      { to: 'fd00::1' },
      { with: 'shop' },
      { with: 'node:n1' },
    ])
      expect(matches(query), JSON.stringify(query)).to.equal(true);
    for (const query of [{ from: 'web' }, { from: 'shop/db' }, { to: 'node:n2' }, { to: '10.0.0.0/8' }, { with: 'x' }])
      expect(matches(query), JSON.stringify(query)).to.equal(false);
  });
});
