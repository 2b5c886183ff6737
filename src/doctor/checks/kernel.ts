/** What the kernel can do and how it is set: features, sysctls, tables that fill up, MTU. */
import { configurationOf } from '../../topology/configuration.js';
import { Problems } from '../../topology/problems.js';
import type { CheckName } from '../finding.js';
import type { LinkFact } from '../kernel-witness.js';
import { isPodInterface, uplinksOf } from '../uplinks.js';
import type { NodeCheck, Said } from './check.js';

/** Octets of the socket's option memory that one TCP-MD5 key takes (struct tcp_md5sig_key, measured: 131072 are 963 keys). */
const OCTETS_OF_KEY = 136;
const NEARLY_FULL = 0.8;
const FULL = 0.95;
const IP_VERSIONS = [4, 6] as const;

const features: NodeCheck = ({ features: reports = [] }) =>
  reports.flatMap(({ name, kernelPart, purpose, isRequired, problem }) =>
    problem === undefined
      ? []
      : [
          {
            check: 'kernel-feature',
            severity: isRequired ? 'error' : 'info',
            evidence: `The kernel lacks ${name}: ${problem}`,
            remedy: `Boot a kernel with ${kernelPart}; Tortie needs it for ${purpose}.`,
          },
        ],
  );

const forwarding: NodeCheck = ({ sysctls }, cluster) => {
  const wantsIpv6 = cluster?.ipPools.some(({ spec }) => spec.cidr.includes(':')) ?? false;
  return [
    { name: 'net.ipv4.ip_forward', isWanted: true },
    { name: 'net.ipv6.conf.all.forwarding', isWanted: wantsIpv6 },
  ].flatMap(({ name, isWanted }) =>
    isWanted && sysctls.get(name) === '0'
      ? [
          {
            check: 'forwarding',
            severity: 'error',
            evidence: `${name} is 0: packets of pods go nowhere`,
            remedy: `The agent sets it when it starts; find who takes it back (sysctl.d, a hardening tool), and set ${name}=1.`,
          },
        ]
      : [],
  );
};

/** The larger of "all" and the interface's own counts, and 2 is the weaker check (ip-sysctl.rst). */
const reversePath: NodeCheck = (facts) => {
  const all = Number(facts.sysctls.get('net.ipv4.conf.all.rp_filter') ?? 0);
  const uplinks = uplinksOf(facts);
  const strict = uplinks.filter(
    ({ name }) => Math.max(all, Number(facts.sysctls.get(`net.ipv4.conf.${slashed(name)}.rp_filter`) ?? 0)) === 1,
  );
  return [
    ...(all === 2
      ? [
          {
            check: 'rp-filter',
            severity: 'warning',
            evidence:
              'net.ipv4.conf.all.rp_filter is 2, for every interface: what a pod claims to come from becomes a neighbour, ' +
              'so that it can fill the table of ARP',
            remedy: 'Set net.ipv4.conf.all.rp_filter to 0 or 1, and 2 on the interfaces that need it.',
          } as const,
        ]
      : []),
    ...(uplinks.length > 1 && strict.length > 0
      ? [
          {
            check: 'rp-filter',
            severity: 'warning',
            evidence:
              `Routes leave by ${namesOf(uplinks)}, and rp_filter is 1 (strict) on ${namesOf(strict)}: ` +
              'what comes in by another link than its answer would take is dropped',
            remedy: `Set rp_filter to 2 (loose) on ${namesOf(strict)}.`,
          } as const,
        ]
      : []),
  ];
};

const multipathHash: NodeCheck = ({ sysctls, routes = [] }) =>
  IP_VERSIONS.flatMap((family) => {
    const name = `net.ipv${family}.fib_multipath_hash_policy`;
    const several = routes.filter((route) => route.family === family && route.nextHops.length > 1);
    return several.length > 0 && sysctls.get(name) === '0'
      ? [
          {
            check: 'multipath-hash',
            severity: 'info',
            evidence:
              `${several.length} routes have several next hops (${several[0]?.prefix ?? ''}), and ${name} is 0: ` +
              'all connections between two addresses take one of them',
            remedy: `Set ${name} to 1, so that connections are spread by their ports, too.`,
          },
        ]
      : [];
  });

