/**
 * npm run bench -- announce [--services 50] [--rounds 10] [-o json]
 *
 * Services whose traffic stays on the node, told to the routers: a rack with two BIRD routers, dual-stack Services with
 * externalTrafficPolicy Local and their endpoints on node1. In each round all lose their endpoints, then have them back; measured is
 * from the first request at the API server until tor1 has none of their /32 and /128, and until it has all of them.
 */
import { join } from 'node:path';
import { messageOf } from '../../src/errors.js';
import { startLab, stopLab } from '../../src/lab/start-lab.js';
import { labPaths, requireLab } from '../../src/lab/state-dir.js';
import { LabView } from '../../src/lab/tour/lab-view.js';
import { ApiClient, type Write } from '../node/api-client.js';
import { leave, readOptions } from '../options.js';

const USAGE = {
  area: 'announce',
  about: `Single addresses of Services at a router, from the change of endpoints: a lab with BIRD routers. Needs root.
It never judges: read the figures.`,
  options: {
    services: { value: 'N', default: '50', range: [1, 200], about: 'dual-stack, externalTrafficPolicy Local' },
    rounds: { value: 'N', default: '10', range: [1, 1000], about: 'of no endpoints, and endpoints again' },
  },
} as const;

const RANGES = ['198.18.0.0/24', '2001:db8:b::/64'];
const NODE = 'node1';
const ROUTER = 'tor1';
const UP_WITHIN = 60_000;
const ROUTED_WITHIN = 30_000;
const BETWEEN = 1_000;
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  if (process.getuid?.() !== 0) return leave({ code: 2, text: 'Cannot announce without root: the run builds a lab\n' });
  const name = `ann${process.pid}`;
  let api: ApiClient | undefined;
  try {
    await startLab({ tor: 'bird', name }, () => undefined);
    const view = new LabView(await requireLab(name));
    api = new ApiClient(join(labPaths(name).root, 'apiserver.sock'));
    const { gone, back } = await measure(view, api, Number(values.services), Number(values.rounds));
    if (values.output === 'json') process.stdout.write(`${JSON.stringify({ area: 'announce', gone, back })}\n`);
    else process.stdout.write(`all gone ${format(gone)}\nall back ${format(back)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`Cannot measure announce: ${messageOf(error)}\n`);
    return 1;
  } finally {
    api?.close();
    await stopLab(name);
  }
}

async function measure(
  view: LabView,
  api: ApiClient,
  count: number,
  rounds: number,
): Promise<{ readonly gone: readonly number[]; readonly back: readonly number[] }> {
  await api.patch('/apis/projectcalico.org/v3/bgpconfigurations/default', {
    spec: { serviceExternalIPs: RANGES.map((cidr) => ({ cidr })) },
  });
  await api.createAll(servicesAndSlices(count));
  await until(view, 2 * count, UP_WITHIN);
  const [gone, back]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    gone.push(await change(view, api, count, false));
    await pause(BETWEEN);
    back.push(await change(view, api, count, true));
    await pause(BETWEEN);
  }
  return { gone, back };
}

/** Milliseconds from the first request until the router shows it. */
async function change(view: LabView, api: ApiClient, count: number, isBack: boolean): Promise<number> {
  const begun = performance.now();
  const changes = slicesOf(count).map(({ name, family }) =>
    api.patch(`${SLICES}/${name}`, { endpoints: isBack ? [endpoint(family)] : [] }),
  );
  await Promise.all(changes);
  await until(view, isBack ? 2 * count : 0, ROUTED_WITHIN);
  return performance.now() - begun;
}

async function until(view: LabView, wanted: number, within: number): Promise<void> {
  const deadline = performance.now() + within;
  for (;;) {
    const counts = await Promise.all([4, 6].map((family) => singlesAt(view, family as 4 | 6)));
    const found = counts.reduce((sum, one) => sum + one, 0);
    if (found === wanted) return;
    if (performance.now() > deadline)
      throw new Error(
        `${ROUTER} has ${found} single addresses from ${NODE} after ${within / 1000} s; ${wanted} are wanted`,
      );
  }
}

async function singlesAt(view: LabView, family: 4 | 6): Promise<number> {
  const text = await view.output(ROUTER, 'birdc', 'show', 'route', 'protocol', `${NODE}_${family}`);
  const found = text.matchAll(family === 4 ? /^198\.18\.0\.\d+\/32/gm : /^2001:db8:b::\S+\/128/gm);
  return new Set([...found].map(([prefix]) => prefix)).size;
}

const slicesOf = (
  count: number,
): readonly { readonly name: string; readonly index: number; readonly family: 4 | 6 }[] =>
  Array.from({ length: count }, (_, index) =>
    ([4, 6] as const).map((family) => ({ name: `announced-${index}-${family}`, index, family })),
  ).flat();

const endpoint = (family: 4 | 6): object => ({
  addresses: [family === 4 ? '10.65.200.1' : 'fd00:65::200:1'],
  nodeName: NODE,
  conditions: { ready: true, serving: true, terminating: false },
});

function servicesAndSlices(count: number): readonly Write[] {
  const services = Array.from(
    { length: count },
    (_, index): Write => ({
      path: '/api/v1/namespaces/default/services',
      object: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: `announced-${index}`, namespace: 'default' },
        spec: {
          type: 'NodePort',
          externalTrafficPolicy: 'Local',
          ipFamilyPolicy: 'RequireDualStack',
          externalIPs: [`198.18.0.${index + 1}`, `2001:db8:b::${(index + 1).toString(16)}`],
          ports: [{ name: 'http', port: 80 }],
        },
      },
    }),
  );
  const slices = slicesOf(count).map(
    ({ name, index, family }): Write => ({
      path: SLICES,
      object: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': `announced-${index}` } },
        addressType: `IPv${family}`,
        ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
        endpoints: [endpoint(family)],
      },
    }),
  );
  return [...services, ...slices];
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function format(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string => `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0)} ms`;
  return `after ${at(0.5)} (median), ${at(1)} at worst, of ${times.length}`;
}
