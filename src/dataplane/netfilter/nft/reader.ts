/**
 * Reads our nftables table back: chains with the hashes in their rules' comments, sets and maps with their elements. Dumps over
 * netlink, with the kernel's part on a pool thread (it walks a large set for a second); strangers' tables are skipped message by message.
 */
import { createHash } from 'node:crypto';
import { NetlinkBatch } from '../../netlink/batch.js';
import { forEachAttribute, type NetlinkMessage, type Octets } from '../../netlink/message.js';
import { NetlinkError } from '../../netlink/netlink-error.js';
import type { NetlinkSocket } from '../../netlink/netlink-socket.js';
import { Message, NFPROTO_INET, SetFlag, TABLE, writeElementQuery, writeQuery, type Element } from './protocol.js';

export interface ReadRule {
  /** From the comment "tortie:<hash> ..."; "" when there is none. */
  readonly hash: string;
  /** Of the rule's expressions without their counters: finds a rule edited under its comment. */
  readonly digest: string;
}

export interface ReadSet {
  readonly name: string;
  readonly isMap: boolean;
  readonly isInterval: boolean;
  readonly keyType: number;
  readonly keyLength: number;
}

export interface ReadTable {
  readonly exists: boolean;
  readonly chains: ReadonlyMap<string, readonly ReadRule[]>;
  /** Without the anonymous sets of rules, which come and go with them. */
  readonly sets: ReadonlyMap<string, ReadSet>;
}

/** Is there our table? */
export function hasTable(socket: NetlinkSocket): boolean {
  let exists = false;
  const batch = new NetlinkBatch(256);
  writeQuery(batch, Message.GetTable);
  socket.dump(
    batch,
    ({ body }) => void (exists ||= body.u8(0) === NFPROTO_INET && textOf(body, 1) === TABLE),
    () => void (exists = false),
  );
  return exists;
}

export async function readTable(socket: NetlinkSocket): Promise<ReadTable> {
  const chains = new Map<string, ReadRule[]>();
  const sets = new Map<string, ReadSet>();
  const exists = hasTable(socket);
  if (!exists) return { exists, chains, sets };
  await query(
    socket,
    Message.GetChain,
    (body) => {
      if (textOf(body, 1) === TABLE) chains.set(textOf(body, 3), []);
    },
    () => chains.clear(),
  );
  await query(
    socket,
    Message.GetRule,
    (body) => {
      if (textOf(body, 1) === TABLE) chains.get(textOf(body, 2))?.push(ruleOf(body));
    },
    () => {
      for (const rules of chains.values()) rules.length = 0;
    },
  );
  await query(
    socket,
    Message.GetSet,
    (body) => {
      const set = setOf(body);
      if (set !== undefined) sets.set(set.name, set);
    },
    () => sets.clear(),
  );
  return { exists, chains, sets };
}

