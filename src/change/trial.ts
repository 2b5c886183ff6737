/**
 * A Change on trial at one node: what the node does next, and whether it is well with it. Pure.
 *
 *            take                       confirmed by somebody
 *   (none) --------> taken ------------------------------------------> follow --> (none)
 *                      | not well, no API server, time is up,            ^ until the plain objects are all here
 *                      | or somebody ends it                             |
 *                      +--------> reverted --> (none) when it is over    (a node that has not taken it follows, too)
 *
 * What a node has taken stands on its disk before it acts (trial-record.ts), so that it goes on from there whenever it is killed.
 */
import type { Change, ChangePhase } from '../api/change.js';

/** How a node is, as far as a trial can spoil it. */
export interface Vitals {
  /** Why bgpd does not hold what it should, or is not seen to. */
  readonly bgpProblem: string | undefined;
  /** Sessions that bgpd has; undefined: it does not answer. */
  readonly sessions: readonly SessionVitals[] | undefined;
  /** What else keeps the node from its work: policy and routes that the kernel does not take, addresses that pods do not get. */
  readonly problems: readonly string[];
  /** Probes that connect. */
  readonly probes: readonly string[];
}

export interface SessionVitals {
  readonly name: string;
  readonly isEstablished: boolean;
  /** Prefixes that import filters let in, and that the peer was told. */
  readonly accepted: number;
  readonly told: number;
}

/** What a node remembers of the Change that it has to do with. */
export interface TrialRecord {
  readonly name: string;
  readonly uid: string;
  readonly state: 'taken' | 'reverted';
  /** Milliseconds since 1970, by this node's clock. */
  readonly takenAt: number;
  readonly change: Change;
  /** Could a connection to the API server be made before? */
  readonly isDialled: boolean;
  /** How the node was before. */
  readonly before: Vitals;
  /** Why it went back. */
  readonly reason?: string;
}

export type Step =
  | { readonly type: 'nothing' }
  | { readonly type: 'take'; readonly change: Change }
  /** It is on trial here: look after it. */
  | { readonly type: 'watch'; readonly change: Change }
  /** Back to what stood before; `isOver`: by nobody's decision here. */
  | { readonly type: 'revert'; readonly reason: string }
  /** It went back here: the others have to know. */
  | { readonly type: 'tell'; readonly change: Change; readonly reason: string }
  /** Confirmed: what it says is seen until the plain objects say the same. */
  | { readonly type: 'follow'; readonly change: Change; readonly isWritten: boolean }
  | { readonly type: 'forget' };

const FOLLOWED: readonly (ChangePhase | undefined)[] = ['Confirming', 'Confirmed'];

/** @param known the Changes as the API server had them when it was last heard of */
export function nextStep(node: string, known: readonly Change[], record: TrialRecord | undefined): Step {
  if (record === undefined) return firstStep(node, known);
  const change = known.find(({ metadata }) => metadata.uid === record.uid);
  const phase = change?.status?.phase;
  if (change !== undefined && FOLLOWED.includes(phase))
    return { type: 'follow', change, isWritten: phase === 'Confirmed' };
  if (record.state === 'reverted')
    return change !== undefined && phase === 'Trial'
      ? { type: 'tell', change, reason: record.reason ?? '' }
      : change === undefined || phase === 'Reverted'
        ? { type: 'forget' }
        : { type: 'nothing' };
  if (change === undefined) return { type: 'revert', reason: 'the Change was deleted' };
  if (phase !== 'Trial') return { type: 'revert', reason: change.status?.message ?? 'it was ended' };
  if (change.metadata.generation !== change.status?.observedGeneration)
    return { type: 'revert', reason: 'its spec was changed while it was on trial' };
  return { type: 'watch', change };
}

function firstStep(node: string, known: readonly Change[]): Step {
  const confirming = known.find(({ status }) => status?.phase === 'Confirming');
  if (confirming !== undefined) return { type: 'follow', change: confirming, isWritten: false };
  const change = known.find(
    ({ status, metadata }) => status?.phase === 'Trial' && metadata.generation === status.observedGeneration,
  );
  const own = change?.status?.nodes?.find(({ name }) => name === node);
  if (change === undefined || own === undefined || own.step > (change.status?.step ?? -1)) return { type: 'nothing' };
  // Ended here already, and the record is gone with a disk.
  if (own.state === 'Reverted') return { type: 'nothing' };
  return { type: 'take', change };
}

