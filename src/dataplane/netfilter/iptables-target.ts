/**
 * A ruleset in iptables chains and ipsets, both families. Writes in the order that never opens and never breaks: sets and members are
 * added, rules are written (one atomic restore per table), members and sets are removed.
 */
import { TABLES, type Family, type Part, type Ruleset, type RulesetDelta, type Table } from '@tortie/policy/ruleset';
import type { Backoff } from './backoff.js';
import type { Within } from './child.js';
import { LingeringSets } from './lingering-sets.js';
import { openFamily, sweepOtherBackend, type FamilyTables } from './family-tables.js';
import { sweepNftables } from './nft/sweep.js';
import { openSets, type OpenedSets } from './open-sets.js';
import { HandedOver } from './parts.js';
import { Patrol } from './patrol.js';
import type { Findings, PolicyTarget, Written } from './policy-target.js';
import { SetState } from './set-state.js';
import type { SetOperation } from './set-transport.js';
import type { Backend, NetfilterStatus, Observation } from './status.js';

export interface IptablesTargetOptions {
  readonly families: readonly Family[];
  readonly backend: 'auto' | Backend;
  readonly within: Within;
  readonly patrolInterval: number;
}

/** Throws NetfilterSetupError. */
export async function openIptablesTarget(options: IptablesTargetOptions): Promise<IptablesTarget> {
  const sets = openSets(options.within);
  const handed = new HandedOver();
  const families: FamilyTables[] = [];
  try {
    for (const family of options.families) {
      const opened = await openFamily(family, options.backend, options.within, families[0]?.choice, handed);
      if (opened !== undefined) families.push(opened);
    }
    return new IptablesTarget(options, families, sets, handed);
  } catch (error) {
    for (const family of families) family.close();
    sets.transport.close();
    throw error;
  }
}

const SWEEP = 'sweep of the other backends';

export class IptablesTarget implements PolicyTarget {
  private readonly sets: SetState;
  private readonly patrol: Patrol;
  private readonly lingering = new LingeringSets();
  /** Families whose other backends hold nothing of ours. */
  private readonly swept = new Set<Family>();

  constructor(
    private readonly options: IptablesTargetOptions,
    private readonly families: readonly FamilyTables[],
    private readonly opened: OpenedSets,
    private readonly handed: HandedOver,
  ) {
    this.sets = new SetState(handed);
    const { within, patrolInterval } = options;
    this.patrol = new Patrol({
      families,
      transport: opened.transport,
      sets: this.sets,
      within,
      interval: patrolInterval,
    });
  }

  async observe(): Promise<Observation> {
    const headers = await this.opened.transport.headers();
    const tables: Observation['tables'][number][] = [];
    for (const family of this.families) for (const count of await family.count()) tables.push(count);
    return { sets: headers.length, chains: tables.reduce((sum, table) => sum + table.chains, 0), tables };
  }

  takeWhole(ruleset: Ruleset, part: Part): void {
    this.handed.add(part);
    this.sets.reset(part);
    for (const set of ruleset.sets.values()) if (this.hasFamily(set.family)) this.sets.create(set);
    for (const { state } of this.families) {
      state.reset(part);
      for (const chain of ruleset.chains.values()) state.upsertChain(chain);
      for (const map of ruleset.maps.values()) state.upsertMap(map);
      state.setHooks(ruleset.hooks, part);
    }
  }

  takeDelta(delta: RulesetDelta, part: Part): void {
    for (const set of delta.setsCreated) if (this.hasFamily(set.family)) this.sets.create(set);
    for (const change of delta.setsChanged) if (this.sets.has(change.name)) this.sets.change(change);
    for (const name of delta.setsDeleted) if (this.sets.has(name)) this.sets.delete(name);
    for (const { state } of this.families) {
      for (const chain of delta.chainsUpserted) state.upsertChain(chain);
      for (const map of delta.mapsUpserted) state.upsertMap(map);
      for (const change of delta.mapsChanged) state.changeMap(change);
      for (const name of delta.chainsDeleted) state.deleteChain(name);
      for (const name of delta.mapsDeleted) state.deleteMap(name);
      if (delta.hooks !== undefined) state.setHooks(delta.hooks, part);
    }
  }

  async lookAtAll(backoff: Backoff, parts: ReadonlySet<Part>): Promise<void> {
    await this.patrol.lookAtAll(tablesOf(parts));
    this.notePatrol(backoff);
  }

  async look(backoff: Backoff): Promise<Findings> {
    const findings = await this.patrol.look();
    this.notePatrol(backoff);
    return findings;
  }

