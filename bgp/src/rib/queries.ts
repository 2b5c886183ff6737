/**
 * Answers for people: what paths there are, which is best and why, who is told what and why not. Reads everything, and
 * is given nothing that it could change (reading.ts).
 *
 * Lists come in slices, each made when asked for. Between slices the RIB may move on; a slice shows the state of its own moment.
 */
import type { Family, IpAddress, IpPrefix } from '../address.js';
import { parseAttributes } from '../codec/parse.js';
import type { SetId } from './attribute-sets.js';
import type {
  Candidate,
  NotAdvertised,
  PeerCounts,
  PeerVerdict,
  RibQueries,
  RouteChange,
  RouteView,
  Unusable,
  Why,
} from './answers.js';
import type { ForwardingEntry } from './forwarding-entry.js';
import type { PeerId } from './rib-peer.js';
import type { ExportRules } from './export-rules.js';
import { ImportRules } from './import-rules.js';
import { PathFlag, type PathId } from './path-table.js';
import { LOCAL_PEER } from './peers.js';
import type { PolicyReason, PolicyRule } from './policy.js';
import { wordsOf, type PrefixId } from './prefix-table.js';
import type {
  ReadableAdjRibOut,
  ReadableDecision,
  ReadableForwarding,
  ReadableHistory,
  ReadableOutputs,
  ReadablePeer,
  ReadablePeers,
  ReadableTable,
  ReadableTables,
} from './reading.js';
import { unreachableText } from './unreachable.js';

/** All of it can only be read: questions leave no trace. */
export interface QueryContext {
  readonly tables: ReadableTables;
  readonly decision: ReadableDecision;
  readonly families: Readonly<Record<Family, ReadableTable>>;
  readonly groups: Readonly<Record<Family, ReadableGroups>>;
  readonly forwarding: Readonly<Record<Family, ReadableForwarding>> | undefined;
  readonly outputs: ReadableOutputs;
  /** Absent when nobody keeps one. */
  readonly history: ReadableHistory | undefined;
}

export interface ReadableGroups {
  member(peer: PeerId): { readonly group: ReadableGroup } | undefined;
}

export interface ReadableGroup {
  readonly out: ReadableAdjRibOut;
  readonly rules: ExportRules;
}

/** Routes per slice, and rows looked at for one. */
const SLICE = 1000;
const ROWS = 65_536;

const UNUSABLE_TEXT: Readonly<Record<Unusable, string>> = {
  'rejected-by-policy': 'Import policy rejects it',
  'as-loop': 'Our own AS is in its AS_PATH more often than allowed',
  'originator-loop': 'Its ORIGINATOR_ID is ours',
  'cluster-loop': 'Our cluster is in its CLUSTER_LIST',
  'otc-leak': 'Its Only-To-Customer attribute shows a route leak (RFC 9234)',
  'next-hop-unreachable': 'Its next hop cannot be reached',
  'next-hop-is-ours': 'Its next hop is our own address',
};

const NOT_ADVERTISED_TEXT: Readonly<Record<NotAdvertised, string>> = {
  'unknown-prefix': 'Nobody has announced this prefix',
  'no-best-path': 'No usable path exists',
  'learned-from-this-peer': 'The best path was learned from this peer',
  'ibgp-to-ibgp':
    'A path from an iBGP peer does not go to another (RFC 4271 section 9.2), and neither is a route reflector client',
  'no-advertise': 'Community NO_ADVERTISE',
  'no-export': 'Community NO_EXPORT or NO_EXPORT_SUBCONFED, and the peer is in another AS',
  'rejected-by-policy': 'Export policy rejects it',
  'otc-leak': 'Only-To-Customer forbids it towards this role (RFC 9234)',
  'family-not-negotiated': 'The session does not carry this address family',
  'no-next-hop': 'The session has no address of ours that could be the next hop',
  'summary-only': 'An aggregate stands for it',
  'long-lived-stale': 'It is long-lived stale, and the peer does not support that (RFC 9494)',
  'too-big': 'Its attributes do not fit into a message to this peer',
};

const withWords = (text: string, words: string | undefined): string =>
  words === undefined ? text : `${text}: ${words}`;

const ruleOf = (reason: PolicyReason | undefined): { readonly rule?: PolicyRule } =>
  reason?.rule === undefined ? {} : { rule: reason.rule };

function nextHopShown({ sets, nextHops }: ReadableTables, set: SetId): Pick<RouteView, 'nextHop' | 'linkLocalNextHop'> {
  const hop = sets.nextHop[set] as number;
  const linkLocalNextHop = nextHops.linkLocal(hop);
  return { nextHop: nextHops.address(hop), ...(linkLocalNextHop === undefined ? {} : { linkLocalNextHop }) };
}

