/** What a change does to pools: pods and blocks that it strands, nodes that no pool serves any more, what is another way on the wire. */
import { formatAddress, type Family } from 'node-bgp/address';
import { nodePoolsOf, servesUnasked } from '../agent/node-pools.js';
import { selectorMatches } from '../agent/node-selector.js';
import type { IPPool, IPPoolSpec } from '../api/ipam.js';
import { inventoryOf, podName, usesIn, type AddressUse, type Inventory } from '../ipam/inventory.js';
import { identityOf } from '../topology/node-identity.js';
import { some, type Finding } from './finding.js';
import { ofKind, type ObjectChange, type World } from './world.js';

const FAMILIES: readonly Family[] = [4, 6];

export function planPools(before: World, after: World, changes: readonly ObjectChange[]): readonly Finding[] {
  const [was, is] = [inventory(before), inventory(after)];
  return [
    ...changes.filter(({ kind }) => kind === 'ipPools').flatMap((change) => poolFindings(change, was)),
    ...blockFindings(was, is),
    ...problemFindings(was, is),
    ...servedFindings(before, after),
  ];
}

const inventory = (world: World): Inventory =>
  inventoryOf({
    pools: ofKind(world, 'ipPools'),
    blocks: ofKind(world, 'ipamBlocks'),
    reservations: ofKind(world, 'ipReservations'),
    nodes: ofKind(world, 'nodes'),
    pods: ofKind(world, 'pods'),
    published: ofKind(world, 'nodeAddresses'),
  });

// ---- one pool

function poolFindings(change: ObjectChange, was: Inventory): readonly Finding[] {
  const [old, next] = [change.before as IPPool | undefined, change.after as IPPool | undefined];
  if (old === undefined) return [];
  const object = `IPPool/${change.key}`;
  const users = usersOf(old, was);
  if (next === undefined)
    return [
      {
        harm: users.length > 0 ? 'cut' : 'loss',
        area: 'pools',
        object,
        message: users.length > 0 ? `goes, with ${pods(users)} in it` : 'goes; no pod has an address of it',
        ...(users.length > 0 ? { evidence: some(users.flatMap(namesOf)) } : {}),
      },
    ];
  return FIELDS.flatMap(({ field, tell }): readonly Finding[] => {
    const [value, wish] = [old.spec[field] ?? DEFAULTS[field], next.spec[field] ?? DEFAULTS[field]];
    if (JSON.stringify(value) === JSON.stringify(wish)) return [];
    return [{ area: 'pools', object, field: `spec.${field}`, ...tell(next.spec, pods(users)) }];
  });
}

type FieldName = keyof IPPoolSpec;
type Told = Pick<Finding, 'harm' | 'message'>;

const DEFAULTS: Partial<IPPoolSpec> = {
  natOutgoing: false,
  disabled: false,
  ipipMode: 'Never',
  vxlanMode: 'Never',
  assignmentMode: 'Automatic',
};

const fixed = (what: string): Told => ({
  harm: 'refused',
  message: `cannot be changed: make another pool ${what}, disable this one`,
});

/** What each field means for pods that are there. Selectors and allowedUses show in which nodes are served. */
const FIELDS: readonly { readonly field: FieldName; readonly tell: (spec: IPPoolSpec, users: string) => Told }[] = [
  { field: 'cidr', tell: () => fixed('with that range') },
  { field: 'blockSize', tell: () => fixed('with that size') },
  {
    field: 'disabled',
    tell: ({ disabled }, users) =>
      disabled === true
        ? { harm: 'loss', message: `gives no new addresses; ${users} keep theirs` }
        : { harm: 'gain', message: 'gives addresses again' },
  },
  {
    field: 'natOutgoing',
    tell: ({ natOutgoing }, users) => ({
      harm: 'change',
      message:
        natOutgoing === true
          ? `what ${users} send out of the pools leaves with the node's address`
          : `what ${users} send out of the pools leaves with the pod's own address`,
    }),
  },
  {
    field: 'vxlanMode',
    tell: ({ vxlanMode = 'Never' }, users) => ({ harm: 'change', message: encapsulation('VXLAN', vxlanMode, users) }),
  },
  {
    field: 'ipipMode',
    tell: ({ ipipMode = 'Never' }, users) => ({ harm: 'change', message: encapsulation('IP-in-IP', ipipMode, users) }),
  },
  {
    field: 'assignmentMode',
    tell: ({ assignmentMode }) =>
      assignmentMode === 'Manual'
        ? { harm: 'change', message: 'gives addresses on request only' }
        : { harm: 'change', message: 'gives addresses to whoever asks for none in particular' },
  },
];

