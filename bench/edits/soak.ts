/**
 * One run: rounds of one to three edits that do not meet, each made, looked at, undone and looked at again while flows go on.
 * The first thing that is not as it should be ends the run.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeStream, startStream, type Stream, type StreamResult } from '../../src/lab/stream.js';
import { ipOf, podName, type LabView } from '../../src/lab/tour/lab-view.js';
import { differences, resetsBetween, stateOf } from './compare.js';
import { CONFIGURATION_ROWS } from './configuration.js';
import type { Row } from './context.js';
import { argvOf, type Edit, type FlowEnds } from './edit.js';
import { factsOf, type Facts } from './facts.js';
import { FILTER_ROWS } from './filters.js';
import { emptyModel, type Ground, type Model } from './model.js';
import { PEER_ROWS } from './peers.js';
import { Chooser } from './random.js';

export const ROWS: readonly Row[] = [...PEER_ROWS, ...FILTER_ROWS, ...CONFIGURATION_ROWS];
/** What a change may take until everything and everybody says the same. */
const SETTLED_WITHIN = 30_000;
const LOOK_EVERY = 200;
const MOST_AT_ONCE = 3;
const ECHO_PORT = 7;

export interface Flow extends FlowEnds {
  readonly stream: Stream;
}

/** How a kind fared. */
export interface Tally {
  readonly made: number;
  readonly slowestMs: number;
}

export interface Outcome {
  readonly rounds: number;
  readonly edits: number;
  readonly looks: number;
  readonly packets: number;
  readonly lostByConcerned: number;
  readonly tallies: ReadonlyMap<string, Tally>;
}

/** Something is not as it should be; `edits` are those in force, in the order they were made. */
export class Violation extends Error {
  override readonly name = 'Violation';

  constructor(
    readonly problems: readonly string[],
    readonly edits: readonly Edit[],
    readonly when: string,
  ) {
    super(problems.join('\n'));
  }
}

export class Soak {
  private readonly choose: Chooser;
  private readonly tallies = new Map<string, Tally>();
  private readonly inForce: Edit[] = [];
  private looks = 0;
  private packets = 0;
  private lostByConcerned = 0;
  private edits = 0;
  private rounds = 0;

  constructor(
    private readonly view: LabView,
    private readonly ground: Ground,
    seed: number,
    private readonly tell: (line: string) => void,
    /** Rows to take; for a run that looks for one fault. */
    private readonly rows: readonly Row[] = ROWS,
  ) {
    this.choose = new Chooser(seed);
  }

  /** Until the time is over or `signal` says so; throws Violation. */
  async run(milliseconds: number, signal: AbortSignal): Promise<Outcome> {
    const deadline = performance.now() + milliseconds;
    let facts = await this.settle('before the first edit', []);
    const before = stateOf(facts);
    while (performance.now() < deadline && !signal.aborted) {
      facts = await this.round(facts);
      await this.compareWith(before);
      this.rounds += 1;
    }
    const { rounds, edits, looks, packets, lostByConcerned, tallies } = this;
    return { rounds, edits, looks, packets, lostByConcerned, tallies };
  }

  private async round(start: Facts): Promise<Facts> {
    const edits = this.chooseEdits();
    this.tell(`round ${this.rounds + 1}: ${edits.map(({ kind }) => kind).join(' + ')}`);
    const flows = await this.startFlows();
    let facts = start;
    try {
      for (const edit of edits) facts = await this.turn(edit, edits, 'made', facts);
      for (const edit of edits) facts = await this.turn(edit, edits, 'undone', facts);
    } catch (error) {
      await Promise.all(flows.map(({ stream }) => stream.stop()));
      throw error;
    }
    await this.countFlows(flows, edits);
    return facts;
  }

  private chooseEdits(): readonly Edit[] {
    const edits: Edit[] = [];
    const taken = new Set<string>();
    for (let wanted = this.choose.between(1, MOST_AT_ONCE); wanted > 0; wanted--) {
      const edit = this.choose.of(this.rows).make({ ground: this.ground, choose: this.choose });
      if (edit.slots.some((slot) => taken.has(slot))) continue;
      for (const slot of edit.slots) taken.add(slot);
      edits.push(edit);
    }
    return edits;
  }

