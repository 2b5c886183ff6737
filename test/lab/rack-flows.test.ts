/**
 * Flows against what was sent: thousands of random connections between pods of a rack, through policy and a Service, and what agents say
 * of them: every one, none twice, with the ends, the verdict, the policy and rule, and the octets that were sent.
 */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Connection, Flow, FlowLine } from '../../src/flows/flow.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { apply, getPod, readyPod, soon, useRack } from './rack-fixture.js';

/** Ten thousand take a minute more and find no more. */
const CONNECTIONS = Number(process.env['TORTIE_FLOW_CONNECTIONS'] ?? 2_000);
const ALLOWED_PORTS = [8001, 8002, 8003];
const DENIED_PORTS = [8101, 8102];
const NODES = ['node1', 'node2'];
const FIRST_SOURCE_PORT = 10_000;

/** UDP: every datagram counts, none is repeated. The echo answers with half of what came. */
const SERVER = `import socket, sys, select
socks = []
for port in map(int, sys.argv[1].split(',')):
  for family in (socket.AF_INET, socket.AF_INET6):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(('', port)); socks.append(s)
print('ready', flush=True)
while True:
  for s in select.select(socks, [], [])[0]:
    data, peer = s.recvfrom(4096)
    s.sendto(data[:len(data) // 2], peer)`;

/** A line a connection: source port, address, port, octets, whether to wait. Answers with octets answered, -1 for none. */
const CLIENT = `import socket, sys, time
for line in sys.stdin:
  source, address, port, size, waits = line.split()
  s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
  s.settimeout(5 if waits == '1' else 0.001)
  s.bind(('', int(source)))
  s.connect((address, int(port)))
  s.send(b'x' * int(size))
  answered = -1
  try: answered = len(s.recv(4096))
  except OSError: pass
  print(answered, flush=True)
  s.close()
  if waits != '1': time.sleep(0.02)`;

interface Wanted {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly family: 4 | 6;
  readonly port: number;
  readonly size: number;
  readonly isAllowed: boolean;
  readonly isService: boolean;
}

interface Sent extends Wanted {
  readonly sourcePort: number;
  readonly answered: number;
}

