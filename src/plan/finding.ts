/** What a plan has to say, one line each, worst first. */

/**
 * How much harm it does:
 *   cut     something is reached no more, or told to nobody: a guard would stop it
 *   loss    part of what stands goes, and other ways are left
 *   refused something that the change asks for, and that will not be done
 *   change  it is another way afterwards
 *   gain    it comes
 */
export type Harm = 'cut' | 'loss' | 'refused' | 'change' | 'gain';

export const HARMS: readonly Harm[] = ['cut', 'loss', 'refused', 'change', 'gain'];

export type Area = 'bgp' | 'pools' | 'policy' | 'services';

export interface Finding {
  readonly harm: Harm;
  readonly area: Area;
  /** "BGPPeer/rack-a": the object that has to do with it. */
  readonly object: string;
  /** "spec.nodeSelector". */
  readonly field?: string;
  readonly node?: string;
  /** A sentence. */
  readonly message: string;
  /** What shows it. */
  readonly evidence?: string;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Worst first; then by object, field and node. */
export const byHarm = (findings: readonly Finding[]): readonly Finding[] =>
  [...findings].sort(
    (a, b) =>
      HARMS.indexOf(a.harm) - HARMS.indexOf(b.harm) ||
      compare(a.object, b.object) ||
      compare(a.field ?? '', b.field ?? '') ||
      compare(a.node ?? '', b.node ?? '') ||
      compare(a.message, b.message),
  );

/** `tortie plan` ends with it: 0 nothing changes, 2 something does, 3 a guard would stop it. */
export const exitCodeOf = (findings: readonly Finding[]): 0 | 2 | 3 =>
  findings.some(({ harm }) => harm === 'cut') ? 3 : findings.length > 0 ? 2 : 0;

/** A few of many, in words: "10.0.0.0/26, 10.0.0.64/26 and 3 more". */
export function some(names: readonly string[], most = 5): string {
  const sorted = [...names].sort(compare);
  const more = sorted.length - most;
  return more > 0 ? `${sorted.slice(0, most).join(', ')} and ${more} more` : sorted.join(', ');
}

export function formatFindings(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'Nothing changes';
  const width = Math.max(...findings.map(({ harm }) => harm.length));
  const lines = findings.map(({ harm, object, field, node, message, evidence }) => {
    const place = field === undefined ? object : `${object} ${field}`;
    const where = node === undefined || object === `Node/${node}` ? '' : ` node ${node}:`;
    return `${harm.padEnd(width)}  ${place}:${where} ${message}${evidence === undefined ? '' : `\n${' '.repeat(width)}    ${evidence}`}`;
  });
  const counts = HARMS.flatMap((harm) => {
    const count = findings.filter((finding) => finding.harm === harm).length;
    return count === 0 ? [] : [`${count} ${harm}`];
  });
  return `${lines.join('\n')}\n\n${counts.join(', ')}`;
}
