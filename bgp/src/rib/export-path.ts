/** AS_PATH changes that a session's configuration asks for on the way out: as-override and remove-private-as. */
import type { AsPathSegment } from '../codec/attribute.js';
import type { RibPeer } from './rib-peer.js';

/** RFC 6996 section 5, and AS numbers reserved for documentation and the last ones (RFC 7300) are not private. */
export const isPrivateAs = (as: number): boolean =>
  (as >= 64512 && as <= 65534) || (as >= 4200000000 && as <= 4294967294);

export function adjustPath(path: readonly AsPathSegment[], options: RibPeer): readonly AsPathSegment[] {
  return overrideAs(removePrivate(path, options.removePrivateAs), options);
}

function removePrivate(path: readonly AsPathSegment[], how: RibPeer['removePrivateAs']): readonly AsPathSegment[] {
  if (how === undefined) return path;
  if (how === 'only-private' && !path.every(({ members }) => members.every(isPrivateAs))) return path;
  return path
    .map((segment) => ({ ...segment, members: segment.members.filter((as) => !isPrivateAs(as)) }))
    .filter(({ members }) => members.length > 0);
}

function overrideAs(
  path: readonly AsPathSegment[],
  { asOverride, remoteAs, localAs }: RibPeer,
): readonly AsPathSegment[] {
  if (asOverride !== true) return path;
  return path.map((segment) => ({
    ...segment,
    members: segment.members.map((as) => (as === remoteAs ? localAs : as)),
  }));
}