const optionMemory: NodeCheck = ({ sysctls }, cluster) => {
  const room = Number(sysctls.get('net.core.optmem_max') ?? NaN);
  if (Number.isNaN(room) || cluster === undefined) return [];
  const mesh = configurationOf('', cluster.bgpConfigurations, new Problems()).spec.nodeMeshPassword !== undefined;
  const peers = cluster.bgpPeers.filter(({ spec }) => spec.password !== undefined).length;
  const keys = peers + (mesh ? cluster.nodes.length * 2 : 0);
  const most = Math.floor(room / OCTETS_OF_KEY);
  return keys <= most * NEARLY_FULL
    ? []
    : [
        {
          check: 'optmem-max',
          severity: keys > most ? 'error' : 'warning',
          evidence: `Up to ${keys} peers have TCP-MD5 keys; net.core.optmem_max ${room} holds about ${most} on a listening socket`,
          remedy: `Set net.core.optmem_max to at least ${keys * OCTETS_OF_KEY * 2}.`,
        },
      ];
};

const conntrack: NodeCheck = ({ sysctls }) => {
  const [count, max] = ['count', 'max'].map((word) => Number(sysctls.get(`net.netfilter.nf_conntrack_${word}`) ?? NaN));
  return fullness({
    check: 'conntrack',
    what: 'connections are tracked',
    count,
    max,
    name: 'net.netfilter.nf_conntrack_max',
    outcome: 'when it is full, new connections are dropped',
  });
};

const neighbours: NodeCheck = ({ sysctls, neighbours: counts }) =>
  IP_VERSIONS.flatMap((family) => {
    const name = `net.ipv${family}.neigh.default.gc_thresh3`;
    return fullness({
      check: 'neighbours',
      what: `neighbours of IPv${family} are known`,
      count: counts?.[family],
      max: Number(sysctls.get(name) ?? NaN),
      name,
      outcome: 'when it is full, no new neighbour can be reached',
    });
  });

interface Fullness {
  readonly check: CheckName;
  readonly what: string;
  readonly count: number | undefined;
  readonly max: number | undefined;
  readonly name: string;
  readonly outcome: string;
}

function fullness({ check, what, count = NaN, max = NaN, name, outcome }: Fullness): readonly Said[] {
  const share = count / max;
  if (!(share >= NEARLY_FULL)) return [];
  return [
    {
      check,
      severity: share >= FULL ? 'error' : 'warning',
      evidence: `${count} ${what}, ${Math.round(share * 100)} % of ${name} (${max}); ${outcome}`,
      remedy: `Raise ${name}, or find who needs so many.`,
    },
  ];
}

const mtu: NodeCheck = (facts) => {
  const uplinks = uplinksOf(facts);
  const least = uplinks.reduce((value, link) => Math.min(value, link.mtu), Infinity);
  const large = (facts.links ?? []).filter((link) => isPodInterface(link.name) && link.mtu > least);
  return large.length === 0
    ? []
    : [
        {
          check: 'mtu',
          severity: 'error',
          evidence:
            `${large.length} pods have interfaces of MTU ${large[0]?.mtu ?? 0} (${large[0]?.name ?? ''}); ` +
            `routes leave by ${uplinks.map(({ name, mtu: octets }) => `${name} with ${octets}`).join(', ')}`,
          remedy: 'Raise the MTU of the links, or start the agent with --mtu and make the pods anew.',
        },
      ];
};

const namesOf = (links: readonly LinkFact[]): string => links.map(({ name }) => name).join(', ');
/** As sysctl(8) writes the dots of an interface's name. */
const slashed = (name: string): string => name.replaceAll('.', '/');

export const KERNEL_CHECKS: readonly NodeCheck[] = [
  features,
  forwarding,
  reversePath,
  multipathHash,
  optionMemory,
  conntrack,
  neighbours,
  mtu,
];
