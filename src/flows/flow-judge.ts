/**
 * What policy said to a connection at an end, from the engine that `tortie policy explain` asks, remembered for as long as the rules are
 * the same: a pair of pods that talks a thousand times a second is judged once.
 */
import type { Direction, EndVerdict, Flow as PolicyFlow } from '@tortie/policy';
import type { EndDecision } from './flow.js';

export interface Judge {
  /** Another one: earlier answers may be wrong. */
  readonly generation: number;
  /** Does a rule look at source ports? Then they are part of the question. */
  readonly looksAtSourcePorts: boolean;
  judge(flow: PolicyFlow, direction: Direction): EndVerdict;
}

/** BOUNDED: begun anew when full. */
const MOST_ANSWERS = 16_384;

export class FlowJudge {
  private answers = new Map<string, EndDecision>();
  /** One object for all equal decisions. BOUNDED: begun anew when full. */
  private decisions = new Map<string, EndDecision>();
  private readonly numbers = new WeakMap<EndDecision, number>();
  private next = 0;
  private generation = -1;

  constructor(private readonly judge: Judge) {}

  decisionAt(flow: PolicyFlow, direction: Direction, pair: string): EndDecision {
    if (this.judge.generation !== this.generation) {
      this.generation = this.judge.generation;
      this.answers = new Map();
    }
    const key = `${direction} ${pair}${this.judge.looksAtSourcePorts ? ` ${flow.sourcePort ?? ''}` : ''}`;
    const known = this.answers.get(key);
    if (known !== undefined) return known;
    if (this.answers.size >= MOST_ANSWERS) this.answers = new Map();
    const { allowed, decision, staged } = this.judge.judge(flow, direction);
    const answer = this.unique({ allowed, decision, staged });
    this.answers.set(key, answer);
    return answer;
  }

  /** The same object for decisions that are equal. */
  unique(decision: EndDecision): EndDecision {
    const text = JSON.stringify(decision);
    const known = this.decisions.get(text);
    if (known !== undefined) return known;
    if (this.decisions.size >= MOST_ANSWERS) this.decisions = new Map();
    this.decisions.set(text, decision);
    this.numbers.set(decision, this.next++);
    return decision;
  }

  /** The same for equal decisions that are answers of this judge; -1 for none. */
  numberOf(decision: EndDecision | undefined): number {
    return decision === undefined ? -1 : (this.numbers.get(decision) ?? -1);
  }
}
