/** BGPPeer's reachableBy: the gateway through which a host route to the peer is kept. */
import { formatAddress, isHostAddress, tryParseAddress, type IpAddress } from 'node-bgp/address';
import { isLinkLocal } from 'node-bgp/session/interface';
import type { BGPPeerSpec } from '../api/bgp.js';
import type { Cluster } from './cluster.js';
import type { GatewayRoute } from './node-side.js';
import { isEmpty } from './peer-fields.js';
import { quoted } from './problems.js';

/**
 * Undefined when the resource names none, or, told, when no route can lead there. Without the route the session may still come up over
 * another way.
 */
export function gatewayOf(
  { reachableBy }: BGPPeerSpec,
  peer: IpAddress,
  resource: string,
  { self, input: { loopbackAddresses }, problems }: Cluster,
): GatewayRoute | undefined {
  if (isEmpty(reachableBy)) return undefined;
  const field = 'spec.reachableBy';
  const gateway = tryParseAddress(reachableBy);
  const ownAddresses = new Set([...self.addresses.values(), ...loopbackAddresses]);
  const expected =
    gateway?.family !== peer.family
      ? `an IPv${peer.family} address, as spec.peerIP is`
      : isLinkLocal(gateway) || isLinkLocal(peer)
        ? 'addresses that are not link-local, there and in spec.peerIP: what is on the link needs no gateway'
        : gateway.value === peer.value
          ? "another address than the peer's own"
          : ownAddresses.has(formatAddress(gateway))
            ? 'the address of another machine'
            : isHostAddress(gateway)
              ? undefined
              : 'the address of a host';
  if (gateway !== undefined && expected === undefined)
    return { address: formatAddress(peer), gateway: formatAddress(gateway), field: `${resource} ${field}` };
  problems.problem(
    { resource, field },
    `is ${quoted(reachableBy)}; expected ${expected ?? 'an address'}; no route is kept`,
  );
  return undefined;
}
