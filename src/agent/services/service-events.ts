/**
 * What is wrong with users' Services and their slices, as events beside them. Every node finds the same faults in an object, so the elected
 * agent tells them; a NodePort that a program of the node has is that node's to tell. Each is said once for an object and a text.
 */
import type { ServiceProblems } from '@tortie/services';
import type { KindName } from '../../api/kinds.js';
import type { ObjectMeta } from '../../api/meta.js';
import { objectKey } from '../../cluster/cluster.js';
import type { Happening } from '../../cluster/event-recorder.js';
import type { TakenPort } from './taken-ports.js';

/** What is wrong now. */
export interface ServiceTroubles {
  readonly objects: readonly ServiceProblems[];
  readonly ports: readonly TakenPort[];
}

export interface ServiceEventsOptions {
  readonly node: string;
  readonly troubles: () => ServiceTroubles;
  readonly find: (kind: ServiceEventKind, namespace: string, name: string) => Happening['object'] | undefined;
  readonly isLeader: () => boolean;
  readonly record: (happening: Happening) => void;
}

export type ServiceEventKind = KindName & ('services' | 'endpointSlices');

interface Trouble {
  readonly kind: ServiceEventKind;
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
  readonly note: string;
}

export class ServiceEvents {
  /** "kind namespace/name uid text". BOUNDED by what is wrong at this moment. */
  private told: ReadonlySet<string> = new Set();

  constructor(private readonly options: ServiceEventsOptions) {}

  /** Says what has not been said of what is wrong now, and forgets what is not wrong any more. */
  level(): void {
    const { find, record } = this.options;
    const told = new Set<string>();
    for (const { kind, namespace, name, reason, note } of this.troubles()) {
      const object = find(kind, namespace, name);
      if (object === undefined) continue;
      const key = `${kind} ${objectKey(namespace, name)} ${uidOf(object.metadata)} ${note}`;
      told.add(key);
      if (!this.told.has(key)) record({ kind, object, type: 'Warning', reason, action: 'ServingServices', note });
    }
    this.told = told;
  }

  private troubles(): readonly Trouble[] {
    const { isLeader, node, troubles } = this.options;
    const { objects, ports } = troubles();
    return [
      ...(isLeader() ? objects.flatMap(troublesOf) : []),
      ...ports.map(({ namespace, name, text }): Trouble => {
        const note = `Node ${node}: ${text}`;
        return { kind: 'services', namespace, name, reason: 'NodePortTaken', note };
      }),
    ];
  }
}

function troublesOf({ kind, namespace, name, problems }: ServiceProblems): readonly Trouble[] {
  if (kind === 'Node') return [];
  return problems.map(({ message }) => ({
    kind: kind === 'Service' ? 'services' : 'endpointSlices',
    namespace,
    name,
    reason: kind === 'Service' ? 'ServiceRefused' : 'EndpointSliceRefused',
    note: message,
  }));
}

const uidOf = ({ uid }: Pick<ObjectMeta, 'uid'>): string => uid ?? '';