/** The rules of one chain, without a look at any other; undefined when there is no such chain. */
export async function readChain(socket: NetlinkSocket, chain: string): Promise<readonly ReadRule[] | undefined> {
  const rules: ReadRule[] = [];
  const batch = new NetlinkBatch(256);
  writeQuery(batch, Message.GetRule, chain);
  try {
    await socket.dumpAsync(
      batch,
      ({ body }) => {
        // An older kernel that does not filter by chain tells all of them.
        if (textOf(body, 1) === TABLE && textOf(body, 2) === chain) rules.push(ruleOf(body));
      },
      () => void (rules.length = 0),
    );
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return rules;
}

/** Undefined when there is no such set. */
export async function readElements(socket: NetlinkSocket, set: string): Promise<readonly Element[] | undefined> {
  const elements: Element[] = [];
  const batch = new NetlinkBatch(256);
  writeElementQuery(batch, set);
  try {
    await socket.dumpAsync(
      batch,
      ({ body }) => {
        forEachAttribute(body, 4, body.length, (type, start, end) => {
          if (type === 3) forEachAttribute(body, start, end, (_, from, to) => elements.push(elementOf(body, from, to)));
        });
      },
      () => void (elements.length = 0),
    );
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return elements;
}

async function query(
  socket: NetlinkSocket,
  message: Message.GetChain | Message.GetRule | Message.GetSet,
  visit: (body: Octets) => void,
  restart: () => void,
): Promise<void> {
  const batch = new NetlinkBatch(256);
  writeQuery(batch, message);
  try {
    await socket.dumpAsync(
      batch,
      (reply: NetlinkMessage) => {
        if (reply.body.u8(0) === NFPROTO_INET) visit(reply.body);
      },
      restart,
    );
  } catch (error) {
    // No table, no rules.
    if (!(error instanceof NetlinkError) || error.code !== 'ENOENT') throw error;
  }
}

function textOf(body: Octets, wanted: number): string {
  let text = '';
  forEachAttribute(body, 4, body.length, (type, start, end) => {
    if (type === wanted) text = body.text(start, end);
  });
  return text;
}

function ruleOf(body: Octets): ReadRule {
  let hash = '';
  let digest = '';
  forEachAttribute(body, 4, body.length, (type, start, end) => {
    if (type === 4) digest = digestOf(body, start, end);
    else if (type === 7 && end - start > 2 && body.u8(start) === 0)
      hash = /^tortie:([A-Za-z0-9]+)/.exec(body.text(start + 2, end))?.[1] ?? '';
  });
  return { hash, digest };
}

const UNSTABLE: ReadonlySet<string> = new Set(['counter', 'limit', 'lookup', 'dynset']);

/** Counters count, limits remember, and anonymous sets are renamed at will: their numbers are no part of what a rule says. */
function digestOf(body: Octets, start: number, end: number): string {
  const hash = createHash('sha1');
  forEachAttribute(body, start, end, (_, from, to) => {
    let name = '';
    forEachAttribute(body, from, to, (type, first, last) => {
      if (type === 1) name = body.text(first, last);
    });
    hash.update(UNSTABLE.has(name) ? name : body.slice(from, to));
  });
  return hash.digest('base64');
}

function setOf(body: Octets): ReadSet | undefined {
  let table = '';
  let name = '';
  let flags = 0;
  let keyType = 0;
  let keyLength = 0;
  forEachAttribute(body, 4, body.length, (type, start, end) => {
    if (type === 1) table = body.text(start, end);
    else if (type === 2) name = body.text(start, end);
    else if (type === 3) flags = body.u32be(start);
    else if (type === 4) keyType = body.u32be(start);
    else if (type === 5) keyLength = body.u32be(start);
  });
  if (table !== TABLE || (flags & SetFlag.Anonymous) !== 0) return undefined;
  return { name, isMap: (flags & SetFlag.Map) !== 0, isInterval: (flags & SetFlag.Interval) !== 0, keyType, keyLength };
}

/** NFTA_SET_ELEM_KEY 1 { value 1 }, DATA 2 { verdict 2 { code 1, chain 2 } }, FLAGS 3. */
function elementOf(body: Octets, from: number, to: number): Element {
  let element: Element = { key: new Uint8Array(0) };
  forEachAttribute(body, from, to, (type, start, end) => {
    // The receive buffer is used again for the next datagram: keep copies.
    if (type === 1)
      forEachAttribute(
        body,
        start,
        end,
        (_, first, last) => (element = { ...element, key: Uint8Array.from(body.slice(first, last)) }),
      );
    else if (type === 2) element = { ...element, goto: verdictChain(body, start, end) };
    else if (type === 3) element = { ...element, isEnd: (body.u32be(start) & 1) !== 0 };
  });
  return element;
}

function verdictChain(body: Octets, start: number, end: number): string {
  let chain = '';
  forEachAttribute(body, start, end, (kind, from, to) => {
    if (kind === 2)
      forEachAttribute(body, from, to, (type, first, last) => (chain = type === 2 ? body.text(first, last) : chain));
  });
  return chain;
}
