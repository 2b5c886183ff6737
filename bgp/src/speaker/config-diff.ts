/**
 * What a new configuration changes, before anything is done: which peers come, go, change in place or lose their session, and
 * why. `Speaker.configure` acts on it, `tortie bgpd --check` prints it.
 */
import type { OriginatedPrefix, SpeakerConfig } from '../config.js';
import { peerAddressText, resetReasons, sameSettings, settingsOf, type PeerSettings } from './peer-settings.js';

export interface ConfigChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** The same ends under another name: the session lives on. */
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  /** Applied to the living session. */
  readonly changed: readonly string[];
  /** Sessions that have to end because of their own parameters. */
  readonly reset: readonly { readonly peer: string; readonly reasons: readonly string[] }[];
  /** Originated prefixes that come and go. */
  readonly originated: { readonly added: number; readonly removed: number };
  readonly listenChanged: boolean;
}

export function peerSettings(config: SpeakerConfig): ReadonlyMap<string, PeerSettings> {
  return new Map(
    (config.peers ?? []).map((peer) => {
      const settings = settingsOf(config, peer);
      return [settings.name, settings];
    }),
  );
}

export function diffConfig(before: SpeakerConfig | undefined, after: SpeakerConfig): ConfigChanges {
  const old = before === undefined ? new Map<string, PeerSettings>() : peerSettings(before);
  const next = peerSettings(after);
  const predecessors = predecessorsOf(old, next);
  const successors = new Set(predecessors.values());
  const kept = [...next].flatMap(([name, settings]) => {
    const previous = old.get(predecessors.get(name) ?? '');
    return previous === undefined
      ? []
      : [{ peer: name, previous, settings, reasons: resetReasons(previous, settings) }];
  });
  const filtersChanged = JSON.stringify(before?.filters ?? {}) !== JSON.stringify(after.filters ?? {});
  return {
    added: [...next.keys()].filter((name) => !predecessors.has(name)),
    removed: [...old.keys()].filter((name) => !successors.has(name)),
    renamed: [...predecessors].flatMap(([to, from]) => (from === to ? [] : [{ from, to }])),
    changed: kept
      .filter(
        ({ previous, settings, reasons }) =>
          reasons.length === 0 &&
          (!sameSettings({ ...previous, name: settings.name }, settings) ||
            (filtersChanged && usesFilter(before, after, settings))),
      )
      .map(({ peer }) => peer),
    reset: kept.filter(({ reasons }) => reasons.length > 0).map(({ peer, reasons }) => ({ peer, reasons })),
    originated: diffOriginated(before, after),
    listenChanged:
      JSON.stringify(before?.listen ?? null) !== JSON.stringify(after.listen ?? null) || before === undefined,
  };
}

/**
 * As which peer of before each one goes on, by names: the one with the same ends, else the one at the same address that listens on another
 * port, as a session outlives that, else the one that had its name. A resource that takes the place of another, or a name that somebody
 * else needs, costs no session, also where ports change at the same time.
 */
function predecessorsOf(
  old: ReadonlyMap<string, PeerSettings>,
  next: ReadonlyMap<string, PeerSettings>,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const taken = new Set<string>();
  const match = (name: string, previous: string | undefined): void => {
    if (previous === undefined || found.has(name) || taken.has(previous)) return;
    found.set(name, previous);
    taken.add(previous);
  };
  const byEnds = new Map([...old].map(([name, settings]) => [endsOf(settings), name]));
  for (const [name, settings] of next) match(name, byEnds.get(endsOf(settings)));
  const [leftBefore, left] = [byAddresses(old, taken), byAddresses(next, found)];
  for (const [addresses, names] of left) {
    const candidates = leftBefore.get(addresses) ?? [];
    // Of several at one address the name says which is which; of one and one there is no question.
    for (const name of names) if (candidates.includes(name)) match(name, name);
    const [name = ''] = names;
    if (names.length === 1 && candidates.length === 1) match(name, candidates[0]);
  }
  for (const name of next.keys()) if (old.has(name)) match(name, name);
  return found;
}

const addressesOf = (settings: PeerSettings): string => `${peerAddressText(settings)} ${settings.localAddress ?? ''}`;
const endsOf = (settings: PeerSettings): string => `${addressesOf(settings)} ${settings.port}`;

/** Names of those that are not matched yet. */
function byAddresses(
  peers: ReadonlyMap<string, PeerSettings>,
  matched: { has(name: string): boolean },
): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const [name, settings] of peers) {
    if (matched.has(name)) continue;
    const alike = names.get(addressesOf(settings));
    if (alike === undefined) names.set(addressesOf(settings), [name]);
    else alike.push(name);
  }
  return names;
}

function usesFilter(before: SpeakerConfig | undefined, after: SpeakerConfig, settings: PeerSettings): boolean {
  return [...settings.import, ...settings.export].some(
    (name) => JSON.stringify(before?.filters?.[name]) !== JSON.stringify(after.filters?.[name]),
  );
}

function diffOriginated(before: SpeakerConfig | undefined, after: SpeakerConfig): ConfigChanges['originated'] {
  const [old, next] = [before?.originate ?? [], after.originate ?? []];
  // A table that is stated again mostly says the same in the same order: what is alike at the front needs no text.
  let alike = 0;
  while (alike < old.length && alike < next.length && isSameRoute(old[alike], next[alike])) alike++;
  const textsFrom = (routes: readonly OriginatedPrefix[]): ReadonlySet<string> =>
    new Set(routes.slice(alike).map((route) => JSON.stringify(route)));
  const [gone, come] = [textsFrom(old), textsFrom(next)];
  return {
    added: [...come].filter((text) => !gone.has(text)).length,
    removed: [...gone].filter((text) => !come.has(text)).length,
  };
}

const isSameRoute = (a: OriginatedPrefix | undefined, b: OriginatedPrefix | undefined): boolean =>
  a?.prefix === b?.prefix &&
  isSameList(a?.tags, b?.tags) &&
  isSameList(a?.communities, b?.communities) &&
  a?.aggregate?.summaryOnly === b?.aggregate?.summaryOnly;

const isSameList = (a: readonly string[] | undefined, b: readonly string[] | undefined): boolean =>
  a === b ||
  (a !== undefined && b !== undefined && a.length === b.length && a.every((text, index) => text === b[index]));
