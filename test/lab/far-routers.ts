/** Routers on the outside host, two hops from node1: one for each way to set up a session. With the filters that they are given. */

export const NODE1 = '10.0.0.1';
/** Of 22 on IPv6. */
export const far = (index: number): string => (index < 22 ? `203.0.113.${index}` : `2001:db8::${index}`);

interface FarRouter {
  readonly index: number;
  readonly as: number;
  /** What the node says it is; default 64512. */
  readonly nodeAs?: number;
  /** Lines of BIRD's protocol. */
  readonly session?: string;
  /** Of BGPPeer. */
  readonly spec: Readonly<Record<string, unknown>>;
}

export const FAR: readonly FarRouter[] = [
  { index: 10, as: 65546, nodeAs: 65546, spec: { localASNumber: '1.10' } },
  { index: 11, as: 65011, session: 'bfd on;', spec: { bfd: { intervalMilliseconds: 200 } } },
  { index: 12, as: 65012, spec: { filters: ['tagged'] } },
  { index: 13, as: 65013, nodeAs: 65546, spec: { localASNumber: '1.10' } },
  { index: 14, as: 65014, session: 'multihop 3; ttl security on;', spec: { ttlSecurity: 3 } },
  {
    index: 15,
    as: 65015,
    session: 'password "far-key";',
    spec: { password: { secretKeyRef: { name: 'far', key: 'k' } } },
  },
  { index: 16, as: 65016, spec: { filters: ['transit'] } },
  { index: 17, as: 65017, spec: { filters: ['transit'], nextHopMode: 'Keep' } },
  { index: 18, as: 65018, spec: { filters: ['transit'], keepOriginalNextHop: true } },
  { index: 19, as: 64512, spec: { filters: ['transit'] } },
  { index: 20, as: 64512, spec: { filters: ['transit'], nextHopMode: 'Self' } },
  { index: 21, as: 65021, spec: { reachableBy: '10.1.1.2', filters: ['inwards'] } },
  {
    index: 22,
    as: 65022,
    nodeAs: 65546,
    session: 'multihop 3; ttl security on;',
    spec: { reachableBy: 'fd00:1:0:1::2', filters: ['six'], localASNumber: '1.10', ttlSecurity: 3 },
  },
];

/** BIRD has one session with an address at most, so every router is a daemon of its own; strict bind lets them share the host. */
export const birdConfig = ({ index, as, nodeAs = 64512, session = '' }: FarRouter): string => {
  const isIpv6 = far(index).includes(':');
  return [
    `router id 203.0.113.${index};`,
    'log stderr all;',
    'protocol device { scan time 2; }',
    ...(index === 11 ? ['protocol bfd { multihop { interval 200 ms; }; }'] : []),
    'protocol static { ipv4;',
    '  route 198.51.100.0/26 blackhole { bgp_community.add((65021, 1)); };',
    '  route 198.51.100.64/26 blackhole { bgp_community.add((65021, 2)); };',
    '  route 198.51.100.128/26 blackhole;',
    '}',
    'protocol static { ipv6; route 2001:db8:a::/48 blackhole; route 2001:db8:b::/48 blackhole; }',
    'protocol bgp node {',
    `  local ${far(index)} as ${as}; neighbor ${isIpv6 ? 'fd00::1' : NODE1} as ${nodeAs}; strict bind on; multihop; ${session}`,
    '  connect delay time 1; connect retry time 2; error wait time 1, 2;',
    `  ${isIpv6 ? 'ipv6' : 'ipv4'} { import all; export ${index < 21 ? 'none' : 'where source = RTS_STATIC'}; };`,
    '}',
  ].join('\n');
};

export const bgpPeer = ({ index, as, spec }: FarRouter): object => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPPeer',
  metadata: { name: `far-${index}` },
  spec: { node: 'node1', peerIP: far(index), asNumber: as, ...spec },
});

export const bgpFilter = (name: string, spec: object): object => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPFilter',
  metadata: { name },
  spec,
});

export const FILTERS = [
  bgpFilter('tagged', {
    exportV4: [
      {
        action: 'Accept',
        cidr: '10.65.0.0/16',
        matchOperator: 'In',
        prefixLength: { min: 26, max: 26 },
        communities: { values: ['64512:111'] },
        peerType: 'eBGP',
        operations: [
          { addCommunity: { value: '64512:222' } },
          { addCommunity: { value: '64512:1:2' } },
          { prependASPath: { prefix: ['64512', '1.20'] } },
        ],
      },
      { action: 'Reject' },
    ],
  }),
  // A router's own address: learned from the rack's routers, and given to nobody but who asks.
  bgpFilter('transit', {
    exportV4: [
      { action: 'Accept', cidr: '10.0.255.1/32', matchOperator: 'Equal', source: 'RemotePeers', interface: 'eth*' },
      { action: 'Reject' },
    ],
  }),
  bgpFilter('six', {
    exportV6: [
      {
        action: 'Accept',
        cidr: 'fd00:65::/112',
        matchOperator: 'In',
        prefixLength: { min: 122, max: 122 },
        operations: [{ addCommunity: { value: '64512:6' } }],
      },
      { action: 'Reject' },
    ],
    importV6: [
      { action: 'Reject', cidr: '2001:db8:b::/48', matchOperator: 'Equal' },
      { action: 'Accept', operations: [{ setPriority: { value: 88 } }] },
    ],
    // Of the other family: never asked.
    exportV4: [{ action: 'Reject' }],
    importV4: [{ action: 'Reject' }],
  }),
  bgpFilter('inwards', {
    importV4: [
      {
        action: 'Accept',
        communities: { values: ['65021:1'] },
        asPathPrefix: ['0.65021'],
        operations: [{ setPriority: { value: 77 } }],
      },
      { action: 'Accept', cidr: '198.51.100.64/26', matchOperator: 'Equal' },
      { action: 'Reject', cidr: '198.51.100.0/24', matchOperator: 'In' },
    ],
  }),
];
