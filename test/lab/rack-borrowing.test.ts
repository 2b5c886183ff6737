import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { IPAMBlock } from '../../src/api/ipam.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { createPod, deletePod, getPod, isReady, soon, useRack } from './rack-fixture.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

/** More pods on a node than its block has addresses, and no block left: on two real agents, with BGP and a router between them. */
describe('lab, borrowed addresses', function () {
  this.timeout(120_000);
  const rack = useRack('y', {
    topology: fileURLToPath(new URL('../../../test/lab/fixtures/two-blocks.yaml', import.meta.url)),
  });

  const blocks = async (): Promise<readonly IPAMBlock[]> =>
    (JSON.parse(await rack().kubectl(['get', 'ipamblocks', '-o', 'json'])) as { readonly items: IPAMBlock[] }).items;
  const loans = async () => (await blocks()).flatMap(({ spec }) => spec.loans ?? []);
  const answersFrom = (where: string, address: string): boolean =>
    spawnSync('ip', ['netns', 'exec', `tl-${rack().record.name}-${where}`, 'ping', '-c1', '-W1', address]).status === 0;
  const addressesOf = (name: string): Promise<readonly string[]> =>
    soon(`pod "${name}" to be ready`, async () => {
      const found = await getPod(rack(), name);
      return found !== undefined && isReady(found) && (found.status.podIPs ?? []).map(({ ip }) => ip);
    });
  const reachesAll = (addresses: readonly string[]): Promise<boolean> =>
    soon(`${addresses.join()} to answer everybody`, async () =>
      addresses.every((address) => ['outside', 'tor1', 'node1', 'node2'].every((where) => answersFrom(where, address))),
    );
  const tortie = (...argv: readonly string[]): { readonly stdout: string; readonly status: number | null } =>
    spawnSync(process.execPath, [CLI, ...argv], {
      encoding: 'utf8',
      env: { ...process.env, KUBECONFIG: labPaths(rack().record.name).kubeconfig },
    });
  let borrowed: readonly string[];

  it('reach everybody, also the node that owns their block, which has the rest of it', async () => {
    const seen: string[] = [];
    for (const [node, count] of [
      ['node2', 1],
      ['node1', 5],
    ] as const)
      for (let i = 0; i < count; i++) {
        await createPod(rack(), `${node}-${i}`, { spec: { nodeName: node } });
        seen.push(...(await addressesOf(`${node}-${i}`)));
      }
    borrowed = seen.slice(-2);
    expect(new Set(seen).size).to.equal(12);
    expect(await loans()).to.have.deep.members(borrowed.map((address) => ({ address, node: 'node1' })));
    await reachesAll(borrowed);
    await createPod(rack(), 'node2-1', { spec: { nodeName: 'node2' } });
    await reachesAll(await addressesOf('node2-1'));
    const routes = execFileSync('ip', ['netns', 'exec', `tl-${rack().record.name}-tor1`, 'ip', 'route'], {
      encoding: 'utf8',
    });
    expect(routes).to.match(new RegExp(`^${borrowed[0]?.replaceAll('.', '\\.')} via 10\\.\\S+ .*bird`, 'm'));
  });

  it('are shown, and nothing is found wrong with them', async () => {
    const shown = tortie('ipam', 'show', '--borrowed');
    expect(shown.stdout.split('\n')[0]).to.match(/^IP +BORROWING-NODE +BLOCK +BLOCK OWNER +ALLOCATED-TO$/);
    for (const address of borrowed) expect(shown.stdout).to.match(new RegExp(`^${address} +node1 .* node2 `, 'm'));
    const checked = tortie('ipam', 'check');
    expect(checked.stdout).to.equal('Every address is held by at most one pod, in a block of its node.\n');
    expect(checked.status).to.equal(0);
    const asked = tortie('ipam', 'show', '--ip', borrowed[0] ?? '');
    expect(asked.stdout).to.include('Pod "default/node1-4" has it, says node "node1".');
    expect(tortie('ipam', 'show', '--ip', '10.65.0.200').status).to.equal(1);
    const usage = JSON.parse(tortie('ipam', 'show', '--blocks', '-o', 'json').stdout) as { readonly inUse: number }[];
    expect(usage.map(({ inUse }) => inUse)).to.have.length(6);
  });

  it('stay where they are when both agents are killed', async () => {
    for (const node of ['node1', 'node2'])
      execFileSync(process.execPath, [CLI, ...['lab', 'kill', '--name', rack().record.name, node, 'agent']]);
    await createPod(rack(), 'node2-2', { spec: { nodeName: 'node2' } });
    expect(borrowed).not.to.include.members([...(await addressesOf('node2-2'))]);
    expect(await loans()).to.have.deep.members(borrowed.map((address) => ({ address, node: 'node1' })));
    await reachesAll(borrowed);
  });

  it('go back to their owner with their pod, and are no route any more', async () => {
    await deletePod(rack(), 'node1-4');
    await soon('the loans to end', async () => (await loans()).length === 0);
    await soon('the route to go', async () => {
      const routes = execFileSync('ip', ['netns', 'exec', `tl-${rack().record.name}-tor1`, 'ip', 'route'], {
        encoding: 'utf8',
      });
      return !routes.includes(`${borrowed[0] ?? ''} via`);
    });
  });
});
