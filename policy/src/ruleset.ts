/**
 * The compiled policy of one node as plain data: what the kernel must hold, said once for both packet filters.
 *
 * Address sets, chains of rules (matches and one action), interface dispatch maps and the hooks into the built-in
 * chains. Nothing here knows iptables or nftables syntax: `render/` turns the same data into either. Chains speak of both families at
 * once; a rule whose `family` is set exists in that family only, and a set reference names a pair of sets, one per family.
 *
 * A ruleset changes by `RulesetDelta`. The order that never opens and never breaks: create sets and add members, then
 * write chains, maps and hooks (one atomic commit per table), then remove members and delete sets.
 */
import { hash } from 'node:crypto';
import type { Family } from 'node-bgp/address';

export type { Family };

/** Tables as iptables names them; the nftables renderer maps them to hook priorities. */
export type Table = 'raw' | 'mangle' | 'nat' | 'filter';
/** In the order in which a packet meets them at a hook. */
export const TABLES: readonly Table[] = ['raw', 'mangle', 'nat', 'filter'];
export type BuiltinChain = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
export const BUILTIN_CHAINS: readonly BuiltinChain[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

/** One jump from a built-in chain into ours; it belongs first in the built-in chain. */
export interface Hook {
  readonly table: Table;
  readonly builtin: BuiltinChain;
  readonly chain: string;
}

/** hash:ip, hash:net and hash:ip,port in ipset's words. */
export type SetType = 'address' | 'network' | 'address-port';

/** Read side that both Set and Map offer. */
export interface Members {
  readonly size: number;
  has(member: string): boolean;
  keys(): IterableIterator<string>;
}

/**
 * A set of one family. Member text is what ipset prints: "10.65.0.7", "10.0.0.0/8" (disjoint, never /0), "10.65.0.7,tcp:80".
 * `name` is setName(family, id) and at most 31 characters.
 */
export interface AddressSet {
  readonly name: string;
  readonly id: string;
  readonly family: Family;
  readonly type: SetType;
  readonly members: Members;
  /** The kernel's rules put members in (action `remember`), and each goes so many seconds after it was last put in; `members` is empty. */
  readonly timeoutSeconds?: number;
  /** What the set holds, for people: "pods app=web in namespace shop". */
  readonly note: string;
}

export type Side = 'source' | 'destination';

/** Inclusive on both ends. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export type ConnectionState = 'invalid' | 'established' | 'related' | 'new' | 'untracked';

/** One condition; all conditions of a rule must hold. `not` negates this one. */
export type Match =
  /** A trailing "+" matches any interface that starts so. */
  | { readonly type: 'in-interface' | 'out-interface'; readonly name: string; readonly not?: boolean }
  | { readonly type: 'protocol'; readonly protocol: number; readonly not?: boolean }
  /** Member of set `set` (an id without family). `set-port` looks up address and destination protocol and port together. */
  | { readonly type: 'set'; readonly side: Side; readonly set: string; readonly not?: boolean }
  | { readonly type: 'set-port'; readonly side: Side; readonly set: string; readonly not?: boolean }
  /** Only on rules with `family`. */
  | { readonly type: 'network'; readonly side: Side; readonly prefix: string; readonly not?: boolean }
  /** At most 15 slots, a range of two or more ports taking two; a rule with it also matches one protocol that has ports. */
  | { readonly type: 'ports'; readonly side: Side; readonly ports: readonly PortRange[]; readonly not?: boolean }
  /** Only on rules with `family` and the family's ICMP protocol. */
  | { readonly type: 'icmp'; readonly icmpType: number; readonly code?: number; readonly not?: boolean }
  | { readonly type: 'state'; readonly states: readonly ConnectionState[] }
  | { readonly type: 'mark'; readonly value: number; readonly mask: number; readonly not?: boolean }
  /** At most so many matches a second on average, 10,000 at most; `burst` (default: as many) after a rest, 10,000 at most. */
  | { readonly type: 'limit'; readonly perSecond: number; readonly burst?: number }
  /** Once in so many times, by chance; at least 2. */
  | { readonly type: 'random'; readonly oneIn: number }
  /** The packet's source has more tracked connections than this, as the rule has seen them begin. Once for each source. */
  | { readonly type: 'connections'; readonly moreThan: number }
  /** More tracked connections than this have begun at the rule and last, whoever's they are. */
  | { readonly type: 'connections-in-all'; readonly moreThan: number }
  /** No route back to the source through the receiving interface (strict reverse path). */
  | { readonly type: 'reverse-path-fails' }
  /** The address belongs to this node. */
  | { readonly type: 'local'; readonly side: Side; readonly not?: boolean };

export type Action =
  | { readonly type: 'accept' | 'drop' | 'return' }
  | { readonly type: 'no-track' }
  | { readonly type: 'jump' | 'goto'; readonly chain: string }
  /** mark = (mark & ~mask) | value */
  | { readonly type: 'set-mark'; readonly value: number; readonly mask: number }
  /** Puts the packet's address into a set with timeout, or sets the member's time anew. */
  | { readonly type: 'remember'; readonly side: Side; readonly set: string; readonly seconds: number }
  /** A line in the kernel's log. */
  | { readonly type: 'log'; readonly prefix: string }
  /** The packet's first octets to a group of nfnetlink_log (1 to 65535), with a prefix of at most 63 characters. The packet goes on. */
  | { readonly type: 'report'; readonly group: number; readonly prefix: string }
  /** Only in `nat`, on rules with `family` (of the address); with a port the rule matches one protocol that has ports. */
  | { readonly type: 'dnat'; readonly to: string; readonly port?: number }
  | { readonly type: 'snat'; readonly to: string; readonly ports?: PortRange }
  /** To the address of the interface it leaves by. With ports the rule matches one protocol that has ports. */
  | { readonly type: 'masquerade'; readonly ports?: PortRange; readonly fullyRandom?: boolean }
  /** Only in `filter`; a reset only where the rule matches TCP. */
  | { readonly type: 'reject'; readonly with: 'port-unreachable' | 'tcp-reset' };

export interface Rule {
  readonly family?: Family;
  readonly matches: readonly Match[];
  readonly action: Action;
  /** Shown beside the rule, for people. */
  readonly note?: string;
}

/** At most 28 characters. Names are unique within a table. */
export interface Chain {
  readonly table: Table;
  readonly name: string;
  readonly rules: readonly Rule[];
}

/**
 * What a dispatch map looks at, and its keys: an interface's name; a destination address "10.96.0.1"; with protocol and port as a set
 * of address-port has it, "10.96.0.1,tcp:443"; destination protocol and port alone, "tcp:30080".
 */
export type DispatchKey = 'in-interface' | 'out-interface' | 'destination' | 'destination-port' | 'port';

/**
 * A chain that goes to another chain by one look-up: a verdict map in nftables, a prefix tree of chains in iptables.
 * Rules reach it by its name like any chain; the chain it goes to returns to whoever jumped here.
 */
export interface DispatchMap {
  readonly table: Table;
  /** At most 12 characters, so that tree nodes, named after it and a part of a key, stay in bounds. */
  readonly name: string;
  readonly key: DispatchKey;
  /** It exists in that family only. Needed where keys have addresses; two maps of a table have two names, whatever their families. */
  readonly family?: Family;
  /** Key to chain name. */
  readonly entries: ReadonlyMap<string, string>;
  /** For a packet that the map does not hold. `nat` allows no drop. */
  readonly otherwise: 'drop' | 'return';
}

/** All of a map but its entries. */
export type MapHead = Omit<DispatchMap, 'entries'>;

export interface Ruleset {
  /** By `name`. */
  readonly sets: ReadonlyMap<string, AddressSet>;
  /** By chainKey. */
  readonly chains: ReadonlyMap<string, Chain>;
  /** By chainKey. */
  readonly maps: ReadonlyMap<string, DispatchMap>;
  readonly hooks: readonly Hook[];
}

export interface SetChange {
  readonly name: string;
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

export interface ChainName {
  readonly table: Table;
  readonly name: string;
}

/** Entries of one map; all else of it stays as it is. A key that leads elsewhere now is in both. */
export interface MapChange extends Pick<DispatchMap, 'table' | 'name' | 'key'> {
  /** Key to chain. */
  readonly added: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

/** Everything that differs between two rulesets. What is in `setsCreated` or `mapsUpserted` comes whole and is in no list of changes. */
export interface RulesetDelta {
  readonly setsCreated: readonly AddressSet[];
  readonly setsChanged: readonly SetChange[];
  readonly setsDeleted: readonly string[];
  readonly chainsUpserted: readonly Chain[];
  readonly chainsDeleted: readonly ChainName[];
  readonly mapsUpserted: readonly DispatchMap[];
  readonly mapsChanged: readonly MapChange[];
  readonly mapsDeleted: readonly ChainName[];
  /** The whole list when it changed. */
  readonly hooks?: readonly Hook[];
}

/** Bits that we may set in a packet's mark; kube-proxy owns 0x4000 and 0x8000. */
export const MARK_SPACE = 0xffff0000;

/** Set in PREROUTING or OUTPUT on what is to be masqueraded in POSTROUTING. */
export const MARK_MASQUERADE = 0x00080000;

/**
 * Who makes rules. Each part is a ruleset by itself, handed over and changed by itself; what it owns shows in the names, so that
 * the rules of a part that is not handed over yet stay as they stand.
 */
export type Part = 'policy' | 'services' | 'nat';

/** In the order of their jumps in a built-in chain: an accept of policy ends the chain, so what rejects comes before it. */
export const PARTS: readonly Part[] = ['services', 'policy', 'nat'];

/** Of a chain's or a map's name. */
export const partOfChain = (name: string): Part =>
  name.startsWith('TORTIE-S') ? 'services' : name.startsWith('TORTIE-N') ? 'nat' : 'policy';

/** Of a set's name, "tortie4-svc-..." or "tortie6-nat-...". */
export const partOfSet = (name: string): Part =>
  name.startsWith('svc-', 8) ? 'services' : name.startsWith('nat-', 8) ? 'nat' : 'policy';

export const chainKey = (chain: ChainName): string => `${chain.table}/${chain.name}`;

export const setName = (family: Family, id: string): string => `tortie${family}-${id}`;

/** Ports count one slot each and ranges two, as xt_multiport does. */
export const portSlots = (range: PortRange): number => (range.from === range.to ? 1 : 2);

export function isEmptyDelta(delta: RulesetDelta): boolean {
  return (
    delta.hooks === undefined &&
    delta.setsCreated.length +
      delta.setsChanged.length +
      delta.setsDeleted.length +
      delta.chainsUpserted.length +
      delta.chainsDeleted.length +
      delta.mapsUpserted.length +
      delta.mapsChanged.length +
      delta.mapsDeleted.length ===
      0
  );
}

/** The delta that builds a ruleset from nothing. */
export function deltaOf(ruleset: Ruleset): RulesetDelta {
  return {
    setsCreated: [...ruleset.sets.values()],
    setsChanged: [],
    setsDeleted: [],
    chainsUpserted: [...ruleset.chains.values()],
    chainsDeleted: [],
    mapsUpserted: [...ruleset.maps.values()],
    mapsChanged: [],
    mapsDeleted: [],
    hooks: ruleset.hooks,
  };
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * Short name of an identity: 18 base-62 characters, 107 bits of SHA-256 over the length-prefixed parts, so that no two identities
 * (`a/b-c`, `a-b/c`, 253-character names that agree at first) meet and nobody can make them meet on purpose.
 */
export function shortId(...parts: readonly string[]): string {
  const digest = hash('sha256', parts.map((part) => `${part.length}:${part},`).join(''), 'buffer');
  // The first 128 bits as a number in four limbs; by three digits at a time, a limb and what is carried stay below 2^53.
  const limbs = [digest.readUInt32BE(0), digest.readUInt32BE(4), digest.readUInt32BE(8), digest.readUInt32BE(12)];
  let text = '';
  for (let triple = 0; triple < 6; triple++) {
    let carried = 0;
    for (let at = 0; at < limbs.length; at++) {
      const value = carried * 2 ** 32 + (limbs[at] ?? 0);
      limbs[at] = Math.floor(value / 62 ** 3);
      carried = value % 62 ** 3;
    }
    for (let digit = 0; digit < 3; digit++, carried = Math.floor(carried / 62)) text += BASE62[carried % 62];
  }
  return text;
}
