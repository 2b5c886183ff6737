/**
 * The chapter on Services: an address that no interface has, answered by pods of every node; from outside through the routers; the
 * source kept where the Service asks for it; and an endpoint that goes while connections run. Everything that it makes it takes away again.
 */
import { attempt, CommandFailed } from '../command.js';
import { describeStream, startStream, type StreamResult, type StreamSpec } from '../stream.js';
import { PROBER } from '../tortie-argv.js';
import { renderMatrix, probe } from '../reachability.js';
import { lookUpServices } from '../service-lookup.js';
import type { LabView } from './lab-view.js';
import { ClaimFailed, eventually, type Narrator } from './narrator.js';

const WITHIN = 30_000;
const NAMESPACE = 'tour-services';
const PROBES = 60;
/** Of the range that routers are told, for both families. */
const BALANCER = { 4: '198.51.100.1', 6: '2001:db8:51::1' } as const;
const RANGES = ['198.51.100.0/24', '2001:db8:51::/64'];
/** Flows a family around the loss of an endpoint, and for how long. */
const FLOWS = 6;
const BEFORE = 500;
const AFTER = 4_000;
/**
 * In milliseconds, and less than AFTER, so that a flow that stays with the dead pod is seen. It waits for the slice, the rules,
 * and its entry among tracked connections; until then the dead pod may refuse.
 */
const LONGEST_GAP = 3_000;

export async function tellServices(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading('Services: one address, pods on every node');
  const nodes = view.rack.nodes.slice(0, 3).map(({ name }) => name);
  const [outside] = view.rack.outside;
  try {
    await make(view, nodes);
    narrator.show(`kubectl get services -n ${NAMESPACE}`, await view.kubectl(['get', 'services', '-n', NAMESPACE]));
    const place: Place = { view, narrator, nodes, outside };
    await tellSpread(place);
    await tellOutside(place);
    await tellSource(place);
    await tellLoss(place);
  } finally {
    await view.kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait=false']);
    await view.kubectl([
      ...['patch', 'bgpconfiguration', 'default', '--type=merge', '-p'],
      JSON.stringify({ spec: { serviceLoadBalancerIPs: null } }),
    ]);
  }
}

interface Place {
  readonly view: LabView;
  readonly narrator: Narrator;
  readonly nodes: readonly string[];
  readonly outside: LabView['rack']['outside'][number] | undefined;
}

const podName = (node: string): string => `echo-${node}`;

async function make(view: LabView, nodes: readonly string[]): Promise<void> {
  const pod = (node: string): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: podName(node), namespace: NAMESPACE, labels: { app: 'echo' } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: 'main', image: 'prober', ports: [{ containerPort: 80 }, { containerPort: 7, protocol: 'UDP' }] },
      ],
    },
  });
  const service = (name: string, spec: object): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      type: 'LoadBalancer',
      ipFamilyPolicy: 'PreferDualStack',
      selector: { app: 'echo' },
      ports: [
        { name: 'http', port: 80 },
        { name: 'echo', port: 7, protocol: 'UDP' },
      ],
      ...spec,
    },
  });
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    ...nodes.map(pod),
    service('echo', {}),
    service('echo-local', {
      externalTrafficPolicy: 'Local',
      selector: { app: 'echo', 'tour.tortie.dev/local': 'yes' },
    }),
  ];
  await view.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await view.kubectl(['label', 'pod', '-n', NAMESPACE, podName(nodes[0] ?? ''), 'tour.tortie.dev/local=yes']);
  await view.kubectl([
    ...['patch', 'bgpconfiguration', 'default', '--type=merge', '-p'],
    JSON.stringify({ spec: { serviceLoadBalancerIPs: RANGES.map((cidr) => ({ cidr })) } }),
  ]);
  await giveAddress(view, 'echo', 0);
  await giveAddress(view, 'echo-local', 1);
}

/** What a load balancer's controller writes; the tour chooses the address, so that it knows it. */
async function giveAddress(view: LabView, service: string, index: number): Promise<void> {
  const ingress = [4, 6].map((family) => ({ ip: balancerOf(family as 4 | 6, index) }));
  await view.kubectl([
    ...['patch', 'service', '-n', NAMESPACE, service, '--subresource=status', '--type=merge', '-p'],
    JSON.stringify({ status: { loadBalancer: { ingress } } }),
  ]);
}

const balancerOf = (family: 4 | 6, index: number): string => `${BALANCER[family].slice(0, -1)}${index + 1}`;

