/**
 * A node's part in a Change: takes it when its step has come, looks after itself while it is on trial, and goes back by itself.
 *
 * What to do is decided in trial.ts; here it is done: layers over the objects (object-layers.ts), the record on disk before them, the word
 * to the others. One look a second while there is anything to look after, none otherwise. Going back asks nobody: the others are told
 * afterwards, as often as it takes.
 */
import type { Change, NodeChangeStatus } from '../api/change.js';
import type { KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { Happening } from '../cluster/event-recorder.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { ObjectLayers } from './object-layers.js';
import { layersOf } from './overlay.js';
import { ProbeSet } from './probe-set.js';
import { now as timestamp } from './rollout.js';
import { illness, judge, nextStep, type Step, type TrialRecord, type Vitals } from './trial.js';
import { TrialFiles, type KeptObjects } from './trial-record.js';

export interface TrialLoopOptions {
  readonly node: string;
  readonly stateDir: string;
  readonly layers: ObjectLayers;
  /** Changes, as the API server had them when it was last heard of. */
  readonly changes: () => readonly Change[];
  /** Have all Changes been listed? */
  readonly isListed: () => boolean;
  /** Does everything run that vitals are taken of? */
  readonly isReady: () => boolean;
  /** But for probes. */
  readonly vitals: () => Omit<Vitals, 'probes'>;
  /** All objects of the node's copy of the cluster, but for what is seen through layers. */
  readonly objects: () => KeptObjects;
  readonly addressOfPod: (namespace: string, name: string) => string | undefined;
  readonly datastore: Pick<Datastore, 'get' | 'replaceStatus' | 'dial'>;
  readonly record: (happening: Happening) => void;
  /** What is reported has changed. */
  readonly onReport: () => void;
  readonly log: Logger;
}

const INTERVAL = 1_000;
const API_INTERVAL = 2_000;
/** A plain object that somebody changed meanwhile never is what the Change said: it is not waited for longer. */
const CATCH_UP_WITHIN = 30_000;

export class TrialLoop {
  private readonly files: TrialFiles;
  private readonly probes: ProbeSet;
  private held: TrialRecord | undefined;
  private report: NodeChangeStatus | undefined;
  /** The Change whose objects are seen without a record: it was confirmed. */
  private followed: { readonly uid: string; readonly writtenAt: number | undefined } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isRunning = false;
  private isStarted = false;
  private isStopped = false;
  private clock = freshClock();

  constructor(private readonly options: TrialLoopOptions) {
    this.files = new TrialFiles(options.stateDir);
    this.probes = new ProbeSet(options.addressOfPod);
  }

  /** What an agent before this one took. Call before anything else. @throws Error when it cannot be read */
  async open(): Promise<void> {
    this.held = await this.files.read();
    if (this.held === undefined) return;
    const { name, state } = this.held;
    this.options.log.info(
      { change: name, state },
      'An agent before this one had to do with a Change; going on from there',
    );
    this.tellState(state === 'taken' ? 'Taken' : 'Reverted', this.held.reason);
  }

  /** Call when the objects are here, before anything is made of them. */
  async start(): Promise<void> {
    this.isStarted = true;
    if (this.held?.state === 'taken') this.options.layers.lay(layersOf(this.held.change));
    await this.look();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.probes.stop();
  }

  /** A Change, or how this node is, has changed. */
  changed(): void {
    if (this.isStarted && this.needsLooks()) this.wake(0);
  }

  /** For NodeStatus. */
  status(): NodeChangeStatus | undefined {
    return this.report;
  }

  /**
   * There is a record, and no API server answers: then all stands as before the Change.
   * @param missing kinds whose objects are not here
   * @returns the objects of before; undefined: nothing is on trial here
   */
  async withoutServer(missing: readonly KindName[]): Promise<KeptObjects | undefined> {
    if (this.held === undefined) return undefined;
    const objects = await this.files.readBefore();
    if (objects === undefined) return undefined;
    if (this.held.state === 'taken')
      await this.goBack('the API server does not answer this agent, which has started anew');
    return new Map([...objects].filter(([kind]) => missing.includes(kind)));
  }

  private needsLooks(): boolean {
    return (
      this.held !== undefined ||
      this.followed !== undefined ||
      this.options.changes().some(({ status }) => status?.phase === 'Trial' || status?.phase === 'Confirming')
    );
  }

  private wake(delay: number): void {
    if (this.isStopped || this.isRunning) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.look(), delay);
  }

  /** Never rejects. */
  private async look(): Promise<void> {
    if (this.isRunning || this.isStopped) return;
    this.isRunning = true;
    try {
      // Before the first list nobody can say that a Change is gone.
      if (this.options.isListed()) await this.act(nextStep(this.options.node, this.options.changes(), this.held));
    } catch (error) {
      this.options.log.warn({ problem: messageOf(error) }, 'Cannot go on with a Change; trying again');
    }
    this.isRunning = false;
    if (this.needsLooks()) this.wake(INTERVAL);
  }

  private async act(step: Step): Promise<void> {
    // Whose Change was deleted while it was written, or is not followed any more.
    if (this.followed !== undefined && step.type !== 'follow') await this.endFollowing();
    switch (step.type) {
      case 'nothing':
        return this.tellWhenBack();
      case 'take':
        // How the node was before cannot be told before all runs.
        return this.options.isReady() ? this.take(step.change) : undefined;
      case 'watch':
        return this.watch();
      case 'revert':
        return this.goBack(step.reason);
      case 'tell':
        this.tellWhenBack();
        return this.endForAll(step.change, step.reason);
      case 'follow':
        return this.follow(step.change, step.isWritten);
      case 'forget':
        return this.forget();
    }
  }

  private async take(change: Change): Promise<void> {
    const { layers, log, objects, vitals } = this.options;
    const { name, uid = '' } = change.metadata;
    const probes = await this.probes.firstLook(change.spec.probes ?? []);
    const before: Vitals = { ...vitals(), probes };
    await this.files.writeBefore(objects());
    const isDialled = await this.canDial();
    const record: TrialRecord = { name, uid, state: 'taken', takenAt: Date.now(), change, before, isDialled };
    await this.files.write(record);
    this.held = record;
    this.clock = freshClock();
    layers.lay(layersOf(change));
    log.info(
      { change: name, objects: change.spec.objects?.length, confirmSeconds: change.spec.confirmSeconds },
      `Took Change "${name}" on trial`,
    );
    this.say(change, 'Normal', 'ChangeTaken', 'Taking', `Node ${this.options.node} took it on trial`);
    this.tellState('Taken', 'taken; looking whether all is well');
  }

  private async watch(): Promise<void> {
    const { held } = this;
    if (held === undefined) return;
    this.probes.watch(held.change.spec.probes ?? []);
    this.askServer(held);
    const vitals: Vitals = { ...this.options.vitals(), probes: this.probes.answering() };
    const clock = this.clock;
    const now = performance.now();
    // A clock that was set must not lengthen it, nor one that stood still while the machine was off.
    const age = Math.max(now - clock.startedAt, Date.now() - held.takenAt);
    const judgement = judge(held, vitals, {
      now,
      takenAt: now - age,
      watchedSince: clock.startedAt,
      apiAt: clock.apiAt,
      wellSince: clock.wellSince,
      unwellSince: clock.unwellSince,
    });
    if (judgement.type === 'revert') return this.goBack(judgement.reason);
    const isWell = judgement.type === 'well' || judgement.why.startsWith('all is well');
    clock.wellSince = isWell ? (clock.wellSince ?? now) : undefined;
    clock.unwellSince = isWell ? undefined : (clock.unwellSince ?? now);
    if (judgement.type === 'well') this.tellState('Well');
    else if (!isWell || this.report?.state !== 'Well') this.tellState('Taken', judgement.why);
  }

  /** The record first: whoever starts after a kill must not take it again. */
  private async goBack(reason: string): Promise<void> {
    const { held, options } = this;
    if (held === undefined) return;
    const record: TrialRecord = { ...held, state: 'reverted', reason };
    // A disk that takes no more must not keep it from going back.
    await this.files.write(record).catch((error: unknown) => {
      options.log.error(
        { problem: messageOf(error) },
        'Cannot write that a Change was taken back; going back all the same',
      );
    });
    this.held = record;
    options.layers.lay(new Map());
    options.log.warn({ change: held.name, reason }, `Went back from Change "${held.name}": ${reason}`);
    this.say(held.change, 'Warning', 'ChangeReverted', 'Reverting', `Node ${options.node} went back: ${reason}`);
  }

  /** A node is back when it is as well as it was. */
  private tellWhenBack(): void {
    const { held } = this;
    if (held?.state !== 'reverted') return;
    this.probes.watch(held.change.spec.probes ?? []);
    const vitals = { ...this.options.vitals(), probes: this.probes.answering() };
    if (illness({ spec: {} }, held.before, vitals) === undefined) this.tellState('Reverted', held.reason);
  }

  /** The first that goes back ends it for all. */
  private async endForAll({ metadata: { name, uid } }: Change, reason: string): Promise<void> {
    const { datastore, node } = this.options;
    const now = await datastore.get('changes', name);
    if (now === undefined || now.metadata.uid !== uid || now.status?.phase !== 'Trial') return;
    await datastore.replaceStatus('changes', {
      ...now,
      status: {
        ...now.status,
        phase: 'Reverting',
        since: timestamp(),
        message: `node ${node}: ${reason}`,
        // Nobody may have seen yet that this node took it: it is waited for.
        nodes: (now.status.nodes ?? []).map((each) =>
          each.name === node ? { ...each, state: 'Taken', message: reason } : each,
        ),
      },
    });
  }

  private async follow(change: Change, isWritten: boolean): Promise<void> {
    const { layers, log } = this.options;
    const { name, uid = '' } = change.metadata;
    if (this.followed?.uid !== uid) {
      layers.lay(layersOf(change));
      log.info({ change: name }, `Change "${name}" is confirmed; following it`);
      this.followed = { uid, writtenAt: undefined };
    }
    if (!isWritten) return;
    const now = performance.now();
    const { writtenAt = now } = this.followed;
    this.followed = { uid, writtenAt };
    if (layers.isCaughtUp() || now - writtenAt >= CATCH_UP_WITHIN) {
      await this.endFollowing();
      await this.forget();
    }
  }

  private async endFollowing(): Promise<void> {
    this.followed = undefined;
    this.options.layers.lay(new Map());
    if (this.held?.state === 'taken') await this.forget();
  }

  private async forget(): Promise<void> {
    await this.files.forget();
    if (this.held !== undefined)
      this.options.log.info({ change: this.held.name }, `Change "${this.held.name}" is over`);
    this.held = undefined;
    this.report = undefined;
    this.probes.watch([]);
    this.options.onReport();
  }

  /** By a connection of its own: one that stands may go on where no other can be made. */
  private askServer({ name, isDialled }: TrialRecord): void {
    const { clock } = this;
    const now = performance.now();
    if (clock.isAsking || now - clock.askedAt < API_INTERVAL) return;
    clock.isAsking = true;
    clock.askedAt = now;
    const { datastore, log } = this.options;
    Promise.all([datastore.get('changes', name), isDialled ? datastore.dial?.() : undefined])
      .then(
        () => (clock.apiAt = performance.now()),
        (error: unknown) => log.debug({ problem: messageOf(error) }, 'The API server does not answer'),
      )
      .finally(() => (clock.isAsking = false));
  }

  /** False: there is a proxy between, or the datastore has no such thing. */
  private async canDial(): Promise<boolean> {
    const { dial } = this.options.datastore;
    if (dial === undefined) return false;
    return dial.call(this.options.datastore).then(
      () => true,
      () => false,
    );
  }

  private tellState(state: NodeChangeStatus['state'], message?: string): void {
    const { held } = this;
    if (held === undefined) return;
    const { name, uid } = held;
    const report = { name, uid, state, ...(message === undefined ? {} : { message: message.slice(0, 1024) }) };
    if (JSON.stringify(report) === JSON.stringify(this.report)) return;
    this.report = report;
    this.options.onReport();
  }

  private say(change: Change, type: Happening['type'], reason: string, action: string, note: string): void {
    this.options.record({ kind: 'changes', object: change as KubeObject, type, reason, action, note });
  }
}

interface Clock {
  startedAt: number;
  apiAt: number;
  askedAt: number;
  isAsking: boolean;
  wellSince: number | undefined;
  unwellSince: number | undefined;
}

/** At the beginning the API server has just been heard of. */
function freshClock(): Clock {
  const now = performance.now();
  return { startedAt: now, apiAt: now, askedAt: 0, isAsking: false, wellSince: undefined, unwellSince: undefined };
}
