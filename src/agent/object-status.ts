/**
 * Writes `status.conditions` of the objects that users write, so that `kubectl describe` says what becomes of them.
 *
 * The elected agent (status-election.ts) writes Accepted and InUse of every object; any other agent writes only what it alone cannot
 * do with an object, at most MOST_NODES of them on one object, each in its own time. Everything is server-side apply under a manager
 * of its own, so that nobody takes another's words away; an object is written when its words change, never to keep them alive.
 *
 *   cluster change, problem of a loop -> the object is due -> (not more often than PAUSE) -> conditions as they should be
 *                                     -> equal to what the watch brought? nothing : one PATCH
 */
import { createHash } from 'node:crypto';
import { USER_KINDS, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { objectKey, type Cluster, type ClusterChange } from '../cluster/cluster.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import {
  acceptedCondition,
  conditionsOf,
  holds,
  inUseCondition,
  MOST_NODES,
  nodeConditionType,
  nodeOfCondition,
  refusedByNode,
  withTimes,
  type ConditionDraft,
} from './object-conditions.js';
import { USED_BY, usageOf } from './object-usage.js';
import { refusalsOf, type ObjectProblem } from './refusals.js';

/** Kinds whose objects carry conditions. */
export const STATUS_KINDS = USER_KINDS;

export const LEADER_MANAGER = 'tortie';
export const nodeManager = (node: string): string => `tortie-${node}`.slice(0, 128);

/** A problem of one object on this node. */
export interface NodeProblem extends ObjectProblem {
  readonly kind: KindName;
  /** "namespace/name" or "name". */
  readonly key: string;
}

export interface ObjectStatusOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly datastore: Pick<Datastore, 'applyStatus' | 'get'>;
  readonly isLeader: () => boolean;
  readonly matches: (selector: string, labels: ReadonlyMap<string, string>) => boolean;
  /** What the policy engine says of an object, the same on every node. */
  readonly policyProblems: (kind: KindName, object: KubeObject) => readonly ObjectProblem[];
  /** What the loops of this node cannot do with objects. */
  readonly nodeProblems: () => readonly NodeProblem[];
  readonly log: Logger;
}

const COALESCE = 500;
/** The least time between two writes of one object by one agent. */
const PAUSE = 2_000;
const RETRY = 5_000;
/** After a server that knows no such status, or forbids it. */
const LONG_RETRY = 600_000;
/** Objects in one go; the rest waits for the next, so that a new leader does not flood the API server. */
const BATCH = 20;
const BATCH_INTERVAL = 1_000;
/** Nodes that find the same fault speak one after the other: in a large cluster most find enough words there when their turn comes. */
const TURN = 50;

interface Address {
  readonly kind: KindName;
  readonly key: string;
}

export class ObjectStatus {
  /** When an object is to be looked at. BOUNDED by the cluster's objects, as is `writtenAt`. */
  private readonly due = new Map<string, { readonly address: Address; readonly at: number }>();
  private readonly writtenAt = new Map<string, number>();
  /** Labels of each node, as text. BOUNDED by the nodes. */
  private readonly labels = new Map<string, string>();
  private readonly closedUntil = new Map<KindName, number>();
  /** Kinds whose lists of conditions are not merged: Calico's own definitions. Nodes leave those to the leader. */
  private readonly unmerged = new Set<KindName>();
  private problems: ReadonlyMap<string, readonly ObjectProblem[]> = new Map();
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;
  private isRunning = false;
  private isStopped = false;
  private isStarted = false;

  constructor(private readonly options: ObjectStatusOptions) {}

