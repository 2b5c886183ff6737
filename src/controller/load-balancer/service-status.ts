/** What becomes of a Service that wants an address, as its own status and as an event: people look at either. */
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import type { Service } from '../../api/core.js';
import type { Condition } from '../../api/meta.js';
import type { Happening } from '../../cluster/event-recorder.js';
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
export const happeningOf = (service: Service, { isPending, message }: Assignment): Happening => ({
  kind: 'services',
  object: service,
  type: isPending ? 'Warning' : 'Normal',
  reason: isPending ? 'AllocationFailed' : 'IPAllocated',
  action: 'AssigningAddress',
  note: message,
});

const canonical = (text: string | undefined): string | undefined => {
  const address = tryParseAddress(text ?? '');
  return address && formatAddress(address);
};

/** RFC 3339, whole seconds. */
const now = (): string => new Date().toISOString().replace(/\.\d+Z/, 'Z');
