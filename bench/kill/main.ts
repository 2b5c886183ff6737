/**
 * `npm run bench -- kill`: ADD, DEL and GC in four networks, several at once, second interfaces among them, while the agent is killed (-9)
 * at moments of chance. What the runtime was told must stand: no address twice, nothing lost, nothing left. A verdict, no measurement.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CNI_BIN } from '../../src/lab/tortie-argv.js';
import { runPlugin } from '../../test/cni/plugin.js';
import type { Write } from '../node/api-client.js';
import { BenchNode, NODE } from '../node/node.js';
import { World } from '../node/world.js';
import { leave, readOptions } from '../options.js';
import { doubles, INTERFACES, NETWORKS, type Attachment, type Network } from './attachments.js';

const PODS = 12;
const AT_ONCE = 4;
const USAGE = {
  area: 'kill',
  about:
    'ADD, DEL and GC in four networks, second interfaces among them, while the agent is killed (-9) at moments of chance. Needs root. ' +
    'Exits 1 when an address was given twice, or something was lost or left.',
  options: {
    kills: { value: 'N', default: '500', range: [1, 100_000], isWhole: true, about: 'how often to kill' },
    calls: { value: 'N', default: '2000', range: [1, 1_000_000], isWhole: true, about: 'calls that succeed, at least' },
    backend: { value: 'NAME', default: 'nftables', words: ['auto', 'legacy', 'nft', 'nftables'], about: "the agent's" },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { backend } = read.values;
  const [kills, calls] = [Number(read.values.kills), Number(read.values.calls)];
  const world = new World('tbench-kill');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-kill-'));
  let node: BenchNode | undefined;
  try {
    const netns = world.node('node');
    const sandboxes = world.pods(PODS);
    node = await BenchNode.start({ netns, directory, policyBackend: backend }, [objects()]);
    const storm = new Storm(node, netns, sandboxes);
    const faults = await storm.run(kills, calls);
    process.stdout.write(
      `${storm.kills} kills amid ${storm.succeeded} calls that succeeded and ${storm.failed} that failed, ${backend}\n`,
    );
    for (const fault of faults) process.stdout.write(`FAULT ${fault}\n`);
    process.stdout.write(
      faults.length === 0 ? 'nothing lost, nothing left, no address twice\n' : `${faults.length} faults\n`,
    );
    return faults.length === 0 ? 0 : 1;
  } finally {
    await node?.stop();
    world.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

function objects(): readonly Write[] {
  const pool = (name: string, cidr: string, blockSize: number): Write => ({
    path: '/apis/projectcalico.org/v3/ippools',
    object: { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } },
  });
  const pods = Array.from({ length: PODS }, (_, index): Write => {
    const metadata = { name: `pod${index}`, namespace: 'default' };
    const spec = { nodeName: NODE, containers: [{ name: 'main', image: 'main' }] };
    return { path: '/api/v1/namespaces/default/pods', object: { apiVersion: 'v1', kind: 'Pod', metadata, spec } };
  });
  const status = { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] };
  return [
    { path: '/api/v1/nodes', object: { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE }, status } },
    pool('v4', '10.65.0.0/24', 26),
    pool('v6', 'fd00:65::/112', 122),
    ...pods,
  ];
}

class Storm {
  kills = 0;
  succeeded = 0;
  failed = 0;
  private readonly attachments: Attachment[] = [];
  private readonly faults: string[] = [];
  private generation = 0;
  private isOver = false;

  constructor(
    private readonly node: BenchNode,
    private readonly netns: string,
    private readonly sandboxes: readonly string[],
  ) {
    for (let pod = 0; pod < PODS; pod++) this.newSandbox(pod);
  }

  async run(kills: number, calls: number): Promise<readonly string[]> {
    const callers = Array.from({ length: AT_ONCE }, () => this.callOn());
    while (this.kills < kills || this.succeeded < calls) {
      await pause(Math.random() * 250);
      await this.node.replaceAgent();
      this.kills++;
      if (this.kills % 25 === 0)
        process.stderr.write(`${this.kills} kills, ${this.succeeded} calls, ${this.faults.length} faults\n`);
      // Enough calls between two kills for the ratio that was asked for.
      const enough = (this.kills * calls) / kills;
      while (this.succeeded < enough) await pause(5);
    }
    this.isOver = true;
    await Promise.all(callers);
    await this.settle();
    return this.faults;
  }

  private async callOn(): Promise<void> {
    while (!this.isOver) {
      const free = this.attachments.filter(({ isBusy }) => !isBusy);
      const one = free[Math.floor(Math.random() * free.length)];
      if (one === undefined) {
        await pause(5);
        continue;
      }
      if (Math.random() < 0.05) await this.collect(one.network);
      else await this.turn(one);
    }
  }

  /** Attaches what is detached; what is attached or unknown is detached, or attached once more. */
  private async turn(one: Attachment): Promise<void> {
    one.isBusy = true;
    try {
      const isDetached = one.addresses?.length === 0;
      if (isDetached || Math.random() < 0.3) await this.add(one);
      else await this.delete(one);
    } finally {
      one.isBusy = false;
    }
  }

  private async add(one: Attachment): Promise<void> {
    const before = one.addresses;
    const answer = await this.call('ADD', one);
    if (answer === undefined) {
      // A pod that stands is not harmed by a call that fails; anything else is open.
      if (before === undefined || before.length === 0) one.addresses = undefined;
      return;
    }
    const { ips = [] } = JSON.parse(answer) as { readonly ips?: readonly { readonly address: string }[] };
    one.addresses = ips.map(({ address }) => address).sort();
    if (before !== undefined && before.length > 0 && before.join() !== one.addresses.join())
      this.faults.push(
        `${one.containerId} in ${one.network} had ${before.join()} and was then given ${one.addresses.join()}`,
      );
    for (const double of doubles(this.attachments)) this.faults.push(double);
  }

  private async delete(one: Attachment): Promise<void> {
    one.addresses = undefined;
    if ((await this.call('DEL', one)) !== undefined) one.addresses = [];
  }

  /** Everything of the network is valid but one, if one is idle. */
  private async collect(network: Network): Promise<void> {
    const own = this.attachments.filter((one) => one.network === network);
    const victim = own.find(({ isBusy, addresses }) => !isBusy && addresses !== undefined && addresses.length > 0);
    if (victim === undefined) return;
    victim.isBusy = true;
    victim.addresses = undefined;
    const valid = own
      .filter((one) => one !== victim)
      .map(({ containerId }) => ({ containerID: containerId, ifname: INTERFACES[network] }));
    if ((await this.call('GC', victim, { 'cni.dev/valid-attachments': valid })) !== undefined) victim.addresses = [];
    victim.isBusy = false;
  }

  /** Everybody is brought into a known state, compared with the kernel, and detached. */
  private async settle(): Promise<void> {
    for (const one of this.attachments)
      while (one.addresses === undefined) await (Math.random() < 0.5 ? this.add(one) : this.delete(one));
    const attached = this.attachments.filter(({ addresses }) => addresses !== undefined && addresses.length > 0);
    for (const one of attached) {
      const found = this.addressesIn(one);
      if (found.join() !== (one.addresses ?? []).join())
        this.faults.push(
          `${one.containerId} in ${one.network} was given ${one.addresses?.join()} and has ${found.join()}`,
        );
      await this.add(one);
    }
    const interfaces = this.hostInterfaces();
    if (interfaces.length !== attached.length)
      this.faults.push(`${attached.length} attachments have ${interfaces.length} interfaces: ${interfaces.join(' ')}`);
    for (const one of attached) while (one.addresses === undefined || one.addresses.length > 0) await this.delete(one);
    for (let tries = 0; tries < 100 && this.hostInterfaces(true).length > 0; tries++) await pause(100);
    for (const left of [...this.hostInterfaces(true), ...this.hostRoutes()]) this.faults.push(`left behind: ${left}`);
  }

  private addressesIn({ pod, network }: Attachment): readonly string[] {
    const text = this.ip(
      this.sandboxes[pod] ?? '',
      '-o',
      'addr',
      'show',
      'dev',
      INTERFACES[network],
      'scope',
      'global',
    );
    return [...text.matchAll(/inet6? (\S+)/g)].map(([, address = '']) => address).sort();
  }

  private hostInterfaces(withDoomed = false): readonly string[] {
    const links = JSON.parse(this.ip(this.netns, '-j', 'link')) as readonly { ifname: string; operstate: string }[];
    return links
      .filter(({ ifname, operstate }) => ifname.startsWith('tort') && (withDoomed || operstate !== 'DOWN'))
      .map(({ ifname }) => ifname);
  }

  private hostRoutes(): readonly string[] {
    return ['-4', '-6'].flatMap((family) =>
      this.ip(this.netns, family, 'route', 'show', 'proto', '171')
        .split('\n')
        .filter((line) => line.includes(' dev tort')),
    );
  }

  /** What the plugin said; undefined when it failed. */
  private async call(command: string, one: Attachment, more: object = {}): Promise<string | undefined> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: one.containerId,
      CNI_NETNS: this.sandboxes[one.pod] ?? '',
      CNI_IFNAME: INTERFACES[one.network],
      CNI_PATH: CNI_BIN,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod${one.pod}`,
      TORTIE_CNI_RESTART_WAIT: '0',
    };
    const config = { cniVersion: '1.1.0', name: one.network, type: 'tortie', socket: this.node.socketPath, ...more };
    const { code, stdout } = await runPlugin(join(CNI_BIN, 'tortie'), env, JSON.stringify(config), [
      'nsenter',
      `--net=${this.netns}`,
    ]);
    if (code === 0) this.succeeded++;
    if (code === 0) return stdout;
    this.failed++;
    await pause(20);
    return undefined;
  }

  private newSandbox(pod: number): void {
    const containerId = `c${pod}-${this.generation++}`;
    for (const network of NETWORKS) this.attachments.push({ pod, network, containerId, addresses: [], isBusy: false });
  }

  private ip(netns: string, ...argv: readonly string[]): string {
    return execFileSync('nsenter', [`--net=${netns}`, 'ip', ...argv], { encoding: 'utf8' });
  }
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
