/** From what was seen to a verdict: one row per promise, each with its evidence. */
import type { Differences } from './final-state.js';
import type { Stall } from './stall-watch.js';
import type { Silence } from './wire-watch.js';

export interface Sample {
  /** Seconds since the churn began. */
  readonly seconds: number;
  readonly residentMegabytes: number;
  readonly cpuSeconds: number;
}

export interface Loss {
  readonly at: number;
  readonly peer: string;
  readonly reason: string;
}

export interface SteadyCounts {
  readonly timesEstablished: number;
  readonly bfdFailures: number;
}

export interface Observation {
  readonly minutes: number;
  readonly rate: number;
  readonly sent: number;
  readonly late: number;
  readonly flaps: number;
  readonly samples: readonly Sample[];
  /** Sessions that ended and were not meant to. */
  readonly losses: readonly Loss[];
  /** Silences of BFD on the wire, either side's. */
  readonly silences: readonly Silence[];
  /** BFD packets seen on the wire, by who sent them. */
  readonly bfdPackets: Readonly<Record<Silence['from'], number>>;
  /** What bgpd itself counts for the steady peer; undefined: it could not be asked. */
  readonly steady: SteadyCounts | undefined;
  readonly differences: Differences;
  readonly stalls: readonly Stall[];
  /** bgpd ended, or something else that ended the run. */
  readonly problem?: string;
}

export interface Row {
  readonly promise: string;
  readonly outcome: 'kept' | 'BROKEN' | 'not judged';
  readonly evidence: string;
}

/** Memory is judged from here on: before, heaps and tables still fill. */
const WARM_UP_SHARE = 0.1;
const SHORTEST_JUDGED_MINUTES = 6;
const BFD_INTERVAL = 50;
const DETECTION_TIME = 3 * BFD_INTERVAL;

export function judge(seen: Observation): readonly Row[] {
  const different = Object.entries(seen.differences).filter(([, count]) => count > 0);
  const isCompared = Object.keys(seen.differences).length > 0;
  return [
    { promise: 'it ran to its end', ...kept(seen.problem === undefined, seen.problem ?? `${seen.minutes} minutes`) },
    churnRow(seen),
    memoryRow(seen.samples),
    sessionsRow(seen),
    bfdRow(seen),
    watchRow(seen),
    {
      promise: 'all tables equal the model',
      ...kept(
        isCompared && different.length === 0,
        !isCompared
          ? 'never compared'
          : different.map(([what, count]) => `${what}: ${count} differ`).join('; ') ||
              Object.keys(seen.differences).join(', '),
      ),
    },
  ];
}

const kept = (isKept: boolean, evidence: string): Pick<Row, 'outcome' | 'evidence'> => ({
  outcome: isKept ? 'kept' : 'BROKEN',
  evidence,
});

/** A run that did less than was ordered has shown less than it claims. */
function churnRow({ sent, late, minutes, rate, flaps }: Observation): Row {
  const achieved = sent / (minutes * 60);
  return {
    promise: 'churn as ordered, none late',
    ...kept(
      achieved >= 0.95 * rate && late === 0,
      `${sent} updates, ${achieved.toFixed(0)}/s of ${rate}/s ordered, ${late} late; ${flaps} flaps`,
    ),
  };
}

/** Losses as the peers and the log tell them; bgpd's own count has to agree, or the log has not been understood. */
function sessionsRow({ losses, steady }: Observation): Row {
  const told = losses.map(({ at, peer, reason }) => `${peer} at ${new Date(at).toISOString()}: ${reason}`);
  const counted =
    steady === undefined
      ? 'bgpd could not be asked for its own count'
      : steady.timesEstablished !== 1
        ? `bgpd counts ${steady.timesEstablished} times that the steady session came up`
        : undefined;
  return {
    promise: 'no session lost',
    ...kept(
      told.length === 0 && counted === undefined,
      [...told, ...(counted === undefined ? [] : [counted])].join('; ') || 'none',
    ),
  };
}

/** No silence is only worth something where the packets were seen. */
function watchRow({ minutes, bfdPackets: { ours, peer } }: Observation): Row {
  // Jitter only shortens the interval (RFC 5880 section 6.8.7): fewer packets mean silence, or a capture that missed them.
  const least = Math.floor((0.95 * minutes * 60_000) / BFD_INTERVAL);
  return {
    promise: 'BFD watched all the time',
    ...kept(
      Math.min(ours, peer) >= least,
      `${ours} packets of ours and ${peer} of the peer on the wire, at least ${least} expected`,
    ),
  };
}

/**
 * A leak raises the highest the resident set gets, and goes on to the end; V8 giving back and taking again a young
 * generation does neither. So the second half of the run is held against the first by its peak, and the line through it
 * must not rise.
 */