function encapsulation(kind: string, mode: string, users: string): string {
  if (mode === 'Never') return `packets of ${users} are no more wrapped in ${kind}`;
  const where = mode === 'CrossSubnet' ? 'between nodes of different subnets ' : '';
  return `packets of ${users} ${where}are wrapped in ${kind}`;
}

// ---- blocks, pools, nodes

/** Blocks that lie in a pool before and in none after. */
function blockFindings(was: Inventory, is: Inventory): readonly Finding[] {
  const stranded = is.blocks.filter(
    ({ cidr, pool }) => pool === undefined && was.blocks.find((block) => block.cidr === cidr)?.pool !== undefined,
  );
  return stranded.map(({ cidr, prefix, object }): Finding => {
    const users = usesIn(is, prefix);
    const pool = was.blocks.find((block) => block.cidr === cidr)?.pool?.name ?? '';
    return {
      harm: users.length > 0 ? 'cut' : 'loss',
      area: 'pools',
      object: `IPPool/${pool}`,
      node: object.spec.node,
      message: `block ${cidr} lies in no pool any more; ${pods(users)} in it`,
    };
  });
}

function problemFindings(was: Inventory, is: Inventory): readonly Finding[] {
  const known = new Set(was.poolProblems.map(({ message }) => message));
  return is.poolProblems
    .filter(({ message }) => !known.has(message))
    .map(
      ({ pool, field, message }): Finding => ({
        harm: 'refused',
        area: 'pools',
        object: `IPPool/${pool}`,
        field,
        message,
      }),
    );
}

/** Nodes whose pods, asking for nothing, get an address of a family before and none after. */
function servedFindings(before: World, after: World): readonly Finding[] {
  const unserved = FAMILIES.flatMap((family): readonly Finding[] => {
    const old = served(before, family);
    const next = served(after, family);
    const nodes = [...old].filter((node) => next.has(node) === false && after.get('nodes')?.has(node) === true);
    if (nodes.length === 0) return [];
    return [
      {
        harm: 'cut',
        area: 'pools',
        object: 'IPPool',
        message: `no pool gives IPv${family} addresses to new pods of ${some(nodes)} any more`,
      },
    ];
  });
  return unserved;
}

function served(world: World, family: Family): ReadonlySet<string> {
  const pools = ofKind(world, 'ipPools');
  // Selectors are all that differs between nodes: nodes of the same labels are served alike.
  const answers = new Map<string, boolean>();
  return new Set(
    ofKind(world, 'nodes').flatMap((node) => {
      const { labels, name } = identityOf(node);
      const key = JSON.stringify([...labels].sort());
      const answer =
        answers.get(key) ??
        nodePoolsOf(pools, { labels, matches: selectorMatches, families: FAMILIES }).pools.some(
          (pool) => pool.prefix.family === family && servesUnasked(pool),
        );
      answers.set(key, answer);
      return answer ? [name] : [];
    }),
  );
}

// ---- words

function usersOf({ metadata: { name } }: IPPool, inventory: Inventory): readonly AddressUse[] {
  const pool = inventory.pools.find((each) => each.name === name);
  return pool === undefined ? [] : usesIn(inventory, pool.prefix);
}

const pods = (users: readonly AddressUse[]): string =>
  users.length === 1 ? '1 address in use' : `${users.length} addresses in use`;

const namesOf = ({ pods: own, published, address }: AddressUse): readonly string[] => [
  ...new Set([
    ...own.map((pod) => `${podName(pod)} ${formatAddress(address)}`),
    ...published.map(({ namespace, pod }) => `${namespace}/${pod} ${formatAddress(address)}`),
  ]),
];
