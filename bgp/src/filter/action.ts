/** The `set` of a filter rule, compiled: what it makes of a route. */
import { parseAddress, type IpAddress } from '../address.js';
import type { AsPathSegment, PathAttributes } from '../codec/attribute.js';
import type { FilterSet } from '../config.js';
import { withCommunities, withoutCommunities } from './community-pattern.js';
import { attributesOf, communityPattern, type FilterSession, type RouteState } from './condition.js';

export type Action = (state: RouteState) => RouteState;

/** In this order: communities are replaced, then removed, then added. Attributes that stay as they are keep their identity. */
export function compileSet(set: FilterSet, session: FilterSession): Action {
  const removed = (set.removeCommunities ?? []).map(communityPattern);
  const prepended = [...(set.prependAs ?? []), ...new Array<number>(set.prepend ?? 0).fill(session.localAs)];
  const nextHop = set.nextHop === undefined ? undefined : parseAddress(set.nextHop);
  return (state) => {
    const before = attributesOf(state);
    let after = withPlainFields(before, set);
    if (set.setCommunities !== undefined) after = withCommunities(bare(after), set.setCommunities);
    if (removed.length > 0) after = withoutCommunities(after, removed);
    if (set.addCommunities !== undefined) after = withCommunities(after, set.addCommunities);
    if (prepended.length > 0) after = { ...after, asPath: prependTo(after.asPath, prepended) };
    return {
      route: state.route,
      attributes: after === before ? state.attributes : after,
      nextHop: fits(nextHop, state) ? nextHop : state.nextHop,
      weight: set.weight ?? state.weight,
      metric: set.kernelMetric ?? state.metric,
      choseMed: set.med === undefined ? state.choseMed : set.med !== 'remove',
    };
  };
}

/** A next hop of the other family is not for this route. */
const fits = (nextHop: IpAddress | undefined, { route }: RouteState): boolean =>
  nextHop !== undefined && nextHop.family === route.family;

function withPlainFields(attributes: PathAttributes, { localPreference, med, origin }: FilterSet): PathAttributes {
  let after = attributes;
  if (localPreference !== undefined && localPreference !== after.localPreference) after = { ...after, localPreference };
  if (med === 'remove' ? after.med !== undefined : med !== undefined && med !== after.med)
    after = { ...after, med: med === 'remove' ? undefined : med };
  return origin === undefined || origin === after.origin ? after : { ...after, origin };
}

/** Without any community. */
const bare = (attributes: PathAttributes): PathAttributes => ({
  ...attributes,
  communities: undefined,
  extendedCommunities: undefined,
  largeCommunities: undefined,
});

/** RFC 4271 section 5.1.2: into the leading sequence while it holds at most 255. */
function prependTo(path: readonly AsPathSegment[], added: readonly number[]): readonly AsPathSegment[] {
  const [first, ...rest] = path;
  if (first?.type === 'sequence' && first.members.length + added.length <= 255)
    return [{ type: 'sequence', members: [...added, ...first.members] }, ...rest];
  return [{ type: 'sequence', members: added }, ...path];
}
