/** How peers are called: by name, by address, or by the interface at whose other end they are. */
import { expect } from 'chai';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { formatNeighbor } from '../../../src/bgpd/show/neighbor-text.js';
import { formatSummary } from '../../../src/bgpd/show/summary-text.js';

const peer = (more: Partial<PeerDetail>): PeerDetail => ({
  name: 'eth0',
  address: 'fe80::2%eth0',
  type: 'ebgp',
  remoteAs: 65002,
  localAs: 65001,
  state: 'Established',
  isEstablished: true,
  since: '2026-01-01T00:00:00.000Z',
  seconds: 60,
  families: {},
  messagesReceived: 1,
  messagesSent: 2,
  queuedBytes: 0,
  capabilities: {},
  offers: {},
  timers: {},
  errors: {},
  establishedCount: 1,
  stale: [],
  maxPrefixes: 10_000,
  importFilters: [],
  exportFilters: [],
  ...more,
});

const CASES: readonly (readonly [what: string, peer: PeerDetail, inSummary: RegExp, inDetail: string])[] = [
  [
    'an unnumbered peer',
    peer({ interface: 'eth0' }),
    /^eth0 \(fe80::2\) +65002 /m,
    'BGP neighbor on eth0: fe80::2, remote AS 65002',
  ],
  [
    'an unnumbered peer with a name',
    peer({ interface: 'eth0', name: 'spine1' }),
    /^spine1 \(fe80::2%eth0\) +65002 /m,
    'BGP neighbor on eth0: fe80::2 (spine1), remote AS 65002',
  ],
  [
    'an unnumbered peer that was not heard',
    peer({ interface: 'eth0', address: 'eth0', remoteAs: 0 }),
    /^eth0 +- /m,
    'BGP neighbor on eth0: none heard yet, remote AS any external',
  ],
  [
    'a session without a family',
    peer({ name: 'tor1', address: '10.0.0.2', problem: 'The session carries no routes' }),
    /^tor1 .* Established \(no family\) .* The session carries no routes$/m,
    '  BGP state = Established (no family), up for',
  ],
  [
    'what a peer offers',
    peer({
      offers: {
        theirs: [
          { code: 1, name: 'multiprotocol', value: 'ipv4 unicast' },
          { code: 2, name: 'route-refresh' },
          { code: 200, name: 'capability 200', value: '0102' },
        ],
        ours: [],
        refused: [{ code: 6, name: 'extended-message' }],
        hostName: 'leaf1.rack',
        softwareVersion: 'FRRouting/10.3',
      },
    }),
    /Established/m,
    [
      '  Remote host name leaf1.rack, software FRRouting/10.3',
      '  Offered by the peer:',
      '    multiprotocol ipv4 unicast',
      '    route-refresh',
      '    capability 200 0102',
      '  Offered by us: nothing',
      '  Left out, for the peer refuses it:',
      '    extended-message',
    ].join('\n'),
  ],
  [
    'a peer with an address',
    peer({ name: '10.0.0.2', address: '10.0.0.2' }),
    /^10\.0\.0\.2 +65002 /m,
    'BGP neighbor is 10.0.0.2, remote AS 65002',
  ],
  [
    'a peer with an address and a name',
    peer({ name: 'tor1', address: '10.0.0.2' }),
    /^tor1 +65002 /m,
    'BGP neighbor is 10.0.0.2 (tor1), remote AS 65002',
  ],
];

describe('bgpd show peers', () => {
  for (const [what, detail, inSummary, inDetail] of CASES)
    it(`calls ${what} as its users do`, () => {
      const tables = { ipv4: { prefixes: 0, paths: 0 }, ipv6: { prefixes: 0, paths: 0 } };
      const summary = formatSummary({
        isConfigured: true,
        localAs: 65001,
        routerId: '10.0.0.1',
        startedAt: '2026-01-01T00:00:00.000Z',
        seconds: 60,
        isRestarting: false,
        isDraining: false,
        listen: [],
        bmp: [],
        tables,
        peers: [detail],
      });
      expect(summary).to.match(inSummary);
      expect(formatNeighbor(detail)).to.contain(inDetail);
    });
});
