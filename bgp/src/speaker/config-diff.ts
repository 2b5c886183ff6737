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
 * As which peer of before each one goes on, by names: the one with the same ends, else the one that had its name. A resource that takes the
 * place of another, or a name that somebody else needs, costs no session.
 */
function predecessorsOf(
  old: ReadonlyMap<string, PeerSettings>,
  next: ReadonlyMap<string, PeerSettings>,
): ReadonlyMap<string, string> {
  const byEnds = new Map([...old].map(([name, settings]) => [endsOf(settings), name]));
  const found = new Map<string, string>();
  for (const [name, settings] of next) {
    const previous = byEnds.get(endsOf(settings));
    if (previous !== undefined) found.set(name, previous);
  }
  const taken = new Set(found.values());
  for (const name of next.keys()) if (!found.has(name) && old.has(name) && !taken.has(name)) found.set(name, name);
  return found;
}

const endsOf = (settings: PeerSettings): string =>
  `${peerAddressText(settings)} ${settings.port} ${settings.localAddress ?? ''}`;

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
