/**
 * Keeps the pods' connections as they were made: what somebody changes of them, on the node or in the pod, is put right within a second.
 *
 *   several times a second: what was told -> suspects        once a second, or after an event: a look at all -> suspects
 *   suspect -> (rested, not repaired too often) -> close look and repair, in the pod's turn
 *
 * Somebody who changes the same connection again and again is not fought: repairs come ever more rarely, and it is said. A connection
 * that has just been made rests first: runtimes, chained plugins and meshes go on working in the sandbox after us.
 */
import type { Owner } from '@tortie/ipam';
import { RepairLedger } from '../dataplane/repair-ledger.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { EndpointRequest } from './endpoint-dataplane.js';

export interface EndpointLoopOptions {
  readonly connections: () => readonly { readonly owner: Owner; readonly request: EndpointRequest }[];
  readonly suspects: (requests: readonly EndpointRequest[], isWhole: boolean) => readonly EndpointRequest[];
  /** What was wrong; nothing when all was well. */
  readonly repair: (owner: Owner, request: EndpointRequest) => Promise<readonly string[]>;
  readonly log: Logger;
  readonly onHealth: () => void;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

const TICK = 200;
/** Ticks between two looks at everything that no event asked for: parameters change without one. */
const WHOLE_EVERY = 4;
/** How long a new connection is left to others. */
const REST = 1_000;
/** Close looks in one tick; some 0.4 ms each. */
const AT_ONCE = 32;

/** What is to be said of a connection. */
interface Note {
  readonly sentence: string;
  /** Stands until nobody has troubled the connection for a while; another one goes with the next good look. */
  readonly isContested: boolean;
}

interface Connection {
  readonly owner: Owner;
  readonly request: EndpointRequest;
  readonly since: number;
}

export class EndpointLoop {
  private timer: NodeJS.Timeout | undefined;
  private ticks = 0;
  private isDirty = true;
  /** Pods came or went since the last look. */
  private isOwnDoing = false;
  private isBusy = false;
  /** By host interface, as the next two. BOUNDED by the attachments of this node. */
  private connections: ReadonlyMap<string, Connection> = new Map();
  private isOutdated = true;
  private readonly waiting = new Set<string>();
  private readonly notes = new Map<string, Note>();
  private readonly ledger: RepairLedger;
  private readonly now: () => number;

  constructor(private readonly options: EndpointLoopOptions) {
    this.now = options.now ?? (() => performance.now());
    this.ledger = new RepairLedger(this.now);
  }

  start(): void {
    this.timer = setInterval(() => void this.tick(), TICK);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Something happened to the node's interfaces. */
  changed(): void {
    this.isDirty = true;
  }

  /** Pods came or went. */
  attachmentsChanged(): void {
    this.isOutdated = true;
    this.isOwnDoing = true;
  }

  /** What an operator should know; nothing of it keeps the node from serving pods. */
  notices(): readonly string[] {
    return [...this.notes.values()].map(({ sentence }) => sentence);
  }

  /** One look, and the repairs that follow from it; never rejects. */
  async tick(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      this.look();
      await this.work();
    } catch (error) {
      this.options.log.warn({ problem: messageOf(error) }, "Cannot look after pods' connections; trying again");
    } finally {
      this.isBusy = false;
    }
  }

  private look(): void {
    const isDue = this.ticks++ % WHOLE_EVERY === 0;
    const isOwnDoing = this.isOwnDoing;
    this.isOwnDoing = false;
    // Calls change interfaces, which is told like anybody's change, and wait for this thread: while pods come and go, the look that is due
    // anyway is soon enough. What was told until then is kept.
    if (isOwnDoing && !isDue) return;
    const isWhole = this.isDirty || isDue;
    this.isDirty = false;
    if (isWhole) this.calm();
    const requests = [...this.known().values()].map(({ request }) => request);
    for (const { hostInterface } of this.options.suspects(requests, isWhole)) this.waiting.add(hostInterface);
  }

  private async work(): Promise<void> {
    const known = this.known();
    let looks = 0;
    for (const name of this.waiting) {
      const connection = known.get(name);
      if (connection === undefined) this.waiting.delete(name);
      if (connection === undefined || connection.since + REST > this.now() || this.ledger.isHeldBack(name)) continue;
      this.waiting.delete(name);
      await this.repair(connection);
      if (++looks >= AT_ONCE) return;
    }
  }

  private async repair({ owner, request }: Connection): Promise<void> {
    const { log, repair } = this.options;
    const { hostInterface, namespace } = request;
    const pod = `${namespace}/${request.pod}`;
    let found: readonly string[];
    try {
      found = await repair(owner, request);
    } catch (error) {
      this.ledger.admit([hostInterface], (name) => name);
      this.waiting.add(hostInterface);
      const sentence = `Cannot put the connection of pod "${pod}" right: ${messageOf(error)}`;
      return this.tell(hostInterface, { sentence, isContested: false });
    }
    if (found.length > 0) log.info({ pod, interface: hostInterface, found }, "Put a pod's connection right");
    const admission = found.length === 0 ? undefined : this.ledger.admit([hostInterface], (name) => name);
    const [contested] = admission?.contested ?? [];
    if (contested !== undefined)
      return this.tell(hostInterface, {
        isContested: true,
        sentence:
          `Somebody keeps changing the connection of pod "${pod}" (${found[0] ?? hostInterface}): it is put right ever more ` +
          'rarely, up to once a minute (`ip monitor` tells what happens)',
      });
    if (this.notes.get(hostInterface)?.isContested !== true) this.tell(hostInterface, undefined);
  }

  /** Whom nobody has troubled for a while is well. */
  private calm(): void {
    for (const key of this.ledger.forget()) if (key !== undefined) this.tell(key, undefined);
  }

  private tell(hostInterface: string, note: Note | undefined): void {
    if (this.notes.get(hostInterface)?.sentence === note?.sentence) return;
    if (note === undefined) this.notes.delete(hostInterface);
    else {
      this.notes.set(hostInterface, note);
      this.options.log.warn({ interface: hostInterface }, note.sentence);
    }
    this.options.onHealth();
  }

  private known(): ReadonlyMap<string, Connection> {
    if (!this.isOutdated) return this.connections;
    this.isOutdated = false;
    const now = this.now();
    this.connections = new Map(
      this.options.connections().map(({ owner, request }): [string, Connection] => {
        const before = this.connections.get(request.hostInterface);
        const isSame = before?.owner.containerId === owner.containerId;
        return [request.hostInterface, { owner, request, since: isSame ? before.since : now }];
      }),
    );
    for (const name of [...this.notes.keys()]) if (!this.connections.has(name)) this.tell(name, undefined);
    return this.connections;
  }
}
