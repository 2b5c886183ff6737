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

/** BOUNDED: lines of one harm that a person reads; -o json has all. */
const MOST_LINES = 40;

/** The same of several nodes in one line. */
export function formatFindings(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'Nothing changes';
  const width = Math.max(...findings.map(({ harm }) => harm.length));
  const indent = ' '.repeat(width);
  const counts: string[] = [];
  const lines = HARMS.flatMap((harm) => {
    const ofHarm = findings.filter((finding) => finding.harm === harm);
    if (ofHarm.length === 0) return [];
    counts.push(`${ofHarm.length} ${harm}`);
    const merged = merge(ofHarm);
    const more = merged.length - MOST_LINES;
    return [
      ...merged.slice(0, MOST_LINES).map(({ place, message, evidence }) => {
        const line = `${harm.padEnd(width)}  ${place}: ${message}`;
        return evidence === undefined ? line : `${line}\n${indent}    ${evidence}`;
      }),
      ...(more > 0 ? [`${harm.padEnd(width)}  and ${more} more of these; -o json has them all`] : []),
    ];
  });
  return `${lines.join('\n')}\n\n${counts.join(', ')}`;
}

interface Line {
  readonly place: string;
  readonly message: string;
  readonly evidence: string | undefined;
}

function merge(findings: readonly Finding[]): readonly Line[] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const { object, field, message, evidence, node } = finding;
    // What a node tells of itself is its own line.
    const key = JSON.stringify([
      object,
      field,
      message,
      object === `Node/${node ?? ''}` ? '' : withoutNode(evidence, node),
    ]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [finding]);
    else group.push(finding);
  }
  return [...groups.values()].map((group): Line => {
    const [first] = group as [Finding];
    const { object, field, message, evidence } = first;
    const nodes = [
      ...new Set(group.flatMap(({ node }) => (node === undefined || object === `Node/${node}` ? [] : [node]))),
    ];
    const place = [object, ...(field === undefined ? [] : [field])].join(' ');
    const where =
      nodes.length === 0
        ? ''
        : nodes.length === 1
          ? `: node ${nodes[0] ?? ''}`
          : `: ${nodes.length} nodes (${some(nodes)})`;
    return { place: `${place}${where}`, message, evidence };
  });
}

/** Evidence that differs only in whose it is does not keep nodes apart. */
const withoutNode = (evidence: string | undefined, node: string | undefined): string | undefined =>
  node === undefined ? evidence : evidence?.replaceAll(`Node/${node} `, 'Node ');
