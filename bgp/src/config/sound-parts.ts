/**
 * What of a configuration can be checked further though some of its fields are no such fields: whoever corrects a file hears at once also
 * what the sound parts of it mean to each other.
 */
import type { SpeakerConfig } from '../config.js';
import { filterShape } from './filter-shape.js';
import { isObject, type Field, type Problem } from './schema.js';
import { dynamicPeersShape, originatedShape, peerShape, speakerFields } from './shape.js';

export interface SoundParts {
  /** Peers, ranges and prefixes that are ill-formed are left out; a filter that is has no rules. */
  readonly config: SpeakerConfig;
  /** Without our AS nobody knows which peers are internal. */
  readonly hasAs: boolean;
  /** A problem of `config` as one of the whole: peers[0] may be peers[2] there. */
  readonly placed: (problem: Problem) => Problem;
}

const LISTS: ReadonlyMap<string, Field> = new Map([
  ['peers', peerShape],
  ['dynamicPeers', dynamicPeersShape],
  ['originate', originatedShape],
]);

/** Undefined: it is no mapping. */
export function soundParts(value: unknown): SoundParts | undefined {
  if (!isObject(value)) return undefined;
  const indexes = new Map<string, readonly number[]>();
  const config: Record<string, unknown> = {};
  for (const [name, field] of speakerFields) {
    const part = value[name];
    const item = LISTS.get(name);
    if (name === 'filters') config[name] = isObject(part) ? soundFilters(part) : {};
    else if (item !== undefined) {
      const elements: readonly unknown[] = Array.isArray(part) ? part : [];
      const sound = elements.flatMap((element, index) => (isSound(item, element) ? [index] : []));
      indexes.set(name, sound);
      config[name] = sound.map((index) => elements[index]);
    } else if (part !== undefined && part !== null && isSound(field, part)) config[name] = part;
  }
  const hasAs = config['localAs'] !== undefined;
  return {
    // Ill-formed is what would have been looked at wrongly; the rest is as its type says.
    config: { localAs: NaN, routerId: '', ...config },
    hasAs,
    placed: ({ path, value: shown, expected }) => ({
      path: placed(path, indexes),
      value: shown,
      expected: placed(expected, indexes),
    }),
  };
}

function isSound(field: Field, value: unknown): boolean {
  const problems: Problem[] = [];
  field.check(value, '', problems);
  return problems.length === 0;
}

/** All names: who names one of them is right. */
const soundFilters = (filters: Readonly<Record<string, unknown>>): SpeakerConfig['filters'] =>
  Object.fromEntries(
    Object.entries(filters).map(([name, filter]) => [
      name,
      isSound(filterShape, filter) ? (filter as NonNullable<SpeakerConfig['filters']>[string]) : { rules: [] },
    ]),
  );

const placed = (text: string, indexes: ReadonlyMap<string, readonly number[]>): string =>
  text.replace(
    /\b(peers|dynamicPeers|originate)\[(\d+)\]/g,
    (_, name: string, index: string) => `${name}[${indexes.get(name)?.[Number(index)] ?? index}]`,
  );