/** So long sessions may take to come back after a node took a Change, or its agent started anew. */
export const SETTLE = 30_000;
/** So long they may be away later. */
export const PATIENCE = 5_000;
/** So long the API server may be away. */
export const API_PATIENCE = 10_000;
/** So long all has to be well before the next step may begin. */
export const CALM = 8_000;

/** What is measured while it is on trial; times in milliseconds of one clock. */
export interface Trial {
  readonly now: number;
  readonly takenAt: number;
  /** Since when this agent looks after it: since it was taken, or the agent's own start. */
  readonly watchedSince: number;
  /** When the API server last answered. */
  readonly apiAt: number;
  /** Since when all is well; undefined: it is not. */
  readonly wellSince: number | undefined;
  /** Since when it is not; undefined: it is. */
  readonly unwellSince: number | undefined;
}

export type Judgement =
  | { readonly type: 'wait'; readonly why: string }
  | { readonly type: 'well' }
  | { readonly type: 'revert'; readonly reason: string };

export function judge(
  { change, before }: Pick<TrialRecord, 'change' | 'before'>,
  vitals: Vitals,
  { now, takenAt, watchedSince, apiAt, wellSince, unwellSince }: Trial,
): Judgement {
  const { confirmSeconds } = change.spec;
  const revert = (reason: string): Judgement => ({ type: 'revert', reason });
  if (now - takenAt >= confirmSeconds * 1000) return revert(`nobody confirmed it within ${confirmSeconds} s`);
  if (now - apiAt >= API_PATIENCE)
    return revert(`the API server, which answered before, has not for ${Math.round((now - apiAt) / 1000)} s`);
  const ill = illness(change, before, vitals);
  if (ill === undefined)
    return wellSince !== undefined && now - wellSince >= CALM
      ? { type: 'well' }
      : { type: 'wait', why: 'all is well; looking a little longer' };
  if (ill.isForGood) return revert(ill.why);
  const isSettled = now - watchedSince >= SETTLE;
  if (isSettled && unwellSince !== undefined && now - unwellSince >= PATIENCE) return revert(ill.why);
  return { type: 'wait', why: ill.why };
}

/** What is worse than before; `isForGood`: time does not mend it. */
export function illness(
  { spec }: { readonly spec: Pick<Change['spec'], 'minSessions'> },
  before: Vitals,
  now: Vitals,
): { readonly why: string; readonly isForGood: boolean } | undefined {
  const passing = (why: string) => ({ why, isForGood: false });
  if (now.bgpProblem !== undefined && before.bgpProblem === undefined) return passing(now.bgpProblem);
  if (now.sessions === undefined) return before.sessions === undefined ? undefined : passing('bgpd does not answer');
  const were = carrying(before.sessions ?? [], before).length;
  const wanted = spec.minSessions ?? were;
  const beside = spec.minSessions === undefined ? ', as before' : ' by spec.minSessions';
  if (now.bgpProblem === undefined && now.sessions.length < wanted)
    return { why: `it leaves ${now.sessions.length} sessions; expected ${wanted}${beside}`, isForGood: true };
  const are = carrying(now.sessions, before);
  if (are.length < wanted) {
    const silent = now.sessions.filter((session) => !are.includes(session)).map(({ name }) => name);
    return passing(
      `${are.length} sessions carry routes; expected ${wanted}${beside} (not: ${silent.slice(0, 5).join(', ')})`,
    );
  }
  const refused = now.problems.find((problem) => !before.problems.includes(problem));
  if (refused !== undefined) return passing(refused);
  const lost = before.probes.find((probe) => !now.probes.includes(probe));
  return lost === undefined ? undefined : passing(`${lost} does not answer, as it did before`);
}

/** Sessions that do their work: up, and not without routes where there were some. */
const carrying = (sessions: readonly SessionVitals[], before: Vitals): readonly SessionVitals[] =>
  sessions.filter(({ name, isEstablished, accepted, told }) => {
    const was = before.sessions?.find((session) => session.name === name && session.isEstablished);
    const isBare = was !== undefined && ((was.accepted > 0 && accepted === 0) || (was.told > 0 && told === 0));
    return isEstablished && !isBare;
  });
