/**
 * The chapters on failure: a cut link, a killed agent, a killed bgpd. Flows run all the while, one packet every 10 ms, and what
 * is counted is what came back.
 */
import { linksOf } from '../rack.js';
import { probe } from '../reachability.js';
import { devicesOfRoute, kernelRoutes, packetsThrough, routerCommands } from '../router-view.js';
import { describeStream, startStream, type Stream, type StreamResult, type StreamSpec } from '../stream.js';
import { ipOf, podName, type LabView } from './lab-view.js';
import { ClaimFailed, eventually, type Narrator } from './narrator.js';

/** Where the demonstration's pods echo datagrams (RFC 862). */
const ECHO_PORT = 7;
const BEFORE = 700;
const AFTER = 1_500;
/** A cut that is noticed by carrier and routed around; BGP's hold timer would be 90 s. */
const LONGEST_GAP_ON_CUT = 1_000;
/** In milliseconds. A router that finds its neighbour again may drop a packet; one that waits for old questions pauses for seconds. */
const LONGEST_GAP_ON_RETURN = 200;
const RECOVERED_WITHIN = 30_000;

/** Flows into and out of the node that will suffer: between pods and from outside, both families, single and spread. */
async function flowsTo(view: LabView, node: string): Promise<readonly StreamSpec[]> {
  const target = await view.pod((pod) => pod.node === node);
  const peer = await view.pod((pod) => pod.node !== node);
  const [outside] = view.rack.outside;
  return ([4, 6] as const).flatMap((family): readonly StreamSpec[] => {
    const to = { to: ipOf(target, family), port: ECHO_PORT, protocol: 'udp' as const };
    const back = { to: ipOf(peer, family), port: ECHO_PORT, protocol: 'udp' as const };
    return [
      {
        ...to,
        label: `${podName(peer)} -> ${podName(target)}, IPv${family}, spread over all paths`,
        netns: peer.netns,
        isFresh: true,
      },
      {
        ...back,
        label: `${podName(target)} -> ${podName(peer)}, IPv${family}, one flow`,
        netns: target.netns,
        isFresh: false,
      },
      ...(outside === undefined
        ? []
        : [
            {
              ...to,
              label: `${outside.name} -> ${podName(target)}, IPv${family}, spread over all paths`,
              netns: outside.netns,
              isFresh: true,
            },
          ]),
    ];
  });
}

