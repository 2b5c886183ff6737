/** The chapters on routing: sessions, what a node's table looks like, what the routers know, who reaches whom. */
import { formatPrefix, parseAddress, parsePrefix, containsAddress, prefixOf } from 'node-bgp/address';
import type { SandboxStatus } from '../control.js';
import { linksOf } from '../rack.js';
import { renderMatrix, type Matrix } from '../reachability.js';
import { devicesOfRoute, kernelRoutes, routerCommands } from '../router-view.js';
import { ipOf, podName, type LabView } from './lab-view.js';
import { ClaimFailed, eventually, type Narrator } from './narrator.js';

const CONVERGED_WITHIN = 30_000;
const FAMILIES = [4, 6] as const;

export async function tellSessions(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading('Every node has sessions with its routers');
  const commands = routerCommands(view.record.tor);
  for (const tor of view.rack.tors) {
    const expected = linksOf(view.rack, tor.name)
      .filter(({ peer }) => view.rack.nodes.some((node) => node.name === peer.device))
      .flatMap(({ peer }) => [peer.address.ipv4, peer.address.ipv6]);
    await narrator.claim(`${tor.name} has all ${expected.length} sessions with its nodes, IPv4 and IPv6`, () =>
      eventually(CONVERGED_WITHIN, async () => {
        const sessions = commands.parseSessions(await view.output(tor.name, ...commands.machine));
        const up = new Set(sessions.filter((session) => session.isEstablished).map((session) => session.neighbor));
        const missing = expected.filter((address) => !up.has(address));
        if (missing.length > 0)
          throw new ClaimFailed(`${tor.name} has no established session with ${missing.join(', ')}`);
        return `${tor.name} says Established to ${expected.join(', ')}`;
      }),
    );
    narrator.show(
      `tortie lab exec ${tor.name} -- ${commands.sessions.map(quote).join(' ')}`,
      await view.output(tor.name, ...commands.sessions),
    );
  }
  const [node] = view.rack.nodes;
  if (node !== undefined)
    narrator.show(
      `tortie lab exec ${node.name} -- tortie bgp summary`,
      await view.output(node.name, 'tortie', 'bgp', 'summary'),
    );
}

export async function tellNodeTable(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading("A node's routing table reads as a network engineer expects");
  const [node] = view.rack.nodes;
  if (node === undefined) return;
  const { pods } = await view.status();
  const remote = [
    ...new Set(
      pods
        .filter((pod) => pod.node !== node.name && pod.ips.length > 0)
        .flatMap((pod) => FAMILIES.map((family) => blockOf(view, ipOf(pod, family)))),
    ),
  ];
  await narrator.claim(
    `${node.name} reaches the pod blocks of the other nodes through every router it is cabled to`,
    () => eventually(CONVERGED_WITHIN, () => checkRemoteBlocks(view, node.name, remote)),
  );
  const table = await view.output(node.name, 'route', '-n');
  narrator.show(`tortie lab exec ${node.name} -- route -n`, table);
  await narrator.claim('route -n has one line per local pod and one per remote block', async () =>
    checkRouteLines(view, table, pods, node.name),
  );
  narrator.show(`tortie lab exec ${node.name} -- ip -6 route`, await view.output(node.name, 'ip', '-6', 'route'));
}

/** The block that an address is cut from, by the pool's block size. */
function blockOf(view: LabView, ip: string): string {
  const address = parseAddress(ip);
  const pool = view.rack.topology.pools.find(({ cidr }) => containsAddress(parsePrefix(cidr), address));
  if (pool === undefined) throw new ClaimFailed(`${ip} is in none of the pools`);
  return formatPrefix(prefixOf(address, pool.blockSize));
}

async function checkRemoteBlocks(view: LabView, node: string, blocks: readonly string[]): Promise<string> {
  const links = linksOf(view.rack, node)
    .map(({ own }) => own.interface)
    .sort();
  const netns = linksOf(view.rack, node)[0]?.own.netns ?? '';
  const routes = [...(await kernelRoutes(netns, 4)), ...(await kernelRoutes(netns, 6))];
  for (const block of blocks) {
    const route = routes.find((candidate) => candidate.dst === block);
    if (route === undefined) throw new ClaimFailed(`${node} has no kernel route to ${block}`);
    const devices = [...devicesOfRoute(route)].sort();
    if (devices.join() !== links.join())
      throw new ClaimFailed(`${node} routes ${block} by ${devices.join(', ')}; expected ${links.join(', ')}`);
  }
  return `the kernel of ${node} has ${blocks.join(', ')}, each by ${links.join(' and ')}`;
}

