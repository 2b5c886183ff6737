/**
 * Frees addresses that are kept for pods which will not come again: their StatefulSet is gone or has fewer replicas now, their virtual
 * machine is gone, or their namespace. What only time can tell the node that keeps them sees itself (src/agent/block-upkeep.ts).
 *
 * Taking a kept address out of the record is all: its agent hears of it and gives the address to others. Nothing is asked while nothing is
 * kept. Whoever cannot be asked keeps everything.
 */
import { parseKeptFor, type KeptFor } from '../agent/sticky-pods.js';
import type { IPAMBlock } from '../api/ipam.js';
import type { ResourceKind } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { Cluster } from '../cluster/cluster.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

export interface KeptOwnersOptions {
  readonly cluster: Cluster;
  readonly datastore: Pick<Datastore, 'get' | 'replace' | 'getForeign'>;
  readonly isLeader: () => boolean;
  readonly log: Logger;
}

const INTERVAL = 30_000;

const STATEFUL_SETS: ResourceKind = {
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  namespaced: true,
};
const MACHINES: ResourceKind = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
  namespaced: true,
};

interface StatefulSet extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly ordinals?: { readonly start?: number } };
}

export class KeptOwners {
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;

  constructor(private readonly options: KeptOwnersOptions) {}

  /** After the first sync. */
  start(): void {
    this.timer = setInterval(() => void this.look(), INTERVAL).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** One look. Never rejects. */
  async look(): Promise<void> {
    const { cluster, isLeader, log } = this.options;
    const isBlind = (['namespaces', 'ipamBlocks'] as const).some((kind) => cluster.problems().has(kind));
    if (!isLeader() || isBlind || this.isLooking) return;
    this.isLooking = true;
    try {
      await this.lookOnce();
    } catch (error) {
      log.warn({ problem: messageOf(error) }, 'Cannot see for whom addresses are kept; trying again');
    }
    this.isLooking = false;
  }

  private async lookOnce(): Promise<void> {
    const keeping = [...this.options.cluster.all('ipamBlocks').values()].filter(({ spec }) => spec.kept !== undefined);
    const texts = new Set(keeping.flatMap(({ spec }) => (spec.kept ?? []).map(({ keptFor }) => keptFor)));
    const objects = new Map<string, Promise<KubeObject | undefined>>();
    const gone = new Set<string>();
    for (const text of texts) {
      const keptFor = parseKeptFor(text);
      if (keptFor !== undefined && !(await this.comesAgain(keptFor, objects))) gone.add(text);
    }
    if (gone.size === 0) return;
    for (const { metadata, spec } of keeping)
      if (spec.kept?.some(({ keptFor }) => gone.has(keptFor)) === true) await this.free(metadata.name, gone);
  }

  /** @param objects those that were asked for in this look: pods of one set are many */
  private async comesAgain(
    { kind, namespace, name }: KeptFor,
    objects: Map<string, Promise<KubeObject | undefined>>,
  ): Promise<boolean> {
    const { cluster, datastore } = this.options;
    if (cluster.get('namespaces', namespace) === undefined) return false;
    if (kind === 'Pod' || datastore.getForeign === undefined) return true;
    const { set, ordinal } = ordinalOf(name);
    const [resource, wanted] = kind === 'StatefulSet' ? [STATEFUL_SETS, set] : [MACHINES, name];
    const key = `${resource.plural}/${namespace}/${wanted}`;
    const asked = objects.get(key) ?? datastore.getForeign(resource, wanted, namespace);
    objects.set(key, asked);
    const object = await asked;
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return false;
    if (kind === 'VirtualMachine') return true;
    const { replicas = 1, ordinals } = (object as StatefulSet).spec ?? {};
    const start = ordinals?.start ?? 0;
    return ordinal >= start && ordinal < start + replicas;
  }

  /** A conflict leaves it to the next look. */
  private async free(name: string, gone: ReadonlySet<string>): Promise<void> {
    const { datastore, isLeader, log } = this.options;
    const block: IPAMBlock | undefined = await datastore.get('ipamBlocks', name);
    const freed = block?.spec.kept?.filter(({ keptFor }) => gone.has(keptFor)) ?? [];
    if (block === undefined || freed.length === 0 || !isLeader()) return;
    const kept = block.spec.kept?.filter(({ keptFor }) => !gone.has(keptFor)) ?? [];
    const { kept: _before, ...rest } = block.spec;
    try {
      const spec = kept.length === 0 ? rest : { ...rest, kept };
      await datastore.replace('ipamBlocks', { metadata: block.metadata, spec });
      log.info(
        { block: block.spec.cidr, addresses: freed.map(({ address }) => address), keptFor: freed[0]?.keptFor },
        'Freed addresses that were kept for pods which will not come again',
      );
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  }
}

/** "web-12" is the twelfth of "web". */
function ordinalOf(pod: string): { readonly set: string; readonly ordinal: number } {
  const at = pod.lastIndexOf('-');
  return { set: pod.slice(0, Math.max(0, at)), ordinal: Number(pod.slice(at + 1)) };
}