/** Runs the flows around `event`; settles with what they counted. */
async function during(
  specs: readonly StreamSpec[],
  event: () => Promise<void>,
  before = BEFORE,
): Promise<readonly StreamResult[]> {
  const streams: Stream[] = [];
  try {
    for (const spec of specs) streams.push(await startStream(spec));
    await pause(before);
    await event();
    await pause(AFTER);
  } catch (error) {
    await Promise.all(streams.map((stream) => stream.stop()));
    throw error;
  }
  return Promise.all(streams.map((stream) => stream.stop()));
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function showResults(narrator: Narrator, results: readonly StreamResult[]): void {
  for (const result of results) narrator.note(`  ${describeStream(result)}`);
}

function checkNothingLost(results: readonly StreamResult[]): string {
  const hurt = results.filter((result) => result.lost > 0 || result.error !== '' || result.received === 0);
  if (hurt.length > 0) throw new ClaimFailed(hurt.map(describeStream).join('; '));
  return `${results.reduce((sum, result) => sum + result.sent, 0)} packets in ${results.length} flows, none lost`;
}

export async function tellLinkCut(view: LabView, narrator: Narrator): Promise<void> {
  const [node] = view.rack.nodes;
  const links = node === undefined ? [] : linksOf(view.rack, node.name);
  const [cut, ...others] = links;
  if (node === undefined || cut === undefined || others.length === 0)
    return narrator.note('No node has two links: the link cut is left out.');
  const tor = cut.peer.device;
  narrator.heading(`The link ${node.name} - ${tor} is cut under traffic`);
  const counted = async (): Promise<number> =>
    (await Promise.all(others.map(({ own }) => packetsThrough(own.netns, own.interface)))).reduce(
      (sum, packets) => sum + packets,
      0,
    );
  let packets = 0;
  const results = await during(await flowsTo(view, node.name), async () => {
    narrator.show(`tortie lab link down ${node.name} ${tor}`, '');
    await view.link({ device: node.name, tor, state: 'down' });
    packets = -(await counted());
  });
  packets += await counted();
  showResults(narrator, results);
  const survivors = others.map(({ peer }) => peer.device).join(' and ');
  await narrator.claim(`traffic goes on over ${survivors}; no flow pauses for ${LONGEST_GAP_ON_CUT} ms`, async () => {
    const slow = results.filter((result) => result.longestGapMs >= LONGEST_GAP_ON_CUT || result.received === 0);
    if (slow.length > 0) throw new ClaimFailed(slow.map(describeStream).join('; '));
    if (packets === 0) throw new ClaimFailed(`no packet crossed ${others.map(({ own }) => own.interface).join(', ')}`);
    const worst = Math.max(...results.map((result) => result.longestGapMs));
    return (
      `the longest pause of any flow was ${worst} ms; ${results.reduce((sum, result) => sum + result.lost, 0)} of ` +
      `${results.reduce((sum, result) => sum + result.sent, 0)} packets were lost; ${packets} packets crossed ` +
      `${others.map(({ own }) => own.interface).join(', ')} since`
    );
  });
  narrator.show(`tortie lab exec ${node.name} -- route -n`, await view.output(node.name, 'route', '-n'));
  await tellLinkReturn(view, narrator, { node: node.name, tor, links: links.length });
}

/**
 * Traffic moves back to a link that is there again: to next hops that have to answer before anything can be sent to them. Soon: what the
 * kernel remembers of unanswered questions is gone three seconds after the cut.
 */
async function tellLinkReturn(
  view: LabView,
  narrator: Narrator,
  { node, tor, links }: { readonly node: string; readonly tor: string; readonly links: number },
): Promise<void> {
  const event = async (): Promise<void> => {
    narrator.show(`tortie lab link up ${node} ${tor}`, '');
    await view.link({ device: node, tor, state: 'up' });
    await narrator.claim(`with the link back, ${node} uses ${links} paths again`, () =>
      eventually(RECOVERED_WITHIN, () => checkPaths(view, node)),
    );
  };
  const results = await during(await flowsTo(view, node), event, 0);
  showResults(narrator, results);
  await narrator.claim(`no flow pauses for ${LONGEST_GAP_ON_RETURN} ms when traffic returns to the link`, async () => {
    const slow = results.filter((result) => result.longestGapMs >= LONGEST_GAP_ON_RETURN || result.received === 0);
    if (slow.length > 0) throw new ClaimFailed(slow.map(describeStream).join('; '));
    const lost = results.reduce((sum, result) => sum + result.lost, 0);
    return `${lost} of ${results.reduce((sum, result) => sum + result.sent, 0)} packets lost`;
  });
}

/** Every route that bgpd learned for a pool leaves by all links of the node. */
async function checkPaths(view: LabView, node: string): Promise<string> {
  const links = linksOf(view.rack, node).map(({ own }) => own.interface);
  const netns = linksOf(view.rack, node)[0]?.own.netns ?? '';
  const routes = [...(await kernelRoutes(netns, 4)), ...(await kernelRoutes(netns, 6))].filter(
    (route) => route.type !== 'blackhole' && (route.nexthops !== undefined || route.gateway !== undefined),
  );
  const remote = routes.filter((route) =>
    view.rack.topology.pools.some((pool) => route.dst.split('/')[1] === String(pool.blockSize)),
  );
  const short = remote.filter((route) => devicesOfRoute(route).length < links.length);
  if (short.length > 0 || remote.length === 0)
    throw new ClaimFailed(
      remote.length === 0
        ? `${node} has no route to a remote block`
        : `${node} routes ${short.map((route) => `${route.dst} by ${devicesOfRoute(route).join()}`).join(', ')}`,
    );
  return `${remote.length} remote blocks leave by ${links.join(' and ')}`;
}

export async function tellAgentKill(view: LabView, narrator: Narrator): Promise<void> {
  const [node] = view.rack.nodes;
  if (node === undefined) return;
  narrator.heading(`The agent of ${node.name} is killed with -9 under traffic`);
  const results = await killUnderTraffic(view, narrator, `${node.name} agent`, async () => {
    await narrator.claim(`a pod created now gets its network from the new agent and answers`, () =>
      checkNewPod(view, node.name),
    );
  });
  await narrator.claim('no packet is lost while the agent is dead and starts again', async () =>
    checkNothingLost(results),
  );
}

export async function tellBgpdKill(view: LabView, narrator: Narrator): Promise<void> {
  const [node] = view.rack.nodes;
  if (node === undefined) return;
  narrator.heading(`bgpd of ${node.name} is killed with -9 under traffic (graceful restart)`);
  const results = await killUnderTraffic(view, narrator, `${node.name} bgpd`, async () => {
    await narrator.claim(`the routers have their sessions with ${node.name} again`, () =>
      eventually(RECOVERED_WITHIN, () => checkSessions(view, node.name)),
    );
    // The flows go on until stale routes have been swept, which is where a restart that is not graceful would show.
    await eventually(RECOVERED_WITHIN, async () => {
      const { isRestarting } = JSON.parse(await view.output(node.name, 'tortie', 'bgp', 'summary', '-o', 'json')) as {
        readonly isRestarting: boolean;
      };
      if (isRestarting) throw new ClaimFailed(`bgpd of ${node.name} is still restarting`);
    });
  });
  await narrator.claim('no packet is lost while bgpd is dead and its sessions come back', async () =>
    checkNothingLost(results),
  );
}

/** Kills a process, waits for the next and for what `recovered` checks, and only then ends the flows. */
async function killUnderTraffic(
  view: LabView,
  narrator: Narrator,
  name: string,
  recovered: () => Promise<void>,
): Promise<readonly StreamResult[]> {
  const pidOf = async (): Promise<number | undefined> =>
    (await view.status()).processes.find((process) => process.name === name)?.pid;
  const before = await pidOf();
  const [node = ''] = name.split(' ');
  const results = await during(await flowsTo(view, node), async () => {
    narrator.show(`tortie lab kill ${name}`, '');
    await view.process({ name, action: 'kill' });
    await eventually(RECOVERED_WITHIN, async () => {
      const now = await pidOf();
      if (now === undefined || now === before) throw new ClaimFailed(`${name} has not been started again`);
      narrator.note(`  Process ${before} is gone, ${now} has taken its place.`);
    });
    await recovered();
  });
  showResults(narrator, results);
  return results;
}

async function checkNewPod(view: LabView, node: string): Promise<string> {
  const name = 'newcomer';
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image: 'tortie.dev/prober', ports: [{ containerPort: 80 }] }],
    },
  };
  await view.kubectl(['apply', '-f', '-'], JSON.stringify(manifest));
  try {
    return await eventually(RECOVERED_WITHIN, async () => {
      const endpoints = await view.endpoints();
      const target = endpoints.find((endpoint) => endpoint.name === `default/${name}`);
      if (target === undefined) throw new ClaimFailed(`pod ${name} does not run yet`);
      const matrix = await probe([target, ...endpoints.filter((endpoint) => endpoint.type !== 'pod')], {
        port: { port: 80, transport: 'TCP' },
        families: [4, 6],
      });
      const silent = matrix.cells.filter((cell) => cell.to === target.name && cell.verdict !== 'allow');
      if (silent.length > 0)
        throw new ClaimFailed(
          `${silent.map((cell) => `${cell.from} IPv${cell.family}`).join(', ')} get no answer from ${target.name}`,
        );
      return (
        `${target.name} has ${target.ips.join(' and ')} and answered ` +
        `${matrix.cells.filter((cell) => cell.to === target.name).length} connections`
      );
    });
  } finally {
    await view.kubectl(['delete', 'pod', '-n', 'default', name, '--wait=false']);
  }
}

async function checkSessions(view: LabView, node: string): Promise<string> {
  const commands = routerCommands(view.record.tor);
  const links = linksOf(view.rack, node);
  for (const { own, peer } of links) {
    const up = new Set(
      commands
        .parseSessions(await view.output(peer.device, ...commands.machine))
        .filter((session) => session.isEstablished)
        .map((session) => session.neighbor),
    );
    for (const address of [own.address.ipv4, own.address.ipv6])
      if (!up.has(address)) throw new ClaimFailed(`${peer.device} has no established session with ${address}`);
  }
  return `${links.map(({ peer }) => peer.device).join(' and ')} say Established, IPv4 and IPv6`;
}
