/**
 * The chapter on Calico's resources at work: a BGPFilter, BFD and a pool that is drained, each shown by the router. What is changed
 * is put back, claims held or not.
 */
import { linksOf } from '../rack.js';
import type { LabView } from './lab-view.js';
import { ClaimFailed, eventually, type Narrator } from './narrator.js';

const WITHIN = 30_000;
/** A fall by hold time takes the 90 s that our side offers, less one keepalive: this is far below. */
const FALLEN_WITHIN = 15_000;
const POOL = { name: 'tour-drained', cidr: '10.77.0.0/24' };

export async function tellSteering(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading("Calico's resources steer: a filter, BFD, a pool that is drained");
  const [node] = view.rack.nodes;
  const [link] = node === undefined ? [] : linksOf(view.rack, node.name);
  if (view.record.tor !== 'bird' || node === undefined || link === undefined)
    return narrator.note('This chapter asks BIRD, and the routers of this rack are others: it is left out.');
  const place: Place = { view, node: node.name, tor: link.peer.device, link };
  await tellFilter(place, narrator);
  await tellBfd(place, narrator);
  await tellDrainedPool(place, narrator);
}

interface Place {
  readonly view: LabView;
  readonly node: string;
  readonly tor: string;
  readonly link: ReturnType<typeof linksOf>[number];
}

const peerOf = ({ node, tor }: Place): string => `${node}-${tor}-ipv4`;
/** BIRD's name of the session with the node (../bird.ts). */
const protocolOf = ({ node }: Place): string => `${node.replaceAll('-', '_')}_4`;

async function tellFilter(place: Place, narrator: Narrator): Promise<void> {
  const { view, node, tor } = place;
  const routes = (): Promise<string> => view.output(tor, 'birdc', 'show', 'route', 'protocol', protocolOf(place));
  const pods = view.rack.topology.pools.find(({ cidr }) => !cidr.includes(':'))?.cidr ?? '';
  const blocks = async (): Promise<readonly string[]> =>
    (await routes()).split('\n').flatMap((line) => /^(\S+\/2\d) /.exec(line)?.[1] ?? []);
  const before = await eventually(WITHIN, async () => {
    const found = await blocks();
    if (found.length === 0) throw new ClaimFailed(`${tor} has no block from ${node}`);
    return found;
  });
  const filter = { exportV4: [{ action: 'Reject', matchOperator: 'In', cidr: pods }] };
  try {
    await apply(view, 'BGPFilter', 'tour-no-pods', filter);
    await patchPeer(place, { filters: ['tour-no-pods'] });
    narrator.show(
      `kubectl patch bgppeer ${peerOf(place)} --type=merge -p '{"spec":{"filters":["tour-no-pods"]}}'`,
      `a BGPFilter that rejects ${pods}`,
    );
    await narrator.claim(
      `${tor} loses the pods of ${node} to the filter, and neither the session nor other routes`,
      () =>
        eventually(WITHIN, async () => {
          const left = await blocks();
          if (left.length > 0) throw new ClaimFailed(`${tor} still has ${left.join(', ')} from ${node}`);
          if (!(await isEstablished(place))) throw new ClaimFailed(`${tor} has no established session with ${node}`);
          const others = (await routes()).match(/^\S+\/32 /gm) ?? [];
          if (others.length === 0) throw new ClaimFailed(`${tor} has lost the loopback of ${node} too`);
          return `${before.join(', ')} gone, ${others.join(' ').trim()} still there, session Established`;
        }),
    );
  } finally {
    await patchPeer(place, { filters: null });
    await view.kubectl(['delete', 'bgpfilter', 'tour-no-pods', '--ignore-not-found']);
  }
  await narrator.claim(`without the filter ${tor} has them again`, () =>
    eventually(WITHIN, async () => {
      const found = await blocks();
      if (found.length < before.length) throw new ClaimFailed(`${tor} has ${found.join(', ') || 'none'} from ${node}`);
      return found.join(', ');
    }),
  );
}

