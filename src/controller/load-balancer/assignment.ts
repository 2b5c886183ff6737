/**
 * Which addresses a Service gets. Pure: the wish, the pools, who has what, and what the Service has already.
 *
 * What it has stays as long as it is what was asked for, lies in a pool for Services and is nobody else's: nothing that happens to a
 * pool but its deletion takes an address away. An address by name beats assignmentMode and namespaceSelector, as in Calico; nothing
 * beats `disabled`. A Service of both families gets what there is, unless it needs both.
 */
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { AddressLedger, AddressUse } from './ledger.js';
import { poolOf, type LoadBalancerPool } from './pools.js';
import type { AddressWish } from './wish.js';

export interface AssignmentInput {
  /** "shop/web". */
  readonly service: string;
  readonly wish: AddressWish;
  readonly use: AddressUse;
  readonly current: readonly IpAddress[];
  readonly pools: readonly LoadBalancerPool[];
  readonly selectsNamespace: (selector: string) => boolean;
  readonly ledger: AddressLedger;
  /** Not given to anybody who does not ask for them by name. */
  readonly reserved: readonly IpPrefix[];
}

/** One word for programs. */
export type Reason =
  | 'Assigned'
  | 'InvalidRequest'
  | 'NoPool'
  | 'PoolNotUsable'
  | 'PoolExhausted'
  | 'AddressOutsidePools'
  | 'AddressInUse';

export interface Assignment {
  /** In the order of the wish's families. */
  readonly addresses: readonly IpAddress[];
  readonly isPending: boolean;
  readonly reason: Reason;
  /** A sentence. */
  readonly message: string;
}

interface Refusal {
  readonly reason: Reason;
  readonly message: string;
}

type Found = { readonly address: IpAddress } | Refusal;

export function assign(input: AssignmentInput): Assignment {
  const { wish } = input;
  const kept = wish.families.flatMap((family) => keptOf(input, family) ?? []);
  if (wish.problems.length > 0) return pending(kept, 'InvalidRequest', wish.problems);
  const found = wish.families.map((family): Found => {
    const own = kept.find((address) => address.family === family);
    return own === undefined ? newOf(input, family) : { address: own };
  });
  const addresses = found.flatMap((each) => ('address' in each ? [each.address] : []));
  const refusals = found.flatMap((each) => ('address' in each ? [] : [each]));
  const [first] = refusals;
  const texts = refusals.map(({ message }) => message);
  const mustHaveAll = wish.needsAll || wish.addresses.size > addresses.filter((each) => isAsked(wish, each)).length;
  if (first !== undefined && (addresses.length === 0 || mustHaveAll)) return pending(kept, first.reason, texts);
  const got = `Has ${addresses.map(formatAddress).join(' and ')}`;
  return {
    addresses,
    isPending: false,
    reason: 'Assigned',
    message: [got, ...texts].join('; '),
  };
}

const pending = (kept: readonly IpAddress[], reason: Reason, texts: readonly string[]): Assignment => ({
  addresses: kept,
  isPending: true,
  reason,
  message: `Cannot assign an address: ${texts.join('; ')}`,
});

const isAsked = ({ addresses }: AddressWish, address: IpAddress): boolean => {
  const asked = addresses.get(address.family);
  return asked !== undefined && formatAddress(asked) === formatAddress(address);
};

function keptOf(
  { wish, current, pools, ledger, service, use }: AssignmentInput,
  family: Family,
): IpAddress | undefined {
  const named = wish.pools.get(family);
  return current.find((address) => {
    if (address.family !== family) return false;
    if (wish.addresses.has(family) && !isAsked(wish, address)) return false;
    const pool = poolOf(pools, address);
    if (pool === undefined || named?.includes(pool.name) === false) return false;
    return ledger.whyNot(address, service, use, true) === undefined;
  });
}

function newOf(input: AssignmentInput, family: Family): Found {
  const address = input.wish.addresses.get(family);
  return address === undefined ? anyOf(input, family) : byName(input, address);
}

function byName({ pools, wish, ledger, service, use }: AssignmentInput, address: IpAddress): Found {
  const text = formatAddress(address);
  const pool = poolOf(pools, address);
  const named = wish.pools.get(address.family);
  if (pool === undefined)
    return { reason: 'AddressOutsidePools', message: `${text} is in no IPPool with allowedUses LoadBalancer` };
  if (named?.includes(pool.name) === false)
    return {
      reason: 'AddressOutsidePools',
      message: `${text} is in pool "${pool.name}", and "${named.join()}" is asked for`,
    };
  if (pool.isDisabled)
    return { reason: 'PoolNotUsable', message: `${text} is in pool "${pool.name}", which is disabled` };
  const why = ledger.whyNot(address, service, use, false);
  return why === undefined ? { address } : { reason: 'AddressInUse', message: `${text} is in use: ${why}` };
}

function anyOf(input: AssignmentInput, family: Family): Found {
  const candidates = candidatesOf(input, family);
  if ('reason' in candidates) return candidates;
  const { ledger, service, use, reserved } = input;
  if (use.sharingKey !== undefined)
    for (const text of ledger.sharedBy(use.sharingKey)) {
      const address = parseAddress(text);
      const isCandidate = poolOf(candidates, address) !== undefined;
      if (isCandidate && ledger.whyNot(address, service, use, false) === undefined) return { address };
    }
  for (const { prefix } of candidates) {
    const address = ledger.lowestFree(prefix, reserved);
    if (address !== undefined) return { address };
  }
  const names = candidates.map(({ name, prefix }) => `"${name}" (${formatPrefix(prefix)})`).join(', ');
  return { reason: 'PoolExhausted', message: `no address is left in pool ${names}` };
}

/** Pools to look for an address in, or why there are none. */
function candidatesOf(
  { pools, wish, selectsNamespace }: AssignmentInput,
  family: Family,
): readonly LoadBalancerPool[] | Refusal {
  const ofFamily = pools.filter(({ prefix }) => prefix.family === family);
  const named = wish.pools.get(family);
  if (named === undefined) {
    const usable = ofFamily.filter(
      ({ isDisabled, isManual, namespaceSelector }) =>
        !isDisabled && !isManual && (namespaceSelector === undefined || selectsNamespace(namespaceSelector)),
    );
    if (usable.length > 0) return usable;
    return {
      reason: 'NoPool',
      message:
        ofFamily.length === 0
          ? `there is no IPv${family} IPPool with allowedUses LoadBalancer`
          : `no IPv${family} pool serves it unasked: ${ofFamily.map(whyNotUnasked).join(', ')}`,
    };
  }
  const usable = ofFamily.filter(({ name, isDisabled }) => named.includes(name) && !isDisabled);
  if (usable.length > 0) return usable;
  const disabled = ofFamily.filter(({ name }) => named.includes(name));
  const text = named.map((name) => `"${name}"`).join(', ');
  return {
    reason: 'PoolNotUsable',
    message:
      disabled.length > 0
        ? `pool ${text} is disabled`
        : `there is no IPv${family} IPPool ${text} with allowedUses LoadBalancer`,
  };
}

function whyNotUnasked({ name, isDisabled, isManual }: LoadBalancerPool): string {
  const why = isDisabled
    ? 'is disabled'
    : isManual
      ? 'has assignmentMode Manual'
      : "does not select the Service's namespace";
  return `"${name}" ${why}`;
}