interface ServiceInView {
  readonly spec: {
    readonly clusterIPs: readonly string[];
    readonly ports: readonly { readonly name: string; readonly nodePort?: number }[];
  };
}

const serviceOf = async ({ view }: Place, name: string): Promise<ServiceInView> =>
  JSON.parse(await view.kubectl(['get', 'service', '-n', NAMESPACE, name, '-o', 'json'])) as ServiceInView;

interface Attempt {
  readonly netns: string;
  readonly address: string;
  readonly port: number;
}

/** Who answers so many connections each, by name; whoever is silent is "nobody". */
async function answers(attempts: readonly Attempt[], times: number): Promise<ReadonlyMap<string, number>> {
  const lines = attempts.flatMap(({ netns, address, port }, index) =>
    Array.from({ length: times }, (_, time) => `probe ${index * times + time} ${netns} tcp - ${address} ${port}`),
  );
  const argv = [PROBER, 'session', '--timeout', '2000'];
  const result = await attempt(argv, `${[...lines, 'run all'].join('\n')}\n`);
  if (result.code !== 0) throw new CommandFailed(argv, result);
  const counts = new Map<string, number>();
  for (const line of result.stdout.split('\n')) {
    const [id = '', verdict, name = ''] = line.split('\t');
    if (!/^\d+$/.test(id)) continue;
    const who = verdict === 'allow' ? name : 'nobody';
    counts.set(who, (counts.get(who) ?? 0) + 1);
  }
  return counts;
}

/** All pods answer, and nobody else. */
function checkSpread(counts: ReadonlyMap<string, number>, nodes: readonly string[]): string {
  const told = [...counts].map(([who, count]) => `${who} ${count}`).join(', ');
  const wanted = nodes.map((node) => `${NAMESPACE}/${podName(node)}`);
  if (wanted.some((name) => !counts.has(name)) || counts.size !== wanted.length)
    throw new ClaimFailed(`of ${PROBES} connections each: ${told}`);
  return `connections: ${told}`;
}

async function tellSpread(place: Place): Promise<void> {
  const { view, narrator, nodes } = place;
  await narrator.claim(`a ClusterIP spreads over the pods of ${nodes.length} nodes, from a pod and from a node`, () =>
    eventually(WITHIN, async () => {
      const { clusterIPs } = (await serviceOf(place, 'echo')).spec;
      const pod = await view.pod(({ namespace }) => namespace !== NAMESPACE);
      const node = view.rack.nodes[0]?.netns ?? '';
      const attempts = [pod.netns, node].flatMap((netns) =>
        clusterIPs.map((address): Attempt => ({ netns, address, port: 80 })),
      );
      return checkSpread(await answers(attempts, PROBES), nodes);
    }),
  );
}

async function tellOutside(place: Place): Promise<void> {
  const { view, narrator, nodes, outside } = place;
  if (outside === undefined) return narrator.note('This rack has no host outside: the way from there is left out.');
  await narrator.claim('a NodePort answers on every node, from outside, for the pods of all', () =>
    eventually(WITHIN, async () => {
      const port = (await serviceOf(place, 'echo')).spec.ports.find(({ name }) => name === 'http')?.nodePort ?? 0;
      const attempts = view.rack.nodes.flatMap(({ loopback }) =>
        [loopback.ipv4, loopback.ipv6].map((address): Attempt => ({ netns: outside.netns, address, port })),
      );
      return checkSpread(await answers(attempts, PROBES), nodes);
    }),
  );
  await narrator.claim("a load balancer's address answers outside, by the routes that the nodes tell the routers", () =>
    eventually(WITHIN, async () => {
      const attempts = ([4, 6] as const).map(
        (family): Attempt => ({ netns: outside.netns, address: balancerOf(family, 0), port: 80 }),
      );
      return checkSpread(await answers(attempts, PROBES), nodes);
    }),
  );
  const columns = await lookUpServices(view.record.name, view.rack, [`${NAMESPACE}/echo`], 'TCP');
  const matrix = await probe([...(await view.endpoints()), ...columns], {
    port: { port: 80, transport: 'TCP' },
    families: [4, 6],
  });
  narrator.show(`tortie lab probe --service ${NAMESPACE}/echo`, renderMatrix(matrix));
}