  /** After the first sync: half a cluster would be told that nobody uses it. */
  start(): void {
    this.isStarted = true;
    this.everything(); // also what changed before is due by that
    this.problemsChanged();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /** This agent has become the one that writes. */
  everything(): void {
    for (const kind of STATUS_KINDS) this.allOf(kind);
  }

  changed({ kind, object, type }: ClusterChange): void {
    if (STATUS_KINDS.includes(kind)) {
      const address = { kind, key: objectKey(object.metadata.namespace, object.metadata.name) };
      if (type === 'delete') {
        this.due.delete(idOf(address));
        this.writtenAt.delete(idOf(address));
      } else this.mark(address, COALESCE);
    }
    if (kind === 'nodes' && !this.isNewsOfNode(object, type)) return;
    if (this.options.isLeader()) for (const used of USED_BY.get(kind) ?? []) this.allOf(used);
  }

  /** Nodes say all the time that they live; who uses what changes with their names and labels only. */
  private isNewsOfNode({ metadata }: KubeObject, type: ClusterChange['type']): boolean {
    if (type === 'delete') return this.labels.delete(metadata.name);
    const labels = JSON.stringify(metadata.labels ?? {});
    if (this.labels.get(metadata.name) === labels) return false;
    this.labels.set(metadata.name, labels);
    return true;
  }

  /** What this node's loops say may have changed. */
  problemsChanged(): void {
    if (!this.isStarted) return;
    const found = new Map<string, ObjectProblem[]>();
    const addresses = new Map<string, Address>();
    for (const { kind, key, ...problem } of this.options.nodeProblems()) {
      if (!STATUS_KINDS.includes(kind) || this.isRefused(kind, key, problem.field)) continue;
      const id = idOf({ kind, key });
      addresses.set(id, { kind, key });
      found.set(id, [...(found.get(id) ?? []), problem]);
    }
    const before = this.problems;
    this.problems = found;
    for (const id of new Set([...before.keys(), ...found.keys()]))
      if (JSON.stringify(before.get(id)) !== JSON.stringify(found.get(id))) {
        const [kind = '', key = ''] = id.split(' ');
        this.mark(addresses.get(id) ?? { kind: kind as KindName, key }, COALESCE + this.turnOf(id));
      }
  }

  /** Accepted says it for the whole cluster. */
  private isRefused(kind: KindName, key: string, field: string): boolean {
    const object = this.options.cluster.get(kind, ...nameOf(key));
    return object !== undefined && refusalsOf(kind, object).some((refusal) => refusal.field === field);
  }

  private turnOf(id: string): number {
    const nodes = this.options.cluster.all('nodes').size;
    return (
      createHash('sha256').update(`${this.options.node} ${id}`).digest().readUInt32BE(0) % Math.max(1, nodes * TURN)
    );
  }

  private allOf(kind: KindName): void {
    for (const key of this.options.cluster.all(kind).keys()) this.mark({ kind, key }, COALESCE);
  }

  private mark(address: Address, delay: number): void {
    const id = idOf(address);
    const earliest = (this.writtenAt.get(id) ?? -Infinity) + PAUSE;
    const at = Math.max(performance.now() + delay, earliest);
    const waiting = this.due.get(id);
    if (waiting === undefined || waiting.at > at) this.due.set(id, { address, at });
    this.wakeAt(at);
  }

  /** The earliest wish counts: a node's turn may be minutes away. */
  private wakeAt(at: number): void {
    if (this.isRunning || this.isStopped || !this.isStarted || at >= this.timerAt) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => void this.run(), Math.max(0, at - performance.now())).unref();
  }

  private async run(): Promise<void> {
    this.timerAt = Infinity;
    this.isRunning = true;
    let writes = 0;
    const now = performance.now();
    for (const [id, { address, at }] of [...this.due]) {
      if (at > now || writes >= BATCH || this.isStopped) continue;
      this.due.delete(id);
      writes += await this.level(address);
    }
    this.isRunning = false;
    const least = performance.now() + (writes >= BATCH ? BATCH_INTERVAL : 0);
    let next = Infinity;
    for (const { at } of this.due.values()) next = Math.min(next, at);
    if (next < Infinity) this.wakeAt(Math.max(least, next));
  }

  /** Writes what an object's conditions lack; the number of writes. Never rejects. */
  private async level(address: Address): Promise<number> {
    const object = this.options.cluster.get(address.kind, ...nameOf(address.key));
    if (object === undefined || performance.now() < (this.closedUntil.get(address.kind) ?? -Infinity)) return 0;
    const writes = [
      ...this.ownWrites(address, object),
      ...(this.options.isLeader() ? this.leaderWrites(address, object) : []),
    ];
    try {
      for (const { manager, drafts } of writes) await this.write(address, object, manager, drafts);
    } catch (error) {
      await this.failed(address, error);
    }
    return writes.length;
  }

