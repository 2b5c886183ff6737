/** Metrics of living speakers: right values, the exposition format, and labels that strangers cannot multiply. */
import { expect } from 'chai';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { groupsOf, renderMetrics } from '../../src/bgpd/metrics.js';
import { World } from '../bgp/speaker/world.js';

describe('bgpd metrics', () => {
  it('count named peers by name and peers out of a range as their range', async () => {
    const world = new World();
    const one = world.speaker('10.0.0.1');
    await one.speaker.configure({
      localAs: 64512,
      routerId: '10.0.0.1',
      listen: [{ address: '10.0.0.1', port: 179 }],
      originate: [{ prefix: '10.65.0.0/24' }],
      bmp: [
        { address: '127.0.0.1', port: 9 },
        { address: '127.0.0.1', port: 9, monitor: ['loc-rib'] },
      ],
      peers: [{ name: 'a "quoted"', address: '10.0.0.9', remoteAs: 65009, shutdown: true }].map((peer) => ({
        ...peer,
        name: peer.name.replace(/ /g, '_'),
      })),
      dynamicPeers: [{ name: 'rack/1', range: '10.0.0.0/24', remoteAs: [65002, 65003] }],
    });
    for (const n of [2, 3]) {
      const other = world.speaker(`10.0.0.${n}`);
      await other.speaker.configure({
        localAs: 65000 + n,
        routerId: `10.0.0.${n}`,
        listen: [],
        originate: [{ prefix: `10.66.${n}.0/24` }],
        peers: [{ address: '10.0.0.1', remoteAs: 64512, localAddress: `10.0.0.${n}` }],
      });
    }
    world.seconds(30);
    const text = renderMetrics({ speaker: one.speaker, fibStatus: undefined });
    const value = (series: string): string | undefined =>
      text
        .split('\n')
        .find((line) => line.startsWith(`tortie_bgp_${series} `))
        ?.split(' ')
        .at(-1);
    const dynamic = '{peer="rack/1/*",remote_as=""}';
    expect(value(`peers${dynamic}`)).to.equal('2');
    expect(value(`peer_up${dynamic}`)).to.equal('2');
    expect(value('peer_prefixes_received{peer="rack/1/*",remote_as="",family="ipv4"}')).to.equal('2');
    expect(value('peer_received_messages_total{peer="rack/1/*",remote_as="",type="open"}')).to.equal('2');
    expect(value('peer_held_down{peer="a_\\"quoted\\"",remote_as="65009"}')).to.equal('1');
    expect(value('peer_state_seconds{peer="a_\\"quoted\\"",remote_as="65009"}')).to.equal('30');
    expect(value(`peer_state_seconds${dynamic}`), 'no sum of ages').to.equal(undefined);
    expect(value('rib_prefixes{family="ipv4"}')).to.equal('3');
    expect(value('bmp_up{station="127.0.0.1:9"}')).to.equal('0');
    await one.speaker.stop();
    expect(text).to.not.match(/10\.0\.0\.[23]|10\.6[56]/);
    for (const line of text.trim().split('\n'))
      expect(line).to.match(
        line.startsWith('#')
          ? /^# (HELP tortie_bgp_\w+ .+|TYPE tortie_bgp_\w+ (gauge|counter))$/
          : /^tortie_bgp_[a-z0-9_]+(\{(\w+="([^"\\]|\\.)*",?)+\})? -?\d+(\.\d+)?$/,
      );
    const names = text
      .split('\n')
      .filter((line) => line.startsWith('# TYPE'))
      .map((line) => line.split(' ')[2]);
    expect(new Set(names).size).to.equal(names.length);
    for (const line of text.split('\n').filter((each) => each.endsWith(' counter')))
      expect(line).to.match(/_total counter$/);
  });

  it('have no more series than the configuration has peers, and never more than the bound', () => {
    const detail = (name: string): PeerDetail => ({
      name,
      address: '10.0.0.1',
      type: 'ebgp',
      remoteAs: 65001,
      localAs: 64512,
      state: 'Idle',
      isEstablished: false,
      since: '',
      seconds: 0,
      families: {},
      messagesReceived: 0,
      messagesSent: 0,
      queuedBytes: 0,
      capabilities: {},
      offers: {},
      timers: {},
      errors: {},
      establishedCount: 0,
      stale: [],
      maxPrefixes: 1,
      importFilters: [],
      exportFilters: [],
    });
    const strangers = Array.from({ length: 500 }, (_, i) => detail(`rack/10.0.${i >> 8}.${i & 255}`));
    const named = ['a', 'b', 'c', 'd'].map(detail);
    const groups = groupsOf([...strangers, ...named], new Set(['a', 'b', 'c', 'd']), 2);
    expect(groups.map(({ labels, peers }) => `${labels['peer']} ${peers.length}`)).to.deep.equal([
      'a 1',
      'b 1',
      'rack/* 500',
      'other 2',
    ]);
  });
});