/** A connection held open shows its far end in the pod's own table of sockets. */
async function tellSource({ view, narrator, nodes, outside }: Place): Promise<void> {
  if (outside === undefined) return;
  await narrator.claim('under externalTrafficPolicy Local the pod sees the client, in both families', () =>
    eventually(WITHIN, async () => {
      const seen: string[] = [];
      for (const [family, own] of [
        [4, outside.loopback.ipv4],
        [6, outside.loopback.ipv6],
      ] as const) {
        const spec: StreamSpec = {
          label: `outside to ${balancerOf(family, 1)}`,
          netns: outside.netns,
          to: balancerOf(family, 1),
          port: 7,
          protocol: 'udp',
          isFresh: false,
          source: own,
        };
        const peers = await sourcesAt(view, `${NAMESPACE}/${podName(nodes[0] ?? '')}`, spec, family);
        if (!peers.includes(own)) throw new ClaimFailed(`the pod saw ${peers.join(', ') || 'nobody'}, not ${own}`);
        seen.push(own);
      }
      return `the pod on ${nodes[0]} saw ${seen.join(' and ')}`;
    }),
  );
}

/** Sources of datagrams that arrive in a pod while the stream runs. */
async function sourcesAt(view: LabView, pod: string, spec: StreamSpec, family: 4 | 6): Promise<readonly string[]> {
  let stream: Awaited<ReturnType<typeof startStream>>;
  try {
    stream = await startStream(spec);
  } catch (error) {
    throw new ClaimFailed(`${spec.label}: ${error instanceof Error ? error.message : String(error)}`);
  }
  try {
    const filter = `${family === 4 ? 'ip' : 'ip6'} and udp dst port 7`;
    const text = await view.output(pod, 'timeout', '5', 'tcpdump', '-nlc', '3', '-i', 'eth0', filter);
    return [...text.matchAll(/ IP6? (\S+)\.\d+ > /g)].map((match) => match[1] ?? '');
  } finally {
    await stream.stop();
  }
}

/**
 * Two kinds of traffic: flows of datagrams that have chosen their pod already, and new connections. A pod that ends loses what was on
 * its way to it, under any proxy; what counts is that everything else goes on, and how soon.
 */
async function tellLoss(place: Place): Promise<void> {
  const { view, narrator, nodes } = place;
  const lost = nodes[nodes.length - 1] ?? '';
  const { clusterIPs } = (await serviceOf(place, 'echo')).spec;
  const pod = await view.pod(({ namespace }) => namespace !== NAMESPACE);
  const streams = await Promise.all(
    clusterIPs.flatMap((to) =>
      Array.from({ length: FLOWS }, (_, flow) =>
        startStream({ label: `flow ${flow} to ${to}`, netns: pod.netns, to, port: 7, protocol: 'udp', isFresh: false }),
      ),
    ),
  );
  const attempts = clusterIPs.map((address): Attempt => ({ netns: pod.netns, address, port: 80 }));
  let results: readonly StreamResult[] = [];
  const after = new Map<string, number>();
  try {
    await pause(BEFORE);
    await view.kubectl(['delete', 'pod', '-n', NAMESPACE, podName(lost), '--wait=true', '--timeout=30s']);
    const until = Date.now() + AFTER;
    do for (const [who, count] of await answers(attempts, 10)) after.set(who, (after.get(who) ?? 0) + count);
    while (Date.now() < until);
  } finally {
    results = await Promise.all(streams.map((stream) => stream.stop()));
  }
  for (const result of results) narrator.note(`  ${describeStream(result)}`);
  await narrator.claim(`${podName(lost)} goes under traffic; every flow goes on with a pod that is left`, async () => {
    const bad = results.filter(({ longestGapMs }) => longestGapMs > LONGEST_GAP);
    if (bad.length > 0) throw new ClaimFailed(bad.map(describeStream).join('; '));
    const worst = Math.max(...results.map(({ longestGapMs }) => longestGapMs));
    const told = `${results.reduce((sum, one) => sum + one.lost, 0)} of ${results.reduce((sum, one) => sum + one.sent, 0)}`;
    return `${results.length} flows, ${told} datagrams lost, the longest pause ${worst} ms`;
  });
  await narrator.claim('and every new connection is answered, by a pod that is left', async () => {
    const told = [...after].map(([who, count]) => `${who} ${count}`).join(', ');
    if (after.has('nobody') || after.has(`${NAMESPACE}/${podName(lost)}`)) throw new ClaimFailed(told);
    return `connections: ${told}`;
  });
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
