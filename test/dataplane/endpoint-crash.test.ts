import { expect } from 'chai';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatAddress, parseAddress } from 'node-bgp/address';
import { hostInterfaceName } from '../../src/dataplane/endpoint-name.js';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import type { EndpointSpec } from '../../src/dataplane/endpoint-spec.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { ip, nameOf, ScratchNamespaces, until } from './scratch-namespaces.js';

/** Kills a process that connects and disconnects pods, at moments of chance, and lets a successor do the same. */
describe('endpoint plumbing, killed', () => {
  const namespaces = new ScratchNamespaces('tcrash');
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    namespaces.removeAll();
  });

  const ROUNDS = 12;
  const PODS = 4;

  it('leaves nothing that a successor cannot take over', async () => {
    const node = namespaces.create();
    const specs = Array.from(
      { length: PODS },
      (_, i): EndpointSpec => ({
        containerId: `c${i}`,
        podInterface: 'eth0',
        hostInterface: hostInterfaceName('shop', `web-${i}`),
        netns: namespaces.create(),
        addresses: [parseAddress(`10.65.0.${i + 1}`), parseAddress(`fd00:65::${i + 1}`)],
      }),
    );
    for (let round = 0; round < ROUNDS; round++) {
      await churnAndKill(node, specs, round);
      // Whatever carries one of our names must carry our mark, or no successor would touch it.
      for (const line of ip(node, '-o', 'link')
        .split('\n')
        .filter((text) => /: tort/.test(text)))
        expect(line).to.include('alias tortie:');
      await takeOver(node, specs);
    }
    await until('all interfaces to go', () => !/: tort/.test(ip(node, '-o', 'link')));
    for (const spec of specs) expect(ip(spec.netns, '-br', 'link')).not.to.include('eth0');
    expect(ip(node, 'route', 'show', 'proto', '171') + ip(node, '-6', 'route', 'show', 'proto', '171')).to.equal('');
  }).timeout(60_000);

  /** Connects and removes all, in the test's own process. */
  async function takeOver(node: string, specs: readonly EndpointSpec[]): Promise<void> {
    const failures: Error[] = [];
    const plumbing = inNamespace(node, () => new EndpointPlumbing((error) => failures.push(error)));
    for (const spec of specs) {
      inNamespace(node, () => plumbing.add(spec));
      expect(inNamespace(node, () => plumbing.check(spec))).to.deep.equal([]);
      expect(plumbing.remove(spec)).to.equal(true);
    }
    await plumbing.drain();
    await plumbing.close();
    expect(failures).to.deep.equal([]);
  }

  /** Runs churn.js until it is killed, some time after its first pod. */
  async function churnAndKill(node: string, specs: readonly EndpointSpec[], round: number): Promise<void> {
    const plain = specs.map((spec) => ({ ...spec, addresses: spec.addresses.map(formatAddress) }));
    const child = spawn(
      'ip',
      [
        'netns',
        'exec',
        nameOf(node),
        process.execPath,
        fileURLToPath(new URL('./endpoint-churn.js', import.meta.url)),
        JSON.stringify(plain),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(child);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', () => resolve());
      child.once('exit', (code) => reject(new Error(`The churning process ended by itself with ${code ?? '?'}`)));
    });
    // Spread over the milliseconds that connecting and removing take, differently every round.
    await new Promise((resolve) => setTimeout(resolve, ((round * 7) % 11) + Math.random() * 5));
    child.kill('SIGKILL');
    await ended;
  }
});
