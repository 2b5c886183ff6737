/** The flags of `tortie apply` that have to do with trials. */
import type { ChangeSpec } from '../api/change.js';
import { UserError } from '../errors.js';
import type { LabelWish } from './compose.js';
import { parseProbe } from './probe.js';

export interface TrialFlags {
  readonly filename?: readonly string[];
  readonly confirm?: string;
  readonly canary?: string;
  readonly step?: string;
  readonly minSessions?: string;
  readonly probe?: readonly string[];
  readonly delete?: boolean;
  readonly label?: readonly string[];
  readonly name?: string;
  readonly wait?: boolean;
}

export interface TrialWish {
  readonly name: string;
  readonly spec: Omit<ChangeSpec, 'objects'>;
  readonly labels: readonly LabelWish[];
  readonly isRemoval: boolean;
  readonly isWaiting: boolean;
}

const UNITS = { s: 1, m: 60, h: 3600 } as const;
const SHORTEST = 10;
const LONGEST = 86_400;

/** Undefined: no trial is asked for. @throws UserError */
export function parseTrialFlags(flags: TrialFlags, at = new Date()): TrialWish | undefined {
  if (flags.confirm === undefined) {
    const alone = (['canary', 'step', 'minSessions', 'probe', 'delete', 'label', 'name'] as const).find(
      (flag) => flags[flag] !== undefined,
    );
    if (alone !== undefined)
      throw new UserError(
        `Cannot use --${dashed(alone)} without --confirm: expected --confirm with a time, such as 5m`,
        2,
      );
    if (flags.filename === undefined) throw new UserError('Cannot apply: no objects are given; expected -f', 2);
    return undefined;
  }
  const labels = pairsOf(flags.label ?? []);
  if (flags.filename === undefined && (labels.length === 0 || flags.delete === true))
    throw new UserError('Cannot apply: no change is given; expected -f or --label', 2);
  const canary = flags.canary?.split(',').filter((name) => name !== '');
  return {
    name: flags.name ?? `change-${at.toISOString().slice(0, 19).replace(/[-:]/g, '').toLowerCase()}`,
    spec: {
      confirmSeconds: secondsOf(flags.confirm),
      ...(canary === undefined ? {} : { canary }),
      ...(flags.step === undefined ? {} : { stepSize: countOf('--step', flags.step, 1) }),
      ...(flags.minSessions === undefined ? {} : { minSessions: countOf('--min-sessions', flags.minSessions, 0) }),
      ...(flags.probe === undefined ? {} : { probes: flags.probe.map(probeOf) }),
    },
    labels,
    isRemoval: flags.delete === true,
    isWaiting: flags.wait !== false,
  };
}

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function secondsOf(text: string): number {
  const [, count = '', unit = ''] = /^(\d+)([smh])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit as keyof typeof UNITS] ?? 0);
  if (seconds < SHORTEST || seconds > LONGEST)
    throw new UserError(`Cannot use --confirm "${text}": expected 10s to 24h, such as 90s, 5m or 1h`, 2);
  return seconds;
}

function countOf(flag: string, text: string, least: number): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= least && count <= 10_000) return count;
  throw new UserError(`Cannot use ${flag} "${text}": expected a number from ${least} to 10000`, 2);
}

function probeOf(text: string): string {
  const probe = parseProbe(text, 'default');
  if (probe === undefined)
    throw new UserError(`Cannot use --probe "${text}": expected NAMESPACE/POD:PORT, such as default/web:80`, 2);
  return `${probe.namespace}/${probe.pod}:${probe.port}`;
}

function pairsOf(words: readonly string[]): readonly LabelWish[] {
  if (words.length % 2 !== 0)
    throw new UserError(`Cannot use --label "${words.join(' ')}": expected NODE KEY=VALUE, or NODE KEY-`, 2);
  return words.flatMap((node, index) => (index % 2 === 0 ? [{ node, wish: words[index + 1] ?? '' }] : []));
}
