/**
 * Processes that race for too few blocks on a real HTTP API server, and on a real Redis: each block gets one owner, every process an
 * address, none of them twice. One round of a few here; `TORTIE_RACE_ROUNDS=200 TORTIE_RACE_NODES=32 npx mocha
 * dist/test/agent/race.test.js` is the whole.
 */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ObjectStore } from '../../src/datastore/datastore.js';
import { STORES, type OpenedStore } from '../datastore/block-stores.js';

const NODES = Number(process.env['TORTIE_RACE_NODES'] ?? 8);
const ROUNDS = Number(process.env['TORTIE_RACE_ROUNDS'] ?? 1);
const PROCESS = fileURLToPath(new URL('./race-node.js', import.meta.url));

interface Outcome {
  readonly node: string;
  readonly got: readonly string[];
  readonly blocks: readonly string[];
}

for (const { name, open } of STORES.filter(({ name: each }) => ["the lab's API server", 'redis-server'].includes(each)))
  describe(`agent: processes that race for blocks on ${name}`, function () {
    this.timeout(120_000 + ROUNDS * 60_000);
    let opened: OpenedStore;
    let store: ObjectStore;
    let directory: string;
    let children: ChildProcess[];
    let lines: AsyncIterator<string>[];

    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'tortie-race-'));
      children = [];
      lines = [];
      opened = await open();
      if (opened.datastore === undefined) throw new Error('a store without objects');
      store = opened.datastore;
      for (let index = 0; index < NODES; index++)
        await store.create('nodes', { metadata: { name: `node${index}` } } as never);
      // Half as many blocks as nodes, of four addresses each.
      const spec = { cidr: `10.0.0.0/${31 - Math.log2(NODES)}`, blockSize: 30 };
      await store.create('ipPools', { metadata: { name: 'p' }, spec });
    });
    afterEach(async () => {
      for (const child of children) child.kill('SIGKILL');
      await opened?.close();
      rmSync(directory, { recursive: true });
    });

    /** The next line of each, in the order of the nodes. */
    const answers = (): Promise<readonly string[]> =>
      Promise.all(lines.map(async (each) => String((await each.next()).value)));
    const tell = (line: string): Promise<readonly string[]> => {
      for (const child of children) child.stdin?.write(`${line}\n`);
      return answers();
    };

    it(`gives ${NODES} processes ${NODES} addresses and ${NODES / 2} blocks one owner each`, async () => {
      for (let index = 0; index < NODES; index++) {
        const argv = [PROCESS, opened.url ?? '', `node${index}`, directory];
        const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
        children.push(child);
        lines.push(createInterface({ input: child.stdout })[Symbol.asyncIterator]());
      }
      expect(new Set(await answers())).to.deep.equal(new Set(['ready']));
      for (let round = 0; round < ROUNDS; round++) {
        const outcomes = (await tell('go')).map((line) => JSON.parse(line) as Outcome);
        const addresses = outcomes.flatMap(({ got }) => got);
        expect(new Set(addresses).size, `round ${round}: ${JSON.stringify(outcomes)}`).to.equal(NODES);
        expect(addresses).to.have.length(NODES);
        const owners = (await store.list('ipamBlocks')).map(({ spec }) => spec);
        expect(owners).to.have.length(NODES / 2);
        expect(new Set(owners.map(({ node }) => node)).size).to.equal(NODES / 2);
        for (const { node, blocks } of outcomes)
          expect(blocks).to.have.members(owners.filter((owner) => owner.node === node).map(({ cidr }) => cidr));
        await tell('stop');
        for (const { metadata } of await store.list('ipamBlocks')) await store.delete('ipamBlocks', metadata.name);
        expect(new Set(await tell('again'))).to.deep.equal(new Set(['ready']));
      }
    });
  });
