/**
 * Processes that race for too few blocks on a real HTTP API server: each block gets one owner, every process an address, none of them
 * twice. One round of a few here; `TORTIE_RACE_ROUNDS=200 TORTIE_RACE_NODES=32 npx mocha dist/test/agent/race.test.js` is the whole.
 */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { at, textAt } from '../../src/apiserver/json.js';
import { ApiClient } from '../apiserver/api-client.js';

const NODES = Number(process.env['TORTIE_RACE_NODES'] ?? 8);
const ROUNDS = Number(process.env['TORTIE_RACE_ROUNDS'] ?? 1);
const PROCESS = fileURLToPath(new URL('./race-node.js', import.meta.url));
const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));
const BLOCKS = '/apis/tortie.dev/v1alpha1/ipamblocks';

interface Outcome {
  readonly node: string;
  readonly got: readonly string[];
  readonly blocks: readonly string[];
}

describe('agent: processes that race for blocks', function () {
  this.timeout(120_000 + ROUNDS * 60_000);
  let api: ApiClient;
  let directory: string;
  let children: ChildProcess[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-race-'));
    children = [];
    api = await ApiClient.start({ crds: await loadManifests(CRDS) });
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'race',
      contexts: [{ name: 'race', context: { cluster: 'race', user: 'race' } }],
      clusters: [{ name: 'race', cluster: { server: api.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'race', user: {} }],
    };
    writeFileSync(join(directory, 'kubeconfig'), JSON.stringify(kubeconfig));
    for (let index = 0; index < NODES; index++) await api.post('/api/v1/nodes', { metadata: { name: `node${index}` } });
    // Half as many blocks as nodes, of four addresses each.
    const spec = { cidr: `10.0.0.0/${31 - Math.log2(NODES)}`, blockSize: 30 };
    const pool = { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name: 'p' }, spec };
    expect((await api.post('/apis/projectcalico.org/v3/ippools', pool)).code).to.equal(201);
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await api.close();
    rmSync(directory, { recursive: true });
  });

  async function race(round: number): Promise<readonly Outcome[]> {
    const lines = Array.from({ length: NODES }, (_, index) => {
      const argv = [PROCESS, join(directory, 'kubeconfig'), `node${index}`, mkdtempSync(join(directory, `r${round}-`))];
      const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
      children.push(child);
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    for (const { lines: each } of lines) expect((await each.next()).value).to.equal('ready');
    for (const { child } of lines) child.stdin.write('go\n');
    const outcomes = await Promise.all(
      lines.map(async ({ lines: each }) => JSON.parse(String((await each.next()).value)) as Outcome),
    );
    await Promise.all(
      lines.map(
        ({ child }) =>
          new Promise((resolve) => {
            child.once('exit', resolve);
            child.stdin.end();
          }),
      ),
    );
    children = [];
    return outcomes;
  }

  it(`gives ${NODES} processes ${NODES} addresses and ${NODES / 2} blocks one owner each`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const outcomes = await race(round);
      const addresses = outcomes.flatMap(({ got }) => got);
      expect(new Set(addresses).size, `round ${round}: ${JSON.stringify(outcomes)}`).to.equal(NODES);
      expect(addresses).to.have.length(NODES);
      const { body } = await api.get(BLOCKS);
      const items = body['items'];
      const owners = (Array.isArray(items) ? items : []).map((item) => [
        textAt(item, 'spec', 'cidr') ?? '',
        textAt(item, 'spec', 'node') ?? '',
        textAt(item, 'metadata', 'name') ?? '',
      ]);
      expect(owners).to.have.length(NODES / 2);
      expect(new Set(owners.map(([, node]) => node)).size).to.equal(NODES / 2);
      for (const { node, blocks } of outcomes)
        expect(blocks).to.have.members(owners.filter(([, owner]) => owner === node).map(([cidr]) => cidr));
      expect(at(body, 'metadata')).not.to.equal(undefined);
      for (const [, , name = ''] of owners) await api.delete(`${BLOCKS}/${name}`);
    }
  });
});