  private ownWrites(address: Address, object: KubeObject): readonly Write[] {
    const { node } = this.options;
    const conditions = conditionsOf(object);
    const problems = this.problems.get(idOf(address)) ?? [];
    const isThere = conditions.some(({ type }) => type === nodeConditionType(node));
    const manager = nodeManager(node);
    if (problems.length === 0) return isThere ? [{ manager, drafts: [] }] : [];
    const speaking = conditions.flatMap((condition) => nodeOfCondition(condition) ?? []).sort();
    if (!isThere && (speaking.length >= MOST_NODES || this.unmerged.has(address.kind))) return [];
    // Nodes that spoke at the same moment: those whose names sort last take it back.
    if (isThere && speaking.indexOf(node) >= MOST_NODES) return [{ manager, drafts: [] }];
    const wanted = refusedByNode(object, node, problems);
    return holds(conditions, [wanted]) ? [] : [{ manager, drafts: [wanted] }];
  }

  private leaderWrites({ kind }: Address, object: KubeObject): readonly Write[] {
    const { cluster, matches, policyProblems } = this.options;
    const conditions = conditionsOf(object);
    const usage = usageOf(kind, object as ObjectOf[KindName], cluster, matches);
    const drafts = [
      acceptedCondition(object, refusalsOf(kind, object as ObjectOf[KindName]), policyProblems(kind, object)),
      ...(usage === undefined ? [] : [inUseCondition(object, usage)]),
    ];
    const gone = conditions.flatMap((condition) => {
      const node = nodeOfCondition(condition);
      return node === undefined || cluster.get('nodes', node) !== undefined
        ? []
        : [{ manager: nodeManager(node), drafts: [] }];
    });
    return holds(conditions, drafts) ? gone : [{ manager: LEADER_MANAGER, drafts }, ...gone];
  }

  private async write(
    { kind, key }: Address,
    object: KubeObject,
    manager: string,
    drafts: readonly ConditionDraft[],
  ): Promise<void> {
    this.writtenAt.set(idOf({ kind, key }), performance.now());
    const before = conditionsOf(object);
    const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    const [name, namespace] = nameOf(key);
    const written = await this.options.datastore.applyStatus(
      kind,
      { name, ...(namespace === undefined ? {} : { namespace }) },
      drafts.length === 0 ? undefined : { conditions: withTimes(drafts, before, now) },
      manager,
    );
    const hasLost = before.some(
      ({ type }) =>
        nodeOfCondition({ type }) === undefined && !conditionsOf(written).some((after) => after.type === type),
    );
    if (manager !== LEADER_MANAGER && hasLost) this.unmerged.add(kind);
  }

  private async failed({ kind, key }: Address, error: unknown): Promise<void> {
    const { datastore, log } = this.options;
    const status = error instanceof ApiError ? error.status : undefined;
    let isClosed = status === 403 || status === 405;
    try {
      isClosed ||= status === 404 && (await datastore.get(kind, ...nameOf(key))) !== undefined;
    } catch {
      // Asked again with the next try.
    }
    if (!isClosed) {
      log.debug(
        { kind, object: key, problem: messageOf(error) },
        'Cannot write the conditions of an object; trying again',
      );
      if (status !== 404) this.mark({ kind, key }, RETRY);
      return;
    }
    log.warn(
      { kind, problem: messageOf(error) },
      `Cannot write conditions of ${kind}: the server has no such status, or forbids it`,
    );
    this.closedUntil.set(kind, performance.now() + LONG_RETRY);
  }
}

interface Write {
  readonly manager: string;
  readonly drafts: readonly ConditionDraft[];
}

const idOf = ({ kind, key }: Address): string => `${kind} ${key}`;

function nameOf(key: string): readonly [name: string, namespace: string | undefined] {
  const slash = key.indexOf('/');
  return slash < 0 ? [key, undefined] : [key.slice(slash + 1), key.slice(0, slash)];
}
