/** What becomes of a Service that wants an address, as its own status and as an event: people look at either. */
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import type { CoreEvent, Service } from '../../api/core.js';
import type { Condition } from '../../api/meta.js';
import { userText } from '../../user-text.js';
import type { Assignment } from './assignment.js';

export const CONDITION = 'tortie.dev/LoadBalancerAddress';

/** The status as it should be; undefined when it is so. What others wrote stays. */
export function statusWith(
  { status, metadata }: Service,
  { addresses, isPending, reason, message }: Assignment,
): Service['status'] | undefined {
  const ingress = status?.loadBalancer?.ingress ?? [];
  const texts = addresses.map(formatAddress);
  const wanted = texts.map((ip) => ingress.find((each) => canonical(each.ip) === ip) ?? { ip });
  const conditions = status?.conditions ?? [];
  const before = conditions.find(({ type }) => type === CONDITION);
  const after: Condition = {
    type: CONDITION,
    status: isPending ? 'False' : 'True',
    reason,
    message: userText(message),
    lastTransitionTime: now(),
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
  };
  const isSameCondition =
    before?.status === after.status && before.reason === after.reason && before.message === after.message;
  const isSameIngress =
    ingress.length === wanted.length && wanted.every(({ ip }, index) => canonical(ingress[index]?.ip) === ip);
  if (isSameCondition && isSameIngress) return undefined;
  const condition =
    before?.status === after.status ? { ...after, lastTransitionTime: before.lastTransitionTime } : after;
  return {
    ...status,
    loadBalancer: { ...status?.loadBalancer, ingress: wanted },
    conditions: [...conditions.filter(({ type }) => type !== CONDITION), condition],
  };
}

/** Says of a Service that no load balancer serves what was said when one did? */
export const isLeftOver = ({ spec, status }: Service): boolean => spec?.type !== 'LoadBalancer' && hasCondition(status);

/** Has this controller, or one before it, said anything of it? */
export const hasCondition = (status: Service['status']): boolean =>
  status?.conditions?.some(({ type }) => type === CONDITION) === true;

export function statusWithout({ status }: Service): NonNullable<Service['status']> {
  return {
    ...status,
    loadBalancer: {},
    conditions: (status?.conditions ?? []).filter(({ type }) => type !== CONDITION),
  };
}

/** In MetalLB's words, which people look for. */
export function eventOf(service: Service, { isPending, message }: Assignment, instance: string): CoreEvent {
  const { name, namespace = '', uid, resourceVersion } = service.metadata;
  const time = now();
  return {
    metadata: { name: `${name.slice(0, 200)}.${suffix()}`, namespace },
    involvedObject: {
      apiVersion: 'v1',
      kind: 'Service',
      namespace,
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type: isPending ? 'Warning' : 'Normal',
    reason: isPending ? 'AllocationFailed' : 'IPAllocated',
    message: userText(message),
    count: 1,
    firstTimestamp: time,
    lastTimestamp: time,
    source: { component: 'tortie-controller', host: instance },
    reportingComponent: 'tortie-controller',
    reportingInstance: instance,
  };
}

const canonical = (text: string | undefined): string | undefined => {
  const address = tryParseAddress(text ?? '');
  return address && formatAddress(address);
};

/** RFC 3339, whole seconds. */
const now = (): string => new Date().toISOString().replace(/\.\d+Z/, 'Z');

/** Events of one object differ by time and chance, as client-go's do. */
const suffix = (): string => (BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6))).toString(16);