describe('a rack and its flows', function () {
  this.timeout(600_000);
  const rack = useRack('tflow');
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  const start = (argv: readonly string[], pipesIn = false): ChildProcess => {
    const [program = '', ...args] = argv;
    const child = spawn(program, args, { stdio: [pipesIn ? 'pipe' : 'ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  const tortie = (...args: readonly string[]): readonly string[] => tortieArgv(...args);
  const runDir = (node: string): string => labPaths(rack().record.name).node(node).run;
  const inPod = (pod: string, ...argv: readonly string[]): readonly string[] =>
    tortie('lab', 'exec', '--name', rack().record.name, `default/${pod}`, '--', ...argv);

  it('tells every connection once, as it was sent', async () => {
    for (const node of NODES)
      for (const [pod, labels] of [
        [`client-${node}`, { role: 'client' }],
        [`server-${node}`, { role: 'server' }],
      ] as const)
        await readyPod(rack(), pod, { labels, spec: { nodeName: node }, ports: [] });
    await apply(
      rack(),
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'servers', namespace: 'default' },
        spec: {
          podSelector: { matchLabels: { role: 'server' } },
          ingress: ALLOWED_PORTS.map((port) => ({
            from: [{ podSelector: { matchLabels: { role: 'client' } } }],
            ports: [{ protocol: 'UDP', port }],
          })),
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'echo', namespace: 'default' },
        spec: {
          selector: { role: 'server' },
          ipFamilyPolicy: 'RequireDualStack',
          ports: [{ protocol: 'UDP', port: 7, targetPort: ALLOWED_PORTS[0] }],
        },
      },
    );
    const ips = new Map<string, readonly string[]>();
    for (const node of NODES) {
      for (const pod of [`client-${node}`, `server-${node}`])
        ips.set(pod, (await getPod(rack(), pod))?.status.podIPs?.map(({ ip }) => ip) ?? []);
      // Connections end soon, so that octets are told soon. Of the node's namespace alone.
      await rack().output(node, 'sysctl', '-q', '-w', 'net.netfilter.nf_conntrack_udp_timeout=5');
      await rack().output(node, 'sysctl', '-q', '-w', 'net.netfilter.nf_conntrack_udp_timeout_stream=5');
      const server = start(
        inPod(`server-${node}`, 'python3', '-c', SERVER, [...ALLOWED_PORTS, ...DENIED_PORTS].join()),
      );
      if (server.stdout !== null) await once(server.stdout, 'data');
    }
    const service = JSON.parse(await rack().kubectl(['get', 'service', 'echo', '-o', 'json'])) as {
      readonly spec: { readonly clusterIPs: readonly string[] };
    };
    const podOf = new Map([...ips].flatMap(([pod, own]) => own.map((ip) => [ip, pod] as const)));

    /** By node. */
    const told = new Map<string, Connection[]>(NODES.map((node) => [node, []]));
    const losses: FlowLine[] = [];
    for (const node of NODES) {
      const follower = start(tortie('flows', '--run-dir', runDir(node), '-f', '-o', 'json'));
      if (follower.stdout === null) throw new Error('The follower has no output');
      createInterface({ input: follower.stdout }).on('line', (text) => {
        const line = JSON.parse(text) as FlowLine;
        if (line.type === 'connection' && line.protocol === 'UDP') told.get(node)?.push(line);
        else if (line.type === 'missed') losses.push(line);
      });
    }
    const servesService = (): Promise<boolean> =>
      rack()
        .output('node1', 'sh', '-c', 'iptables-save -t nat; nft list ruleset')
        .then((text) => text.includes(service.spec.clusterIPs[0] ?? 'none'));
    await soon('the Service to be served', servesService);
    // Followers are asked for: one connection tells that they hear.
    const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;
    const wanted = (): Wanted => {
      const family = pick([4, 6] as const);
      const of = (all: readonly string[]): string => all.find((ip) => ip.includes(':') === (family === 6)) ?? '';
      const [from, to] = [`client-${pick(NODES)}`, `server-${pick(NODES)}`];
      const kind = Math.random();
      const size = 2 + Math.floor(Math.random() * 600) * 2;
      if (kind < 0.25)
        return {
          from,
          to: '',
          address: of(service.spec.clusterIPs),
          family,
          port: 7,
          size,
          isAllowed: true,
          isService: true,
        };
      const isAllowed = kind < 0.9;
      const port = pick(isAllowed ? ALLOWED_PORTS : DENIED_PORTS);
      return { from, to, address: of(ips.get(to) ?? []), family, port, size, isAllowed, isService: false };
    };
    const sent = await Promise.all(
      NODES.map(async (node) => {
        const client = start(inPod(`client-${node}`, 'python3', '-c', CLIENT), true);
        const { stdin, stdout } = client;
        if (stdin === null || stdout === null) throw new Error('The client has no pipes');
        const answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
        const done: Sent[] = [];
        for (let i = 0; i < CONNECTIONS / NODES.length; i++) {
          const one: Wanted = { ...wanted(), from: `client-${node}` };
          // Each port once: a connection like one that the kernel still knows would be the same one to it.
          const sourcePort = FIRST_SOURCE_PORT + i;
          stdin.write(`${sourcePort} ${one.address} ${one.port} ${one.size} ${one.isAllowed ? 1 : 0}\n`);
          const answered = Number((await answers.next()).value);
          done.push({ ...one, sourcePort, answered });
        }
        stdin.end();
        return done;
      }),
    );
    const all = sent.flat();
    for (const one of all) expect(one.answered, JSON.stringify(one)).to.equal(one.isAllowed ? one.size / 2 : -1);

    // What is allowed is told as begun and as ended by each node that has an end of it; what is denied by the server's node, as it is by
    // ingress policy.
    const nodeOf = (pod: string): string => pod.slice(pod.indexOf('-') + 1);
    const ended = (node: string): readonly Connection[] =>
      (told.get(node) ?? []).filter(({ happening }) => happening === 'ended');
    const begun = (node: string): number =>
      (told.get(node) ?? []).filter(({ happening }) => happening === 'begun').length;
    const areAllEnded = (): boolean => NODES.every((node) => ended(node).length === begun(node));
    for (let waited = 0; waited < 40 && !areAllEnded(); waited++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      // The kernel looks for ended connections at leisure, once a minute and less; what is forgotten is told the same. Not all at once:
      // who follows has to be in time.
      const port = waited < 25 ? undefined : [7, ...ALLOWED_PORTS][waited % 5];
      if (port !== undefined)
        for (const node of NODES)
          for (const family of ['ipv4', 'ipv6'])
            await rack().output(
              node,
              'sh',
              '-c',
              `conntrack -D -f ${family} -p udp --dport ${port} > /dev/null 2>&1 || true`,
            );
    }
    expect(losses).to.deep.equal([]);

    const source = (line: Connection): string => podOf.get(line.from.address ?? '') ?? '';
    const keyOf = (family: number, from: string, sourcePort: number): string => `${family} ${from} ${sourcePort}`;
    const faults: string[] = [];
    let [checked, denied] = [0, 0];
    for (const node of NODES) {
      const lines = new Map<string, Connection[]>();
      for (const line of told.get(node) ?? []) {
        const key = keyOf(line.family, source(line), line.sourcePort);
        lines.set(key, [...(lines.get(key) ?? []), line]);
      }
      for (const one of all) {
        const candidates = (lines.get(keyOf(one.family, one.from, one.sourcePort)) ?? []).filter(
          (line) =>
            (one.isService
              ? line.service?.port === 7
              : line.service === undefined && line.to.address === one.address) &&
            (one.isService || line.port === one.port),
        );
        const to = one.isService ? podOf.get(candidates[0]?.to.address ?? '') : one.to;
        const isHere = one.isAllowed
          ? nodeOf(one.from) === node || (one.isService ? false : nodeOf(one.to) === node)
          : nodeOf(one.to) === node;
        if (!isHere) continue;
        const about = `${node}: ${JSON.stringify(one)}`;
        const happenings = candidates.map(({ happening }) => happening).sort();
        if (!one.isAllowed) {
          denied++;
          if (happenings.join() !== 'denied') faults.push(`${about}: told ${happenings.join()}`);
          const [line] = candidates;
          const decision = line?.ingress?.decision;
          if (
            line?.verdict !== 'denied' ||
            decision?.type !== 'tier-default' ||
            decision.policies[0]?.name !== 'servers'
          )
            faults.push(`${about}: decided ${JSON.stringify(decision)}`);
          continue;
        }
        checked++;
        if (happenings.join() !== 'begun,ended') {
          faults.push(`${about}: told ${happenings.join()}`);
          continue;
        }
        const end = candidates.find(({ happening }) => happening === 'ended');
        const header = one.family === 4 ? 28 : 48;
        const amounts = [end?.sent.packets, end?.sent.bytes, end?.answered.packets, end?.answered.bytes].join();
        if (amounts !== [1, one.size + header, 1, one.size / 2 + header].join())
          faults.push(`${about}: carried ${amounts}`);
        if (end?.verdict !== 'allowed' || end.to.name !== to)
          faults.push(`${about}: ${end?.verdict} to ${end?.to.name}`);
        const { decision } = (nodeOf(to ?? '') === node ? end?.ingress : end?.egress) ?? {};
        const rule = ALLOWED_PORTS.indexOf(end?.port ?? 0);
        if (
          nodeOf(to ?? '') === node &&
          !(decision?.type === 'rule' && decision.policy.name === 'servers' && decision.rule === rule)
        )
          faults.push(`${about}: decided ${JSON.stringify(decision)}`);
      }
    }
    for (const node of NODES) {
      const [client, server] = [`client-${node}`, `server-${node}`];
      const own = (told.get(node) ?? []).filter((line) => source(line) === client && line.happening === 'begun');
      // What another node denies has left this one.
      const left = all.filter(({ from, to, isAllowed }) => from === client && (isAllowed || nodeOf(to) !== node));
      expect(own.length, `begun on ${node}`).to.equal(left.length);
      const refused = (told.get(node) ?? []).filter((line) => line.to.name === server && line.happening === 'denied');
      const attempts = all.filter(({ to, isAllowed }) => to === server && !isAllowed);
      expect(refused.length, `denied on ${node}`).to.equal(attempts.length);
    }
    expect(faults.slice(0, 5), `${faults.length} faults of ${checked} allowed and ${denied} denied`).to.deep.equal([]);
    expect(checked).to.be.greaterThan(CONNECTIONS * 0.5);
    expect(denied).to.be.greaterThan(CONNECTIONS * 0.05);

    // Sums of the same in the history: every connection that a node has an end of.
    for (const node of NODES) {
      const [program = '', ...args] = tortie('flows', '--run-dir', runDir(node), '--port', 'UDP', '-o', 'json');
      const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      let [begun, bytes] = [0, 0];
      if (child.stdout === null) throw new Error('No output');
      for await (const text of createInterface({ input: child.stdout })) {
        const line = JSON.parse(text) as FlowLine;
        if (line.type === 'flow' && line.verdict === 'allowed' && isOurs(line)) {
          begun += line.begun;
          bytes += line.sent.bytes;
        } else if (line.type === 'lost')
          expect([line.connections, line.reports, line.subjects], node).to.deep.equal([0, 0, 0]);
      }
      const lines = (told.get(node) ?? []).filter(({ verdict, ...line }) => verdict === 'allowed' && isOurs(line));
      expect(begun, node).to.equal(lines.filter(({ happening }) => happening === 'begun').length);
      expect(bytes, node).to.equal(
        lines.filter(({ happening }) => happening === 'ended').reduce((total, line) => total + line.sent.bytes, 0),
      );
    }
  });
});

const isOurs = ({ from, to }: Pick<Flow, 'from' | 'to'>): boolean =>
  from.name?.startsWith('client-') === true && to.name?.startsWith('server-') === true;
