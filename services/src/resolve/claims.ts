/**
 * Who has an address and port. Several Services may claim one (external addresses are whatever users write); the first in the order of
 * kind, age and name has it, whatever the order of events, and the others are told. A cluster IP beats everything, so
 * that nobody takes another's by writing it as an external address.
 */
import { invalid, type Problem } from '@tortie/policy/problem';
import { FRONTEND_KINDS, frontendKey, type Frontend } from '../model/frontend.js';
import { serviceKeyText, type ServiceModel } from '../model/service.js';

export interface Claim {
  readonly frontend: Frontend;
  readonly service: ServiceModel;
}

export class Claims {
  /** A key has one claimant nearly always. BOUNDED by the cluster's Services. */
  private readonly byKey = new Map<string, Claim | readonly Claim[]>();
  /** Keys with several claimants. */
  private readonly contested = new Set<string>();

  /** Replaces what a Service claims; returns the keys that have to be looked at again. */
  replace(before: readonly Claim[], after: readonly Claim[]): ReadonlySet<string> {
    const touched = new Set<string>();
    for (const claim of before) {
      const key = frontendKey(claim.frontend);
      touched.add(key);
      this.set(
        key,
        listOf(this.byKey.get(key)).filter((one) => one !== claim),
      );
    }
    for (const claim of after) {
      const key = frontendKey(claim.frontend);
      touched.add(key);
      this.set(key, [...listOf(this.byKey.get(key)), claim].sort(compareClaims));
    }
    return touched;
  }

  winner(key: string): Claim | undefined {
    return listOf(this.byKey.get(key))[0];
  }

  /** Claims that another Service's stands before. */
  losers(): readonly { readonly claim: Claim; readonly winner: Claim }[] {
    return [...this.contested].flatMap((key) => {
      const [winner, ...rest] = listOf(this.byKey.get(key));
      if (winner === undefined) return [];
      return rest
        .filter((claim) => serviceKeyText(claim.service) !== serviceKeyText(winner.service))
        .map((claim) => ({ claim, winner }));
    });
  }

  private set(key: string, claims: readonly Claim[]): void {
    const [only] = claims;
    if (only === undefined) this.byKey.delete(key);
    else this.byKey.set(key, claims.length === 1 ? only : claims);
    if (claims.length > 1) this.contested.add(key);
    else this.contested.delete(key);
  }
}

const listOf = (held: Claim | readonly Claim[] | undefined): readonly Claim[] =>
  held === undefined ? [] : 'frontend' in held ? [held] : held;

function compareClaims(a: Claim, b: Claim): number {
  const kinds = FRONTEND_KINDS.indexOf(a.frontend.kind) - FRONTEND_KINDS.indexOf(b.frontend.kind);
  if (kinds !== 0) return kinds;
  if (a.service.created !== b.service.created) return a.service.created - b.service.created;
  const [left, right] = [serviceKeyText(a.service), serviceKeyText(b.service)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** What the loser is told. */
export function collision({ frontend }: Claim, winner: Claim): Problem {
  const { kind, address, port, protocol } = frontend;
  const field = {
    'cluster-ip': 'spec.clusterIPs',
    'load-balancer': 'status.loadBalancer.ingress',
    'external-ip': 'spec.externalIPs',
    'node-port': 'spec.ports.nodePort',
  }[kind];
  const { namespace, name } = winner.service;
  return invalid(
    field,
    address === undefined ? port : address,
    `must not have ${protocol} port ${port}, which Service "${namespace}/${name}" has already`,
  );
}
