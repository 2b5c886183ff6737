/** One rack for a whole suite of tests, under a name of its own, taken away afterwards whatever happened. */
import { messageOf } from '../../src/errors.js';
import { startLab, stopLab, type StartOptions } from '../../src/lab/start-lab.js';
import { requireLab } from '../../src/lab/state-dir.js';
import { LabView } from '../../src/lab/tour/lab-view.js';
import { ClaimFailed, eventually } from '../../src/lab/tour/narrator.js';

const START_WITHIN = 90_000;
export const SOON = 30_000;

/** Hooks that bring the rack up once; returns how to look at it. */
export function useRack(prefix: string, options: Partial<StartOptions> = {}): () => LabView {
  const name = `${prefix}${process.pid}`;
  let view: LabView | undefined;
  before(async function () {
    this.timeout(START_WITHIN);
    await startLab({ tor: 'bird', ...options, name }, () => undefined);
    view = new LabView(await requireLab(name));
  });
  after(async function () {
    this.timeout(START_WITHIN);
    await stopLab(name);
  });
  return () => {
    if (view === undefined) throw new Error('Cannot look at the rack: it is not up');
    return view;
  };
}

/**
 * Repeats until `check` returns something truthy; what it returned or threw last is told when it never does. What throws is not yet so
 * either: an interface that is being put right may have no name for a moment.
 */
export const soon = <T>(what: string, check: () => Promise<T | undefined | false | ''>): Promise<T> =>
  eventually(SOON, async () => {
    const why = `Waited ${SOON / 1000} s in vain: ${what}`;
    const found = await check().catch((error: unknown) => {
      throw new ClaimFailed(`${why} (${messageOf(error)})`, { cause: error });
    });
    if (found === undefined || found === false || found === '') throw new ClaimFailed(why);
    return found;
  });

export interface KubePod {
  readonly metadata: { readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly hostIP?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

/** Undefined when there is no such pod. */
export async function getPod(view: LabView, name: string, namespace = 'default'): Promise<KubePod | undefined> {
  const text = await view.kubectl(['get', 'pod', '-n', namespace, name, '-o', 'json', '--ignore-not-found']);
  return text === '' ? undefined : (JSON.parse(text) as KubePod);
}

export interface PodOptions {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly { readonly containerPort: number; readonly protocol?: string }[];
}

export async function createPod(
  view: LabView,
  name: string,
  { spec, annotations, labels, ports = [{ containerPort: 80 }] }: PodOptions = {},
): Promise<void> {
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', annotations, labels },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image: 'prober', ports }], ...spec },
  };
  await view.kubectl(['apply', '-f', '-'], JSON.stringify(manifest));
}

export const deletePod = (view: LabView, name: string, namespace = 'default'): Promise<string> =>
  view.kubectl(['delete', 'pod', '-n', namespace, name, '--wait=true', '--timeout=30s']);

export const isReady = (pod: KubePod): boolean =>
  pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

export const apply = (view: LabView, ...objects: readonly object[]): Promise<string> =>
  view.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));

export const patch = (view: LabView, resource: string, spec: object): Promise<string> =>
  view.kubectl(['patch', ...resource.split('/'), '--type', 'merge', '-p', JSON.stringify({ spec })]);

export async function readyPod(
  view: LabView,
  name: string,
  options: Parameters<typeof createPod>[2],
): Promise<KubePod> {
  await createPod(view, name, options);
  return soon(`pod "${name}" to be ready`, async () => {
    const pod = await getPod(view, name);
    return pod !== undefined && isReady(pod) && pod;
  });
}