export class Queries implements RibQueries {
  readonly #context: QueryContext;
  readonly #importRules: ImportRules;

  constructor(context: QueryContext) {
    this.#context = context;
    const { nextHops, peers } = context.tables;
    const isOwn: ReadablePeers['isOwnAddress'] = (address, interfaceName) => peers.isOwnAddress(address, interfaceName);
    this.#importRules = new ImportRules(context.tables, (hop) => nextHops.isAmong(hop, isOwn));
  }

  peerId(name: string): PeerId | undefined {
    return this.#context.tables.peers.named(name)?.id;
  }

  counts(id: PeerId, family: Family): PeerCounts {
    const { received, accepted, stale } = this.#context.tables.peers.get(id).family[family];
    const member = this.#context.groups[family].member(id);
    const advertised = member === undefined ? 0 : member.group.out.count - member.group.out.countFrom(id);
    return { received, accepted, stale, advertised };
  }

  outputPending(id: PeerId): number {
    return this.#context.outputs.pending(id);
  }

  totals(family: Family): { readonly prefixes: number; readonly paths: number } {
    const { bestCount, paths } = this.#context.families[family];
    return { prefixes: bestCount, paths: paths.size };
  }

  changes(from?: number): IterableIterator<RouteChange> {
    return this.#context.history?.changes(from) ?? [].values();
  }

  get changeCount(): number {
    return this.#context.history?.count ?? 0;
  }

  paths(prefix: IpPrefix): readonly RouteView[] {
    return this.#candidates(prefix, false);
  }

  lookup(address: IpAddress): RouteView | undefined {
    const table = this.#context.families[address.family];
    const id = table.prefixes.longestMatch(
      wordsOf(address),
      0,
      address.family === 4 ? 32 : 128,
      0,
      (prefix) => table.best[prefix] !== 0,
    );
    return id < 0 ? undefined : this.#view(table, table.best[id] as PathId, true);
  }