async function checkRouteLines(
  view: LabView,
  table: string,
  pods: readonly SandboxStatus[],
  node: string,
): Promise<string> {
  const lines = table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => /^\d+\./.test(fields[0] ?? ''));
  const local = pods.filter((pod) => pod.node === node && pod.ips.length > 0);
  for (const pod of local) {
    const found = lines.filter(([destination, , mask]) => destination === ipOf(pod, 4) && mask === '255.255.255.255');
    if (found.length !== 1 || !(found[0]?.at(-1) ?? '').startsWith('tort'))
      throw new ClaimFailed(
        `${podName(pod)} (${ipOf(pod, 4)}) has ${found.length} lines; expected one, to a tort... interface`,
      );
  }
  const blocks = [
    ...new Set(pods.filter((pod) => pod.node !== node && pod.ips.length > 0).map((pod) => blockOf(view, ipOf(pod, 4)))),
  ];
  for (const block of blocks) {
    const count = lines.filter(([destination]) => destination === block.split('/')[0]).length;
    if (count !== 1) throw new ClaimFailed(`block ${block} has ${count} lines; expected one`);
  }
  return `${local.length} local pods (${local.map(podName).join(', ')}) and ${blocks.length} remote blocks (${blocks.join(', ')})`;
}

export async function tellRouterTable(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading('The routers know which node has which pods');
  const commands = routerCommands(view.record.tor);
  const { pods } = await view.status();
  for (const tor of view.rack.tors) {
    for (const argv of commands.routes(view.rack.topology.pools.map((pool) => pool.cidr)))
      narrator.show(
        `tortie lab exec ${tor.name} -- ${argv.map(quote).join(' ')}`,
        await view.output(tor.name, ...argv),
      );
    await narrator.claim(`${tor.name} forwards to each pod over the link to its node`, () =>
      eventually(CONVERGED_WITHIN, async () => {
        for (const pod of pods) for (const family of FAMILIES) await checkNextHop(view, tor.name, pod, family);
        return `asked the kernel of ${tor.name} for the way to ${pods.length} pods, IPv4 and IPv6`;
      }),
    );
  }
}

/** As a shell wants it. */
const quote = (word: string): string => (/^[\w:./=~-]+$/.test(word) ? word : `'${word}'`);

async function checkNextHop(view: LabView, tor: string, pod: SandboxStatus, family: 4 | 6): Promise<void> {
  const ip = ipOf(pod, family);
  const [route] = JSON.parse(await view.output(tor, 'ip', '-j', 'route', 'get', ip)) as readonly {
    readonly dev?: string;
    readonly gateway?: string;
  }[];
  const link = linksOf(view.rack, tor).find(({ peer }) => peer.device === pod.node);
  if (route?.dev !== link?.own.interface)
    throw new ClaimFailed(
      `${tor} sends packets for ${podName(pod)} (${ip}) to ${route?.dev ?? 'nowhere'}; expected ` +
        `${link?.own.interface ?? 'a link to its node'}`,
    );
}

export async function tellReachability(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading('Pods reach one another across nodes, and the outside reaches pods');
  let matrix = await view.matrix();
  await narrator.claim('every pod, node and outside host gets an answer from every pod, IPv4 and IPv6', () =>
    eventually(CONVERGED_WITHIN, async () => {
      matrix = await view.matrix();
      const waiting = view.rack.topology.pods.filter(
        (pod) => !matrix.to.some((endpoint) => endpoint.name === `${pod.namespace}/${pod.name}`),
      );
      if (waiting.length > 0)
        throw new ClaimFailed(`${waiting.map((pod) => `${pod.namespace}/${pod.name}`).join(', ')} do not run yet`);
      return checkAllAnswer(matrix);
    }),
  );
  narrator.show('tortie lab probe', renderMatrix(matrix));
}

export async function checkAllAnswer(matrix: Matrix): Promise<string> {
  const bad = matrix.cells.filter((cell) => cell.verdict !== 'allow');
  if (bad.length > 0)
    throw new ClaimFailed(
      `${bad.length} of ${matrix.cells.length} get no answer: ${bad
        .slice(0, 6)
        .map((cell) => `${cell.from} -> ${cell.to} IPv${cell.family} ${cell.verdict}`)
        .join(', ')}`,
    );
  const times = matrix.cells.map((cell) => cell.microseconds ?? 0).sort((a, b) => a - b);
  return (
    `${matrix.cells.length} of ${matrix.cells.length} TCP connections were answered with the right name, the ` +
    `median after ${times[times.length >> 1]} us`
  );
}