  /** One edit is made or undone; settles when all say what follows from it. */
  private async turn(edit: Edit, round: readonly Edit[], how: 'made' | 'undone', before: Facts): Promise<Facts> {
    const [begun, concerned] = [performance.now(), [...this.inForce, edit]];
    if (how === 'made') this.inForce.push(edit);
    else this.inForce.splice(this.inForce.indexOf(edit), 1);
    for (const step of how === 'made' ? edit.steps : edit.undo) {
      const { args, input } = argvOf(step);
      await this.view.kubectl(args, input);
    }
    const facts = await this.settle(`after "${edit.kind}" was ${how}`, concerned);
    // A session may end a moment after all agreed that it is up: a key is only asked for in its next segment.
    const resets = resetsBetween(before, facts, (node, address) =>
      round.some((each) => each.resets?.(node, address) === true),
    );
    if (resets.length > 0) throw new Violation(resets, concerned, `after "${edit.kind}" was ${how}`);
    const took = performance.now() - begun;
    const { made = 0, slowestMs = 0 } = this.tallies.get(edit.kind) ?? {};
    this.tallies.set(edit.kind, { made: made + (how === 'made' ? 1 : 0), slowestMs: Math.max(slowestMs, took) });
    if (how === 'made') this.edits += 1;
    return facts;
  }

  private async settle(when: string, concerned: readonly Edit[]): Promise<Facts> {
    const model = emptyModel();
    for (const edit of this.inForce) edit.effect(model, this.ground);
    const told = this.inForce.flatMap((edit) => edit.told);
    return this.waitFor(when, concerned, (facts) => differences(this.ground, model, told, facts));
  }

  private compareWith(before: readonly string[]): Promise<Facts> {
    return this.waitFor('after everything was undone', this.inForce, (facts) => {
      const now = new Set(stateOf(facts));
      const was = new Set(before);
      return [
        ...before.filter((line) => !now.has(line)).map((line) => `was, and is not: ${line}`),
        ...[...now].filter((line) => !was.has(line)).map((line) => `was not, and is: ${line}`),
      ];
    });
  }

  private async waitFor(
    when: string,
    concerned: readonly Edit[],
    differencesOf: (facts: Facts) => readonly string[],
  ): Promise<Facts> {
    const deadline = performance.now() + SETTLED_WITHIN;
    for (;;) {
      const facts = await factsOf(this.view);
      this.looks += 1;
      const found = differencesOf(facts);
      if (found.length === 0) return facts;
      if (performance.now() > deadline) throw new Violation(found, concerned, when);
      await sleep(LOOK_EVERY);
    }
  }

  private async startFlows(): Promise<readonly Flow[]> {
    const pods = (await this.view.status()).pods.filter(({ state, ips }) => state === 'Running' && ips.length > 0);
    const [outside] = this.view.rack.outside;
    const one = this.ground.nodes.flatMap(({ name }) => pods.find(({ node }) => node === name) ?? []);
    const flows: Flow[] = [];
    for (const [family, name] of [
      [4, 'ipv4'],
      [6, 'ipv6'],
    ] as const)
      for (const [index, to] of one.entries()) {
        const from = one[(index + 1) % one.length];
        const target = { to: ipOf(to, family), port: ECHO_PORT, protocol: 'udp' as const };
        if (from !== undefined)
          flows.push({
            family: name,
            ends: [from.node, to.node],
            stream: await startStream({
              ...target,
              label: `${podName(from)} -> ${podName(to)}, IPv${family}`,
              netns: from.netns,
              isFresh: index === 0,
            }),
          });
        if (outside !== undefined && index > 0)
          flows.push({
            family: name,
            ends: ['outside', to.node],
            stream: await startStream({
              ...target,
              label: `${outside.name} -> ${podName(to)}, IPv${family}`,
              netns: outside.netns,
              isFresh: true,
            }),
          });
      }
    return flows;
  }

  private async countFlows(flows: readonly Flow[], edits: readonly Edit[]): Promise<void> {
    const results = await Promise.all(flows.map(async (flow) => [flow, await flow.stream.stop()] as const));
    const hurt: StreamResult[] = [];
    for (const [flow, result] of results) {
      this.packets += result.sent;
      const isConcerned = edits.some((edit) => edit.concerns?.(flow) === true);
      if (isConcerned) this.lostByConcerned += result.lost;
      else if (result.lost > 0 || result.error !== '' || result.received === 0) hurt.push(result);
    }
    if (hurt.length > 0)
      throw new Violation(
        hurt.map(describeStream),
        edits,
        'while these edits, which do not concern the flows, were made and undone',
      );
  }
}

export type { Model };
