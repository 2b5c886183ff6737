import { expect } from 'chai';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPlace } from '../../src/lab/devices.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { createPod, getPod, isReady, soon, useRack, type KubePod } from './rack-fixture.js';

const CLIENT = fileURLToPath(new URL('../../../dist/cni/tortie', import.meta.url));

/** One call of the plugin, as a runtime makes it. */
interface Call {
  readonly command: string;
  readonly container?: string;
  readonly netns?: string;
  readonly interfaceName?: string;
  readonly uid?: string;
  readonly pod?: string;
  readonly network?: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Every call that is about something else than the running pod, in every order: none may touch its network. */
describe('lab, whose attachment it is', function () {
  this.timeout(120_000);
  const rack = useRack('w');
  const spare = `tl-w${process.pid}-spare`;
  let pod: KubePod;
  let container: string;
  let netns: string;
  let socket: string;

  const plugin = (call: Call): { readonly code: number; readonly answer: string } => {
    const { command, container: id = '', interfaceName = '', uid = '', network = 'tortie' } = call;
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: call.netns ?? '',
      CNI_IFNAME: interfaceName,
      CNI_PATH: '/opt/cni/bin',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${call.pod ?? 'p'};K8S_POD_UID=${uid}`,
    };
    const input = JSON.stringify({ cniVersion: '1.1.0', name: network, type: 'tortie', socket, ...call.config });
    const { status, stdout } = spawnSync(CLIENT, { env, input, encoding: 'utf8' });
    return { code: status ?? -1, answer: stdout };
  };
  const answers = (address: string): boolean =>
    spawnSync('ip', ['netns', 'exec', `tl-${rack().record.name}-node1`, 'ping', '-c1', '-W2', address]).status === 0;
  const expectUntouched = (what: string): void => {
    for (const { ip } of pod.status.podIPs ?? []) expect(answers(ip), `${ip} answers after ${what}`).to.equal(true);
  };

  before(async () => {
    const view = rack();
    socket = join(labPaths(view.record.name).root, 'nodes/node1/run/agent.sock');
    await createPod(view, 'p', { spec: { nodeName: 'node1' } });
    pod = await soon('pod "p" to be ready', async () => {
      const found = await getPod(view, 'p');
      return found !== undefined && isReady(found) && found;
    });
    netns = (await findPlace(view.record.name, 'default/p')).netns;
    const alias = await view.output('node1', 'ip', '-o', '-d', 'link', 'show', 'type', 'veth');
    container = /alias tortie:(\S+)\/eth0 default\/p\b/.exec(alias)?.[1] ?? '';
    expect(container).to.not.equal('');
    execFileSync('ip', ['netns', 'add', spare]);
  });
  after(() => void spawnSync('ip', ['netns', 'del', spare]));

  it('leaves the running pod alone, whatever pair of calls comes in whatever order', () => {
    const foreign = '00000000-0000-4000-8000-000000000000';
    const valid = (list: unknown): Call['config'] => ({ 'cni.dev/valid-attachments': list });
    const { uid } = pod.metadata;
    const calls: Readonly<Record<string, Call & { readonly fails?: RegExp }>> = {
      'ADD of a pod that is gone': {
        command: 'ADD',
        container: 'old',
        netns: `/run/netns/${spare}`,
        interfaceName: 'eth0',
        uid: foreign,
        fails: /now another, with UID/,
      },
      'ADD without its namespace': {
        command: 'ADD',
        container: 'late',
        netns: '/run/netns/nonesuch',
        interfaceName: 'eth0',
        uid,
        fails: /no network namespace at/,
      },
      'ADD of the same container under another name': {
        command: 'ADD',
        container,
        netns: `/run/netns/${netns}`,
        interfaceName: 'eth0',
        pod: 'web',
        uid: '',
        fails: /no such pod|is pod/,
      },
      'ADD of the same interface in another network': {
        command: 'ADD',
        container,
        netns: `/run/netns/${netns}`,
        interfaceName: 'eth0',
        uid,
        network: 'second',
        fails: /network \\"tortie\\" has it already/,
      },
      'ADD of the same again': { command: 'ADD', container, netns: `/run/netns/${netns}`, interfaceName: 'eth0', uid },
      'ADD of a second interface': {
        command: 'ADD',
        container,
        netns: `/run/netns/${netns}`,
        interfaceName: 'net1',
        uid,
        network: 'second',
      },
      'DEL of the second interface': {
        command: 'DEL',
        container,
        netns: `/run/netns/${netns}`,
        interfaceName: 'net1',
        uid,
        network: 'second',
      },
      'DEL of a former sandbox': { command: 'DEL', container: 'old', interfaceName: 'eth0', uid: foreign },
      'DEL in another network': {
        command: 'DEL',
        container,
        netns: `/run/netns/${netns}`,
        interfaceName: 'eth0',
        uid,
        network: 'second',
      },
      'DEL of the same container under another name': {
        command: 'DEL',
        container,
        interfaceName: 'eth0',
        pod: 'web',
        uid,
      },
      'GC of another network': { command: 'GC', network: 'third', config: valid([]) },
      'GC of another network, null': { command: 'GC', network: 'second', config: valid(null) },
    };
    for (const [first, one] of Object.entries(calls))
      for (const [second, other] of Object.entries(calls)) {
        for (const [name, call] of [
          [first, one],
          [second, other],
        ] as const) {
          const { code, answer } = plugin(call);
          if (call.fails === undefined) expect(code, `${name}: ${answer}`).to.equal(0);
          else expect(answer, name).to.match(call.fails);
        }
        expectUntouched(`${first}, then ${second}`);
      }
  });

  it('gives a second interface an address that answers, under the policy of the pod', async () => {
    const call = {
      container,
      netns: `/run/netns/${netns}`,
      interfaceName: 'net1',
      uid: pod.metadata.uid,
      network: 'second',
    };
    const { code, answer } = plugin({ command: 'ADD', ...call });
    expect(code, answer).to.equal(0);
    const addresses = (JSON.parse(answer) as { ips: { address: string }[] }).ips.map(
      ({ address }) => address.split('/')[0] ?? '',
    );
    expect(addresses).to.have.length(2);
    for (const address of addresses) expect(answers(address), address).to.equal(true);
    expectUntouched('a second interface');
    expect(plugin({ command: 'DEL', ...call }).code).to.equal(0);
    expect(answers(addresses[0] ?? '')).to.equal(false);
    expectUntouched('its removal');
  });

  it('tells people beside the pod what is refused of it, and why it is not connected', async () => {
    const view = rack();
    await view.kubectl(['annotate', 'pod', 'p', 'cni.projectcalico.org/hwAddr=02:00:00:00:00:01']);
    await soon('the refusal', async () =>
      /AnnotationRefused .* tortie-agent .*hwAddr\] is "02:00:00:00:00:01"/.test(
        await view.kubectl(['describe', 'pod', 'p']),
      ),
    );
    await createPod(view, 'odd', {
      spec: { nodeName: 'node1' },
      annotations: { 'cni.projectcalico.org/ipAddrs': '["10.65.0.0.1"]' },
    });
    await soon('the reason', async () =>
      /Warning\s+AttachFailed\s.*Cannot read annotation cni.projectcalico.org\/ipAddrs/.test(
        await view.kubectl(['get', 'events', '--field-selector', 'involvedObject.name=odd']),
      ),
    );
    await view.kubectl(['delete', 'pod', 'odd', '--now']);
  });

  it("keeps the node's loopback to the node, whatever a pod does to its own namespace", async () => {
    const node = `tl-${rack().record.name}-node1`;
    const inNamespace = (name: string, ...argv: readonly string[]): string =>
      execFileSync('ip', ['netns', 'exec', name, ...argv], { encoding: 'utf8', timeout: 20_000 });
    const listen = `
      const net = require('net');
      for (const host of ['127.0.0.1', '::1']) net.createServer((socket) => socket.end('secret')).listen(18080, host);
      console.log('listening');`;
    const connect = `
      for (const host of process.argv.slice(1)) {
        const socket = require('net').connect({ port: 18080, host, timeout: 1500 });
        const tell = (what) => { console.log(host, what); socket.destroy(); };
        socket.on('data', (data) => tell(String(data))).on('error', (error) => tell(error.code)).on('timeout', () => tell('silence'));
      }`;
    const server = spawn('ip', ['netns', 'exec', node, process.execPath, '-e', listen], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(server.stdout, 'data');
      expect(
        inNamespace(node, process.execPath, '-e', connect, '127.0.0.1', '::1').split('\n').sort().join(' ').trim(),
      ).to.equal('127.0.0.1 secret ::1 secret');
      inNamespace(netns, 'ip', 'addr', 'del', '127.0.0.1/8', 'dev', 'lo');
      inNamespace(netns, 'sysctl', '-qw', 'net.ipv4.conf.eth0.route_localnet=1');
      inNamespace(netns, 'ip', 'route', 'add', '127.0.0.0/8', 'via', '169.254.1.1', 'dev', 'eth0');
      expect(inNamespace(netns, process.execPath, '-e', connect, '127.0.0.1').trim()).to.equal('127.0.0.1 silence');
      // By somebody's DNAT as little.
      inNamespace(
        node,
        'iptables',
        '-t',
        'nat',
        '-I',
        'PREROUTING',
        '-i',
        'tort+',
        '-d',
        '203.0.113.99',
        '-j',
        'DNAT',
        '--to',
        '127.0.0.1',
      );
      expect(inNamespace(netns, process.execPath, '-e', connect, '203.0.113.99').trim()).to.equal(
        '203.0.113.99 silence',
      );
    } finally {
      server.kill('SIGKILL');
      spawnSync('ip', ['netns', 'exec', node, 'iptables', '-t', 'nat', '-F', 'PREROUTING']);
      spawnSync('ip', ['netns', 'exec', netns, 'ip', 'route', 'del', '127.0.0.0/8']);
      spawnSync('ip', ['netns', 'exec', netns, 'ip', 'addr', 'add', '127.0.0.1/8', 'dev', 'lo']);
    }
    expectUntouched('the attempt');
  });
});
