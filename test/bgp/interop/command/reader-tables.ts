/** A reader's tables beside the speaker's own: which routes both have, and which they tell differently. */

/** `sessions`: Peer Up, Peer Down and the last statistics of each. */
export const TABLES = ['mrt', 'in-pre', 'in-post', 'loc', 'out-pre', 'out-post', 'sessions'] as const;
export type Table = (typeof TABLES)[number];

/** What is told of a route beside where it is: as the reader writes it, empty where it writes none. */
export interface Told {
  /** "65001 64512". */
  readonly asPath: string;
  /** One, or both halves with a space. */
  readonly nextHop: string;
}

/** By `keyOf`. */
export type Routes = ReadonlyMap<string, Told>;
export type Read = ReadonlyMap<Table, Routes>;

export interface ReaderRow {
  readonly reader: string;
  readonly version: string;
  readonly table: Table;
  /** Routes that the speaker has. */
  readonly own: number;
  readonly read: number;
  /** In one of the two only, a few of each, with the count of all in front. */
  readonly missing: readonly string[];
  readonly strange: readonly string[];
  /** In both, with another AS path or next hop. */
  readonly different: readonly string[];
}

const FEW = 3;

/** Peer by address ("-": none, as in Loc-RIB), prefix, path identifier (0 without). */
export const keyOf = (peer: string, prefix: string, pathId: number | undefined): string =>
  `${peer} ${prefix} ${pathId ?? 0}`;

export function compare(reader: string, version: string, table: Table, own: Routes, read: Routes): ReaderRow {
  const few = (list: readonly string[]): readonly string[] =>
    list.length === 0 ? [] : [String(list.length), ...list.slice(0, FEW)];
  const missing = [...own].filter(([key]) => !read.has(key)).map(([key]) => key);
  const strange = [...read.keys()].filter((key) => !own.has(key));
  const different = [...read].flatMap(([key, told]) => {
    const ours = own.get(key);
    if (ours === undefined) return [];
    // A reader that shows one half of a pair of next hops has read it, and so has one that shows more than we do.
    const halves = ours.nextHop.split(' ');
    const isSame = ours.asPath === told.asPath && told.nextHop.split(' ').some((half) => halves.includes(half));
    return isSame ? [] : [`${key}: "${told.asPath}" via "${told.nextHop}", not "${ours.asPath}" via "${ours.nextHop}"`];
  });
  return {
    reader,
    version,
    table,
    own: own.size,
    read: read.size,
    missing: few(missing),
    strange: few(strange),
    different: few(different),
  };
}

/** A line per reader and table, and below it what does not agree. */
export function formatReaders(rows: readonly ReaderRow[]): string {
  return rows
    .flatMap(({ reader, version, table, own, read, missing, strange, different }) => [
      `${`${reader} ${version}`.padEnd(24)} ${table.padEnd(9)} ${String(read).padStart(5)} read, ${own} here`,
      ...(
        [
          ['missing', missing],
          ['not ours', strange],
          ['different', different],
        ] as const
      )
        .filter(([, list]) => list.length > 0)
        .map(([what, list]) => `    ${what} ${list.join(' | ')}`),
    ])
    .map((line) => `${line}\n`)
    .join('');
}
