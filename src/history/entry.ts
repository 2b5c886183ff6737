/** What a node remembers of the last days: changes of objects, sessions, routes. The contract of `tortie history -o json`. */

export type HistoryEntry = ObjectEntry | SessionEntry | RouteEntry | ProcessEntry;
export type HistoryType = HistoryEntry['type'];
export const HISTORY_TYPES: readonly HistoryType[] = ['object', 'session', 'route', 'process'];

interface At {
  /** RFC 3339, UTC, with milliseconds. */
  readonly at: string;
}

export interface ObjectEntry extends At {
  readonly type: 'object';
  /** "BGPPeer" */
  readonly kind: string;
  /** "name" or "namespace/name" */
  readonly name: string;
  /** found: it was made or changed while nobody here watched. */
  readonly verb: 'created' | 'changed' | 'deleted' | 'found';
  /** Tells the same change seen by another node. */
  readonly version: string;
  /** Who wrote last, by metadata.managedFields: the program, as a rule. */
  readonly by?: string;
  readonly fields?: readonly ChangedField[];
  /** Fields that differ and are not listed. */
  readonly moreFields?: number;
}

export interface ChangedField {
  readonly path: string;
  /** Of short values of a spec, as JSON; never of Secrets. */
  readonly before?: string;
  readonly after?: string;
}

export interface SessionEntry extends At {
  readonly type: 'session';
  readonly peer: string;
  /** up, down, failed (an attempt), warning. */
  readonly event: 'up' | 'down' | 'failed' | 'warning';
  readonly reason?: string;
}

/** Of the best path; without a prefix so many more in that moment, which are not listed. */
export interface RouteEntry extends At {
  readonly type: 'route';
  readonly event: 'added' | 'changed' | 'withdrawn' | 'more';
  readonly prefix?: string;
  /** Where the path is from, or was; absent: the node's own. */
  readonly peer?: string;
  readonly count?: number;
}

export interface ProcessEntry extends At {
  readonly type: 'process';
  /** "agent", "bgpd" */
  readonly process: string;
  readonly message: string;
}

/** Undefined: it is none, such as the line that a crash cut off. */
export function parseEntry(line: string): HistoryEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { at, type } = (value ?? {}) as Partial<HistoryEntry>;
  const isEntry =
    typeof at === 'string' && !Number.isNaN(Date.parse(at)) && HISTORY_TYPES.some((each) => each === type);
  return isEntry ? (value as HistoryEntry) : undefined;
}

export const nowText = (milliseconds = Date.now()): string => new Date(milliseconds).toISOString();
