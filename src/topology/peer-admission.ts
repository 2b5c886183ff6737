/**
 * Which of the peers that resources ask for the speaker is told of: those that the daemon's own rules pass, one by one, each address and
 * each name once.
 *
 * What a rule says of a field is told where the field was written. A session that can do without the field has it without; the others are
 * left out. The order in which resources come does not matter: routers go before nodes that a resource chooses, those before the mesh,
 * then the older resource, whose session may stand; the name decides last. That goes for the TCP-MD5 key of an address, too: the kernel
 * has one for all its ports and links.
 */
import type { PeerConfig, SpeakerConfig } from 'node-bgp/config';
import { peerProblems } from 'node-bgp/config/parts';
import { peerLocation } from 'node-bgp/config/peer-rules';
import type { Problem } from 'node-bgp/config/schema';
import { inWordsOfResources, wordsOfField } from './field-words.js';
import type { DraftField, PeerDraft, PeerFieldName } from './peer-draft.js';
import { quoted, type Problems } from './problems.js';
import { digestName } from './unique-name.js';

/** BOUNDED: what the daemon takes (bgp/src/config/shape.ts). */
const MOST_PEERS = 10_000;
/** The daemon's. */
const LONGEST_NAME = 128;

export interface Admitted {
  readonly draft: PeerDraft;
  readonly peer: PeerConfig;
}

/** `frame`: the configuration around the peers; what it says of filters and where to listen counts. */
export function admitPeers(
  drafts: readonly PeerDraft[],
  frame: SpeakerConfig,
  problems: Problems,
): readonly Admitted[] {
  const inOrder = [...drafts].sort(
    (a, b) =>
      a.rank - b.rank ||
      compare(a.createdAt ?? '', b.createdAt ?? '') ||
      compare(a.name, b.name) ||
      compare(idOf(a), idOf(b)),
  );
  const admitted = new Map<string, Admitted>();
  const keyed = new Map<string, Admitted>();
  for (const draft of inOrder) {
    const peer = usablePeer(draft, frame, problems);
    if (peer === undefined) continue;
    const session = `${peerLocation(peer)} ${peer.port ?? 179}`;
    const first = admitted.get(session);
    const holder = keyed.get(hostOf(peer));
    if (first !== undefined) tellOfTwin(draft, first, problems);
    else if (holder !== undefined && peer.password !== undefined && holder.peer.password !== peer.password)
      tellOfKey(draft, holder, problems);
    else if (admitted.size >= MOST_PEERS)
      problems.problem(draft.place, `asks for one more peer than the ${MOST_PEERS} a speaker can have; left out`);
    else {
      admitted.set(session, { draft, peer });
      if (peer.password !== undefined && holder === undefined) keyed.set(hostOf(peer), { draft, peer });
    }
  }
  const taken = new Set<string>();
  return [...admitted.values()].map((each) => ({
    draft: each.draft,
    peer: { ...beside(keyed.get(hostOf(each.peer)), each, problems), name: freeName(each.draft, each.peer, taken) },
  }));
}

/** As the rules let it be; undefined, and told, when they do not. */
function usablePeer(draft: PeerDraft, frame: SpeakerConfig, problems: Problems): PeerConfig | undefined {
  const fields = new Map(draft.fields);
  for (;;) {
    // The rules check what the type promises.
    const peer = Object.fromEntries([...fields].map(([name, { value }]) => [name, value])) as unknown as PeerConfig;
    const found = peerProblems(frame, peer);
    if (found.length === 0) return peer;
    let isUsable = true;
    for (const problem of found) {
      const name = nameAt(problem) as PeerFieldName;
      const field = fields.get(name);
      // Told and taken out for another part of it.
      if (field === undefined && draft.fields.has(name)) continue;
      tell(draft, field, problem, problems);
      if (field?.fallback === undefined) isUsable = false;
      else fields.delete(name);
    }
    if (!isUsable) return undefined;
  }
}

/** "bfd" of "bfd.multiplier". */
const nameAt = ({ path }: Problem): string => /^\w+/.exec(path)?.[0] ?? '';

