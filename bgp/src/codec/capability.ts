/**
 * Capabilities of the OPEN message (RFC 5492): what each means as data, and one table row each for their bytes.
 *
 * A capability of known code whose value makes no sense is kept as `unknown` bytes rather than ending the session: RFC 5492
 * section 5 lets a speaker ignore what it does not support, and a session that comes up without a feature beats none.
 */
export interface AfiSafi {
  readonly afi: number;
  readonly safi: number;
}

export type RoleName = 'provider' | 'route-server' | 'route-server-client' | 'customer' | 'peer';

export type Capability =
  /** RFC 4760 section 8. */
  | ({ readonly type: 'multiprotocol' } & AfiSafi)
  /** RFC 2918. */
  | { readonly type: 'route-refresh' }
  /** RFC 7313. */
  | { readonly type: 'enhanced-route-refresh' }
  /** RFC 8654. */
  | { readonly type: 'extended-message' }
  /** RFC 6793. */
  | { readonly type: 'four-octet-as'; readonly as: number }
  /** RFC 4724; `notification` is the N bit of RFC 8538. */
  | {
      readonly type: 'graceful-restart';
      /** R bit: the sender has restarted and waits for no End-of-RIB. */
      readonly restarting: boolean;
      readonly notification: boolean;
      /** Seconds, 0..4095. */
      readonly restartTime: number;
      readonly families: readonly (AfiSafi & { readonly forwardingPreserved: boolean })[];
    }
  /** RFC 9494; stale time in seconds, 24 bits. */
  | {
      readonly type: 'long-lived-graceful-restart';
      readonly families: readonly (AfiSafi & { readonly forwardingPreserved: boolean; readonly staleTime: number })[];
    }
  /** RFC 7911: what the sender of the capability can do. */
  | { readonly type: 'add-path'; readonly families: readonly (AfiSafi & { readonly receive: boolean; readonly send: boolean })[] }
  /** RFC 8950: NLRI family and the AFI its next hop may have instead. */
  | { readonly type: 'extended-next-hop'; readonly families: readonly (AfiSafi & { readonly nextHopAfi: number })[] }
  /** RFC 9234. */
  | { readonly type: 'role'; readonly role: RoleName }
  /** draft-walton-bgp-hostname-capability. */
  | { readonly type: 'fqdn'; readonly host: string; readonly domain: string }
  | { readonly type: 'unknown'; readonly code: number; readonly value: Uint8Array };