function memoryRow(samples: readonly Sample[]): Row {
  const promise = 'memory is flat';
  const last = samples.at(-1)?.seconds ?? 0;
  const judged = samples.filter(({ seconds }) => seconds >= last * WARM_UP_SHARE);
  const [early, late] = [
    judged.filter(({ seconds }) => seconds <= last / 2),
    judged.filter(({ seconds }) => seconds > last / 2),
  ];
  const mean = average(judged.map(({ residentMegabytes }) => residentMegabytes));
  const minutes = (last - (late[0]?.seconds ?? last)) / 60;
  const slope = slopeOf(late.map(({ seconds, residentMegabytes }) => [seconds / 60, residentMegabytes]));
  const growth = Math.max(peakOf(late) - peakOf(early), slope * minutes);
  const evidence =
    `mean ${mean.toFixed(0)} MB, peak ${peakOf(early).toFixed(0)} MB in the first half and ` +
    `${peakOf(late).toFixed(0)} MB in the second, slope there ${slope.toFixed(2)} MB/min`;
  if (last / 60 < SHORTEST_JUDGED_MINUTES)
    return { promise, outcome: 'not judged', evidence: `${evidence}; the run is too short` };
  return { promise, ...kept(growth <= mean / 20, evidence) };
}

const peakOf = (samples: readonly Sample[]): number =>
  Math.max(0, ...samples.map(({ residentMegabytes }) => residentMegabytes));

/** Failures of BFD that ended a session, and for each whether somebody had really been silent. */
function bfdRow({ losses, stalls, silences, steady }: Observation): Row {
  // BIRD 2.0 does not say why (Cease without a subcode) when it is its own BFD that has missed us.
  const failures = losses.filter(
    ({ at, reason }) => reason.startsWith('BFD ') || silenceBefore(at, 'ours', silences) !== undefined,
  );
  // A session that is down sends once a second (RFC 5880 section 6.8.3): what follows a failure is no silence.
  const whileUp = silences.filter(
    (silence) => !failures.some(({ at }) => silence.at > at + 100 && silence.at < at + 10_000),
  );
  const longest = (from: Silence['from']): number =>
    Math.max(0, ...whileUp.filter((silence) => silence.from === from).map(({ milliseconds }) => milliseconds));
  const long = stalls.filter(({ milliseconds }) => milliseconds >= DETECTION_TIME).length;
  // bgpd's own count begins anew with each BGP session: more than the log tells is a riddle, less is not.
  const causes = failures.map(({ at }) => causeOf(at, silences, stalls));
  return {
    promise: 'BFD 50 ms x 3 never false',
    ...kept(
      failures.length === 0 && steady?.bfdFailures === 0,
      [
        `${failures.length} failures`,
        ...(steady !== undefined && steady.bfdFailures <= failures.length
          ? []
          : [`bgpd counts ${steady?.bfdFailures ?? 'nothing'}`]),
        ...causes,
        `longest silence on the wire: ours ${longest('ours')} ms, the peer's ${longest('peer')} ms (0: below 100)`,
        `a thread that only sleeps woke 50 ms late or later ${stalls.length} times, ${long} times ${DETECTION_TIME} ` +
          `ms, at most ${Math.max(0, ...stalls.map(({ milliseconds }) => milliseconds))} ms`,
      ].join('; '),
    ),
  };
}

/** The silence that ended about then: just after the failure, or, if it is its cause at the other end, just before. */
const silenceBefore = (at: number, from: Silence['from'], silences: readonly Silence[]): Silence | undefined =>
  silences.find(
    (each) =>
      each.from === from &&
      each.milliseconds >= DETECTION_TIME * 0.9 &&
      each.at > at - 100 &&
      each.at - each.milliseconds < at,
  );

function causeOf(at: number, silences: readonly Silence[], stalls: readonly Stall[]): string {
  const [peer, ours] = [silenceBefore(at, 'peer', silences), silenceBefore(at, 'ours', silences)];
  const silent = [
    ...(peer === undefined ? [] : [`the peer had sent nothing for ${peer.milliseconds} ms`]),
    ...(ours === undefined ? [] : [`we had sent nothing for ${ours.milliseconds} ms`]),
  ];
  const late = stalls.filter((stall) => Math.abs(stall.at - at) < 1000).map(({ milliseconds }) => `${milliseconds} ms`);
  const machine =
    late.length === 0
      ? 'no stall of the machine was seen within a second'
      : `within a second the machine stalled for ${late.join(', ')}`;
  return `at ${new Date(at).toISOString()} ${silent.join(' and ') || 'NOBODY had been silent'}, ${machine}`;
}

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

function slopeOf(points: readonly (readonly [number, number])[]): number {
  const [meanX, meanY] = [average(points.map(([x]) => x)), average(points.map(([, y]) => y))];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
}

export const isGood = (rows: readonly Row[]): boolean => rows.every(({ outcome }) => outcome !== 'BROKEN');

/** A row per promise; the last line is the verdict, and says what it leaves open. */
export function formatVerdict(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ promise }) => promise.length));
  const named = (outcome: Row['outcome']): string =>
    rows
      .filter((row) => row.outcome === outcome)
      .map(({ promise }) => promise)
      .join(', ');
  const open = named('not judged');
  const verdict = isGood(rows) ? `good${open === '' ? '' : `, not judged: ${open}`}` : `BROKEN: ${named('BROKEN')}`;
  const lines = rows.map((row) => `  ${row.outcome.padEnd(10)}  ${row.promise.padEnd(width)}  ${row.evidence}`);
  return `${[...lines, verdict].join('\n')}\n`;
}
