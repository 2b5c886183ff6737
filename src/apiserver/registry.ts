/**
 * The kinds served right now: the built-in ones for good, custom ones as their CRDs come and go. Every change gets a new
 * `epoch`, by which discovery and OpenAPI documents are cached.
 */
import { randomUUID } from 'node:crypto';
import { apiVersionOf, type ResourceType } from './resource-type.js';

export class Registry {
  /** BOUNDED by the CRDs stored. */
  #types = new Map<string, ResourceType>();
  #epoch = 0;
  /** kubectl keeps documents by address and hash: a server that gets the port of an earlier one is another server. */
  readonly #instance = randomUUID();

  constructor(builtIn: readonly ResourceType[]) {
    for (const type of builtIn) this.#types.set(keyOf(type.group, type.version, type.plural), type);
  }

  /** Never the same for two states, of this server or another. */
  get documentHash(): string {
    return `${this.#instance}-${this.#epoch}`;
  }

  get epoch(): number {
    return this.#epoch;
  }

  all(): readonly ResourceType[] {
    return [...this.#types.values()];
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(keyOf(group, version, plural));
  }

  ofKind(apiVersion: string, kind: string): ResourceType | undefined {
    return this.all().find((type) => type.kind === kind && apiVersionOf(type) === apiVersion);
  }

  /** Replaces all types kept in `bucket` by these. */
  set(bucket: string, types: readonly ResourceType[]): void {
    const kept = [...this.#types].filter(([, type]) => type.bucket !== bucket);
    this.#types = new Map([
      ...kept,
      ...types.map((type) => [keyOf(type.group, type.version, type.plural), type] as const),
    ]);
    this.#epoch += 1;
  }

  /** Group names in the order they are served, core ("") first; versions of each, preferred first. */
  groups(): ReadonlyMap<string, readonly string[]> {
    const groups = new Map<string, Set<string>>();
    for (const type of this.all()) groups.set(type.group, (groups.get(type.group) ?? new Set()).add(type.version));
    return new Map(
      [...groups]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([group, versions]) => [group, [...versions].sort(compareVersions)]),
    );
  }

  ofVersion(group: string, version: string): readonly ResourceType[] {
    return this.all().filter((type) => type.group === group && type.version === version);
  }
}

const keyOf = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`;

/** Kubernetes' version priority: v2, v1, v1beta2, v1beta1, v1alpha1, then others by name. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [rankOf(left), rankOf(right)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (b[index] ?? 0) - (a[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return left < right ? -1 : Number(left > right);
}

function rankOf(version: string): readonly number[] {
  const match = /^v([0-9]+)(?:(alpha|beta)([0-9]+))?$/.exec(version);
  if (match === null) return [0, 0, 0];
  const stability = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1;
  return [stability, Number(match[1]), Number(match[3] ?? 0)];
}