  why(prefix: IpPrefix): Why {
    const table = this.#context.families[prefix.family];
    const id = table.prefixes.findPrefix(prefix);
    const peers = [...this.#context.tables.peers.all()]
      .filter(({ state }) => state === 'up')
      .map((entry) => this.#verdict(entry, table, id));
    const candidates = this.#candidates(prefix, true);
    return {
      prefix,
      isKnown: candidates.length > 0,
      candidates,
      forwarding: this.#forwardingOf(table, id),
      peers,
    };
  }

  *best(family: Family): IterableIterator<readonly RouteView[]> {
    const table = this.#context.families[family];
    for (let from = 0; from < table.prefixes.end; ) {
      const slice: RouteView[] = [];
      const until = Math.min(table.prefixes.end, from + ROWS);
      for (; from < until && slice.length < SLICE; from++) {
        const path = table.prefixes.isLive(from) ? (table.best[from] as PathId) : 0;
        if (path !== 0) slice.push(this.#view(table, path, true));
      }
      yield slice;
    }
  }

  *received(
    id: PeerId,
    family: Family,
    when: 'before-policy' | 'after-policy',
  ): IterableIterator<readonly RouteView[]> {
    const table = this.#context.families[family];
    const { paths } = table;
    for (let from: PathId = 1; from < paths.end; ) {
      const slice: RouteView[] = [];
      const until = Math.min(paths.end, from + ROWS);
      for (; from < until && slice.length < SLICE; from++) {
        if (paths.peer[from] !== id || ((paths.flags[from] as number) & PathFlag.live) === 0) continue;
        if (when === 'before-policy') slice.push(this.#view(table, from, false));
        else if (paths.set[from] !== 0) slice.push(this.#view(table, from, true));
      }
      yield slice;
    }
  }

  *advertised(id: PeerId, family: Family): IterableIterator<readonly RouteView[]> {
    const entry = this.#context.tables.peers.get(id);
    const table = this.#context.families[family];
    const { sets } = this.#context.tables;
    for (let from = 0; from < table.prefixes.end; ) {
      const group = this.#context.groups[family].member(id)?.group;
      if (group === undefined) return;
      const slice: RouteView[] = [];
      const until = Math.min(table.prefixes.end, from + ROWS);
      for (; from < until && slice.length < SLICE; from++)
        for (const [pathId, set] of group.out.told(from))
          if (sets.peer[set] !== entry.id) slice.push(this.#advertisedView(table, from, set, pathId, entry));
      yield slice;
    }
  }

  *offered(id: PeerId, family: Family): IterableIterator<readonly RouteView[]> {
    const entry = this.#context.tables.peers.get(id);
    const table = this.#context.families[family];
    for (let from = 0; from < table.prefixes.end; ) {
      const slice: RouteView[] = [];
      const until = Math.min(table.prefixes.end, from + ROWS);
      for (; from < until && slice.length < SLICE; from++)
        if (this.#isOffered(entry, table, from)) slice.push(this.#view(table, table.best[from] as PathId, true));
      yield slice;
    }
  }

  offeredPath(id: PeerId, prefix: IpPrefix): RouteView | undefined {
    const entry = this.#context.tables.peers.get(id);
    const table = this.#context.families[prefix.family];
    const found = table.prefixes.findPrefix(prefix);
    return this.#isOffered(entry, table, found) ? this.#view(table, table.best[found] as PathId, true) : undefined;
  }

  /** Not its own, and allowed by the rules of export; policy is not asked. */
  #isOffered(entry: ReadablePeer, table: ReadableTable, prefix: PrefixId): boolean {
    const group = this.#context.groups[table.family].member(entry.id)?.group;
    const best =
      group === undefined || prefix < 0 || !table.prefixes.isLive(prefix) ? 0 : (table.best[prefix] as PathId);
    return (
      best !== 0 &&
      table.paths.peer[best] !== entry.id &&
      group?.rules.refusal(table.paths.set[best] as SetId, prefix) === undefined
    );
  }

  receivedPath(
    peer: PeerId,
    prefix: IpPrefix,
    identifier: number,
    when: 'before-policy' | 'after-policy',
  ): RouteView | undefined {
    const table = this.#context.families[prefix.family];
    const id = table.prefixes.findPrefix(prefix);
    const path = id < 0 ? 0 : table.findPath(id, peer, identifier);
    if (path === 0 || (when === 'after-policy' && table.paths.set[path] === 0)) return undefined;
    return this.#view(table, path, when === 'after-policy');
  }

  bestPath(prefix: IpPrefix): RouteView | undefined {
    const table = this.#context.families[prefix.family];
    const id = table.prefixes.findPrefix(prefix);
    const best = id < 0 ? 0 : (table.best[id] as PathId);
    return best === 0 ? undefined : this.#view(table, best, true);
  }

  #candidates(prefix: IpPrefix, isExplained: boolean): readonly Candidate[] {
    const { decision, families } = this.#context;
    const table = families[prefix.family];
    const id = table.prefixes.findPrefix(prefix);
    if (id < 0) return [];
    const ranking = decision.ranking(table, id);
    const ranked = ranking.map(
      ({ path, step, reason }): Candidate => ({
        ...this.#view(table, path, true),
        decidedBy: step,
        reason,
        ...(isExplained ? this.#importedBy(table, path) : {}),
      }),
    );
    const seen = new Set(ranking.map(({ path }) => path));
    const out: Candidate[] = [];
    for (let path = table.head[id] as PathId; path !== 0; path = table.paths.next[path] as PathId) {
      if (seen.has(path)) continue;
      const view = this.#view(table, path, false);
      const decidedBy = view.unusable ?? 'next-hop-unreachable';
      const policy = decidedBy === 'rejected-by-policy' ? this.#importReason(table, path) : undefined;
      out.push({
        ...view,
        decidedBy,
        reason: this.#unusableReason(decidedBy, table.paths.set[path] as SetId, policy?.text),
        ...ruleOf(policy),
      });
    }
    return [...ranked, ...out];
  }

  #importedBy(table: ReadableTable, path: PathId): Pick<Candidate, 'importedBy' | 'rule'> {
    const reason = this.#importReason(table, path);
    return reason === undefined ? {} : { importedBy: reason.text, ...ruleOf(reason) };
  }

  #importReason(table: ReadableTable, path: PathId): PolicyReason | undefined {
    const { paths } = table;
    const entry = this.#context.tables.peers.get(paths.peer[path] as PeerId);
    return this.#importRules.explanation(paths.raw[path] as SetId, entry, table, paths.prefix[path] as PrefixId);
  }

  /** What the tables say of a path that is not usable. Policy is not asked: it may say by now what is still to be done. */
  #unusable(table: ReadableTable, path: PathId, entry: ReadablePeer): Unusable {
    const loop = this.#importRules.loop(table.paths.raw[path] as SetId, entry);
    return loop ?? (table.paths.set[path] === 0 ? 'rejected-by-policy' : 'next-hop-unreachable');
  }

  /** `set`: after import policy, which may have given it another next hop. */
  #unusableReason(unusable: Unusable, set: SetId, policyWords: string | undefined): string {
    const { tables, families } = this.#context;
    if (unusable !== 'next-hop-unreachable') return withWords(UNUSABLE_TEXT[unusable], policyWords);
    return unreachableText(tables, families, tables.sets.nextHop[set] as number);
  }

  /** `isImported`: attributes after import policy, where the path is let in. */
  #view(table: ReadableTable, path: PathId, isImported: boolean): RouteView {
    const { tables, decision } = this.#context;
    const { paths } = table;
    const prefix = paths.prefix[path] as PrefixId;
    const raw = paths.raw[path] as SetId;
    const set = isImported && paths.set[path] !== 0 ? (paths.set[path] as SetId) : raw;
    const entry = tables.peers.get(paths.peer[path] as PeerId);
    const identifier = paths.identifier[path] as number;
    const isUsable = decision.isUsable(table, path);
    const unusable = isUsable ? undefined : this.#unusable(table, path, entry);
    return {
      prefix: table.prefixes.prefixOf(prefix),
      source:
        entry.id === LOCAL_PEER
          ? { type: 'local' }
          : { type: entry.options.role, peer: entry.options.name, address: entry.options.address },
      attributes: parseAttributes(tables.sets.view(set)),
      ...nextHopShown(tables, set),
      ...(identifier === 0 ? {} : { pathId: identifier }),
      isBest: table.best[prefix] === path,
      isMultipath: isUsable && decision.multipath(table, prefix).includes(path),
      isStale: ((paths.flags[path] as number) & PathFlag.stale) !== 0,
      ...(unusable === undefined ? {} : { unusable }),
      weight: tables.sets.weight[set] as number,
      ...(entry.id === LOCAL_PEER ? { tags: table.tags.get(prefix) ?? [] } : {}),
    };
  }

  #advertisedView(table: ReadableTable, prefix: PrefixId, set: SetId, pathId: number, to: ReadablePeer): RouteView {
    const { sets, peers } = this.#context.tables;
    const group = this.#context.groups[table.family].member(to.id)?.group;
    const source = peers.get(sets.peer[set] as PeerId);
    return {
      prefix: table.prefixes.prefixOf(prefix),
      source:
        source.id === LOCAL_PEER
          ? { type: 'local' }
          : { type: source.options.role, peer: source.options.name, address: source.options.address },
      attributes: group?.rules.attributesOf(set) ?? parseAttributes(sets.view(set)),
      ...group?.rules.nextHopShown(set),
      ...(pathId === 0 ? {} : { pathId }),
      isBest: true,
      isMultipath: false,
      isStale: false,
      weight: 0,
    };
  }