async function tellBfd(place: Place, narrator: Narrator): Promise<void> {
  const { view, node, tor, link } = place;
  const silence = (change: '-I' | '-D'): Promise<string> =>
    view.output(tor, 'iptables', change, 'INPUT', '-i', link.peer.interface, '-j', 'DROP');
  let isSilent = false;
  try {
    await patchPeer(place, { bfd: { enabled: true, intervalMilliseconds: 100, multiplier: 3 } });
    const isUp = await narrator.claim(`${tor} and ${node} watch one another by BFD`, () =>
      eventually(WITHIN, async () => {
        const table = await view.output(tor, 'birdc', 'show', 'bfd', 'sessions');
        const line = table.split('\n').find((one) => one.startsWith(`${link.own.address.ipv4} `));
        if (line === undefined || !/\bUp\b/.test(line))
          throw new ClaimFailed(`${tor} says of ${link.own.address.ipv4}: ${line ?? 'no BFD session'}`);
        return line.replace(/\s+/g, ' ').trim();
      }),
    );
    if (!isUp) return;
    const start = performance.now();
    await silence('-I');
    isSilent = true;
    narrator.show(`tortie lab exec ${tor} -- iptables -I INPUT -i ${link.peer.interface} -j DROP`, 'the link stays up');
    await narrator.claim(`in silence the session falls in BFD's time, not in the 90 s of the hold time`, () =>
      eventually(FALLEN_WITHIN, async () => {
        if (await isEstablished(place)) throw new ClaimFailed(`${tor} still says Established`);
        return `${tor} saw it ${Math.round(performance.now() - start)} ms after the first packet was dropped, or before`;
      }),
    );
  } finally {
    if (isSilent) await silence('-D');
    await patchPeer(place, { bfd: null });
  }
  await narrator.claim('when packets pass again, so does the session', () =>
    eventually(WITHIN, async () => {
      if (!(await isEstablished(place))) throw new ClaimFailed(`${tor} does not say Established`);
      return `${tor} says Established to ${link.own.address.ipv4}`;
    }),
  );
}

async function tellDrainedPool({ view, node, tor }: Place, narrator: Narrator): Promise<void> {
  const routes = async (): Promise<readonly string[]> =>
    (await view.output(tor, 'birdc', 'show', 'route')).match(/^10\.77\.\S+/gm) ?? [];
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: POOL.name,
      namespace: 'default',
      annotations: { 'cni.projectcalico.org/ipv4pools': JSON.stringify([POOL.name]) },
    },
    spec: { nodeName: node, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'prober' }] },
  };
  try {
    await apply(view, 'IPPool', POOL.name, { cidr: POOL.cidr, blockSize: 26, assignmentMode: 'Manual' });
    await view.kubectl(['apply', '-f', '-'], JSON.stringify(pod));
    await narrator.claim(`${tor} hears of a new pool's block as soon as a pod has an address of it`, () =>
      eventually(WITHIN, async () => {
        const [block] = await routes();
        if (block === undefined) throw new ClaimFailed(`${tor} has no route below ${POOL.cidr}`);
        return `${tor} has ${block}`;
      }),
    );
    const drained = { disabled: true, disableBGPExport: true };
    await view.kubectl(['patch', 'ippool', POOL.name, '--type=merge', '-p', JSON.stringify({ spec: drained })]);
    narrator.show(
      `kubectl patch ippool ${POOL.name} --type=merge -p '{"spec":{"disabled":true,"disableBGPExport":true}}'`,
      '',
    );
    await narrator.claim(`the pool drained, ${tor} has no route to it, and the pod on ${node} runs on`, () =>
      eventually(WITHIN, async () => {
        const left = await routes();
        if (left.length > 0) throw new ClaimFailed(`${tor} still has ${left.join(', ')}`);
        const ip = await view.kubectl(['get', 'pod', POOL.name, '-o', 'jsonpath={.status.podIP}']);
        const route = await view.output(node, 'ip', 'route', 'show', ip);
        if (!route.includes('tort')) throw new ClaimFailed(`${node} has no route to ${ip} of its own pod`);
        return `${node}: ${route.trim()}`;
      }),
    );
  } finally {
    await view.kubectl(['delete', 'pod', POOL.name, '--ignore-not-found', '--wait=true', '--timeout=30s']);
    await view.kubectl(['delete', 'ippool', POOL.name, '--ignore-not-found']);
  }
}

async function isEstablished(place: Place): Promise<boolean> {
  const text = await place.view.output(place.tor, 'birdc', 'show', 'protocols', protocolOf(place));
  return text.includes('Established');
}

const apply = (view: LabView, kind: string, name: string, spec: object): Promise<string> =>
  view.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, metadata: { name }, spec }),
  );

const patchPeer = (place: Place, spec: object): Promise<string> =>
  place.view.kubectl(['patch', 'bgppeer', peerOf(place), '--type=merge', '-p', JSON.stringify({ spec })]);
