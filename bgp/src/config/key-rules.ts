/**
 * What TCP-MD5 keys of several peers mean to each other. The kernel's listening socket has one key for an address or a range, whatever
 * the ports and links: of two the last would win. And it takes no connection from there without that key, so a peer that has none
 * beside one that has comes up only where we connect.
 *
 * Keys by themselves are in shape.ts; what rules look at one peer alone, in peer-rules.ts.
 */
import { containsPrefix, hostPrefix, parseAddress, parsePrefix, type IpPrefix } from '../address.js';
import type { DynamicPeersConfig, PeerConfig, SpeakerConfig } from '../config.js';
import { peerLocation } from './peer-rules.js';
import type { Problem } from './schema.js';

interface Key {
  readonly prefix: IpPrefix;
  readonly password: string;
  readonly path: string;
}

export function checkKeys({ peers = [], dynamicPeers = [] }: SpeakerConfig, problems: Problem[]): void {
  const ofPeers = new Map<string, Key>();
  for (const [index, peer] of peers.entries()) {
    if (peer.address === undefined || peer.password === undefined) continue;
    const key = { prefix: hostOf(peer), password: peer.password, path: `peers[${index}].password` };
    claim(ofPeers, peerLocation(peer).split('%')[0] ?? '', key, 'a peer at the same address', problems);
  }
  const ofRanges = new Map<string, Key>();
  for (const [index, { range, password }] of dynamicPeers.entries())
    if (password !== undefined) {
      const key = { prefix: parsePrefix(range), password, path: `dynamicPeers[${index}].password` };
      claim(ofRanges, range, key, 'the same range on another link', problems);
    }
  const keys = [...ofPeers.values(), ...ofRanges.values()];
  if (keys.length > 0) checkKeyless(peers, dynamicPeers, keys, problems);
}

function claim(keys: Map<string, Key>, where: string, key: Key, who: string, problems: Problem[]): void {
  const first = keys.get(where);
  if (first === undefined) keys.set(where, key);
  else if (first.password !== key.password)
    problems.push({ path: key.path, value: '[redacted]', expected: `that of ${first.path}, ${who}` });
}

/** Who only waits, at an address whose connections need a key, waits for ever. */
function checkKeyless(
  peers: readonly PeerConfig[],
  ranges: readonly DynamicPeersConfig[],
  keys: readonly Key[],
  problems: Problem[],
): void {
  const keyOf = (prefix: IpPrefix): Key | undefined => keys.find((key) => containsPrefix(key.prefix, prefix));
  for (const [index, peer] of peers.entries()) {
    if (peer.address === undefined || peer.password !== undefined || peer.passive !== true) continue;
    const key = keyOf(hostOf(peer));
    if (key !== undefined)
      problems.push({
        path: `peers[${index}].passive`,
        value: true,
        expected: `false, or a password: ${because(key)}`,
      });
  }
  for (const [index, { range, password }] of ranges.entries()) {
    const key = password === undefined ? keyOf(parsePrefix(range)) : undefined;
    if (key !== undefined)
      problems.push({
        path: `dynamicPeers[${index}].range`,
        value: range,
        expected: `another range, or a password: ${because(key)}`,
      });
  }
}

const because = ({ path }: Key): string => `without that of ${path} no connection from there is taken`;

/** Without the link: the kernel's keys are for addresses. */
const hostOf = (peer: PeerConfig): IpPrefix => hostPrefix(parseAddress(peerLocation(peer).split('%')[0] ?? ''));