function tell(draft: PeerDraft, field: DraftField | undefined, problem: Problem, problems: Problems): void {
  const place = field?.place ?? draft.place;
  const value = field === undefined ? problem.value : 'written' in field ? field.written : field.value;
  const outcome = field?.fallback ?? 'left out';
  // The value of a secret is in no sentence.
  const isSecret = problem.value === '[redacted]';
  const is = isSecret
    ? 'cannot be used'
    : place.field === undefined
      ? `has ${wordsOfField(nameAt(problem)) ?? problem.path} ${quoted(value)}`
      : `is ${quoted(value)}`;
  problems.problem(place, `${is}; expected ${field?.expected ?? inWordsOfResources(problem.expected)}; ${outcome}`);
}

function tellOfTwin(draft: PeerDraft, { draft: first, peer }: Admitted, problems: Problems): void {
  const address = peerLocation(peer);
  if (draft.rank === 2)
    problems.notice(first.place, `takes the place of the mesh session with ${address} (${draft.place.resource})`);
  else if (draft.rank === 1 && sameFields(draft, first))
    problems.notice(draft.place, `asks for the session with ${address} that ${first.place.resource} asks for already`);
  else
    problems.problem(
      draft.fields.get('address')?.place ?? draft.place,
      `asks for a session with ${address}, which ${first.place.resource} has; expected one to an address and port; left out`,
    );
}

/** Without the link: there are addresses that every link has. */
const hostOf = (peer: PeerConfig): string => peerLocation(peer).split('%')[0] ?? '';

function tellOfKey(draft: PeerDraft, { draft: first, peer }: Admitted, problems: Problems): void {
  const [place, holder] = [draft, first].map((each) => each.fields.get('password')?.place ?? each.place);
  const words = [holder?.resource, holder?.field].filter((word) => word !== undefined).join(' ');
  problems.problem(
    place ?? draft.place,
    `gives ${hostOf(peer)} another TCP-MD5 key than ${words}; expected one to an address, whatever its ports; left out`,
  );
}

/**
 * A peer without a key at the address of one that has one. The kernel takes no connection from there without it, on whatever port; what
 * we open ourselves needs none.
 */
function beside(holder: Admitted | undefined, { draft, peer }: Admitted, problems: Problems): PeerConfig {
  if (holder === undefined || peer.password !== undefined) return peer;
  const why = `no TCP-MD5 key for ${hostOf(peer)}, to which ${holder.draft.place.resource} gives one`;
  if (peer.passive !== true) {
    problems.notice(draft.place, `has ${why}; only connections that this node opens can come up`);
    return peer;
  }
  const { passive, ...active } = peer;
  problems.problem(
    draft.fields.get('passive')?.place ?? draft.place,
    `is "${passive}" with ${why}; expected the same key, or false: no connection from there is taken; using false`,
  );
  return active;
}

const sameFields = (a: PeerDraft, b: PeerDraft): boolean => fieldsText(a) === fieldsText(b);
const fieldsText = ({ fields }: PeerDraft): string =>
  JSON.stringify(
    [...fields].map(([name, { value }]) => [name, value]).sort(([x], [y]) => compare(String(x), String(y))),
  );

/** Who it is among all drafts, whatever its name. */
const idOf = ({ place, name, fields }: PeerDraft): string =>
  JSON.stringify([place.resource, name, fields.get('address')?.value, fields.get('port')?.value]);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Its own name; a digest behind it where somebody before it has that name, or where it is too long: names of resources may hold 253
 * characters, and "a-b" with "c" reads like "a" with "b-c". No resource has a "~" in its name.
 */
function freeName(draft: PeerDraft, peer: PeerConfig, taken: Set<string>): string {
  const { name } = draft;
  const isUsable = name.length <= LONGEST_NAME && /^[\x21-\x7e]+$/.test(name);
  let free = name;
  for (let turn = 0; turn === 0 ? !isUsable || taken.has(free) : taken.has(free); turn++)
    free = digestName(
      name,
      JSON.stringify([draft.rank, draft.place.resource, name, peerLocation(peer), peer.port, turn]),
    );
  taken.add(free);
  return free;
}