  #verdict(entry: ReadablePeer, table: ReadableTable, prefix: PrefixId): PeerVerdict {
    const { sets } = this.#context.tables;
    const peer = entry.options.name;
    const refuse = (code: NotAdvertised, policy?: PolicyReason): PeerVerdict => ({
      peer,
      advertised: false,
      code,
      reason: withWords(NOT_ADVERTISED_TEXT[code], policy?.text),
      ...ruleOf(policy),
    });
    const group = this.#context.groups[table.family].member(entry.id)?.group;
    if (group === undefined) return refuse('family-not-negotiated');
    if (prefix < 0 || table.head[prefix] === 0) return refuse('unknown-prefix');
    const best = table.best[prefix] as PathId;
    if (best === 0) return refuse('no-best-path');
    const told = group.out.told(prefix).find(([, set]) => sets.peer[set] !== entry.id)?.[1];
    const policy = group.rules.explanation(table.paths.set[best] as SetId, prefix);
    if (told !== undefined)
      return {
        peer,
        advertised: true,
        reason: withWords('The best path passes export', policy?.text),
        ...ruleOf(policy),
        attributes: group.rules.attributesOf(told),
        ...group.rules.nextHopShown(told),
      };
    if (table.paths.peer[best] === entry.id) return refuse('learned-from-this-peer');
    const set = table.paths.set[best] as SetId;
    const refusal = group.rules.refusal(set, prefix);
    if (refusal !== undefined) return refuse(refusal);
    return group.rules.isAccepted(set, prefix) ? refuse('too-big') : refuse('rejected-by-policy', policy);
  }

  #forwardingOf(table: ReadableTable, prefix: PrefixId): ForwardingEntry | undefined {
    return prefix < 0 ? undefined : this.#context.forwarding?.[table.family].entryOf(prefix);
  }
}