  async write(backoff: Backoff, isWhole: boolean, written: (part: Partial<Written>) => void): Promise<boolean> {
    // Without knowing what stands, jumps would be inserted twice and strangers' chains kept: wait for a reading.
    const families = this.families.filter(({ family }) => !isWhole || !this.patrol.isBlind(family));
    await this.writeSets(this.sets.additions(), backoff, written);
    // Both families' additions before either's deletions: for those the kernel makes what comes after them wait.
    for (const part of ['unused', 'all'] as const)
      await Promise.all(families.map((family) => this.writeFamily(family, part, backoff, written)));
    await this.writeSets(this.sets.removals(), backoff, written);
    for (const { family } of families)
      backoff.keepOnly(family, (subject) => subject.startsWith('set '), this.sets.unsettled());
    return families.length === this.families.length;
  }

  /** What stands in another backend would go on filtering: remove it once ours stands. */
  async sweepOthers(backoff: Backoff): Promise<void> {
    for (const { family, choice } of this.families) {
      if (this.swept.has(family) || backoff.isHeld(family, SWEEP, '', Date.now())) continue;
      const problem =
        (await sweepOtherBackend(family, choice.backend, this.options.within)) ?? sweepNftables(this.options.within);
      backoff.note(family, SWEEP, problem);
      if (problem === undefined) this.swept.add(family);
    }
  }

  watch(onAlarm: () => void): void {
    this.patrol.start(onAlarm);
  }

  malformed(): NetfilterStatus['failures'] {
    return this.sets
      .malformedMembers()
      .map(({ set, family, message }) => ({ subject: `set ${set}`, family, message, attempts: 1 }));
  }

  get isClean(): boolean {
    return this.sets.isClean && this.families.every(({ state }) => state.isClean);
  }

  get retryAt(): number | undefined {
    return this.lingering.nextTryAt((name) => this.sets.isDoomed(name));
  }

  get backends(): NetfilterStatus['backends'] {
    return new Map(this.families.map((family) => [family.family, family.choice]));
  }

  get setTransport(): NetfilterStatus['setTransport'] {
    const { reason } = this.opened;
    return reason === undefined ? { type: 'netlink' } : { type: 'child', reason };
  }

  close(): void {
    this.patrol.stop();
    for (const family of this.families) family.close();
    this.opened.transport.close();
  }

  private async writeFamily(
    family: FamilyTables,
    part: 'unused' | 'all',
    backoff: Backoff,
    written: (part: Partial<Written>) => void,
  ): Promise<void> {
    const { tables, ...counts } = await family.write(
      backoff,
      Date.now(),
      (planned) => this.patrol.beforeWrite(family.family, planned),
      part,
    );
    this.patrol.wrote(family.family, tables);
    written(counts);
  }

  private async writeSets(
    planned: readonly SetOperation[],
    backoff: Backoff,
    written: (part: Partial<Written>) => void,
  ): Promise<void> {
    const now = Date.now();
    const tried = planned.filter(
      (operation) =>
        !backoff.isHeld(familyOfSet(operation), subjectOfSet(operation), '', now) &&
        !(operation.type === 'destroy' && this.lingering.isWaiting(operation.name, now)),
    );
    if (tried.length === 0) return;
    const all = await this.opened.transport.apply(tried);
    const lingering = new Set(
      all
        .filter((refusal) => refusal.cause === 'in-use' && this.linger(refusal.operation, now))
        .map((refusal) => refusal.operation),
    );
    const operations = tried.filter((operation) => !lingering.has(operation));
    const failures = this.sets.done(
      operations,
      all.filter((refusal) => !lingering.has(refusal.operation)),
    );
    for (const operation of operations) {
      if (operation.type === 'destroy') this.lingering.gone(operation.name);
      backoff.succeeded(familyOfSet(operation), subjectOfSet(operation));
      if (operation.type === 'add') written({ membersAdded: operation.members.length });
      if (operation.type === 'delete') written({ membersRemoved: operation.members.length });
    }
    for (const failure of failures) backoff.note(failure.family, `set ${failure.set}`, failure.message);
  }

  private linger(operation: SetOperation, now: number): boolean {
    return operation.type === 'destroy' && this.lingering.met(operation.name, now);
  }

  private notePatrol(backoff: Backoff): void {
    for (const { family, subject, message } of this.patrol.takeFailures()) backoff.note(family, subject, message);
  }

  private hasFamily(family: Family): boolean {
    return this.families.some((one) => one.family === family);
  }
}

/** Policy has nothing in `nat`, and reading a large one (kube-proxy's) takes its time. */
const tablesOf = (parts: ReadonlySet<Part>): readonly Table[] =>
  TABLES.filter((table) =>
    table === 'nat' ? parts.has('services') || parts.has('nat') : parts.has('services') || parts.has('policy'),
  );

const nameOfSet = (operation: SetOperation): string => ('set' in operation ? operation.set.name : operation.name);
const familyOfSet = (operation: SetOperation): Family => (nameOfSet(operation).startsWith('tortie6-') ? 6 : 4);
const subjectOfSet = (operation: SetOperation): string => `set ${nameOfSet(operation)}`;
