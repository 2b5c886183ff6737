/** A pod as a BGP peer of its node (localWorkloadSelector), on the rack of rack-fields.test.ts. */
import { expect } from 'chai';
import { findPlace } from '../../src/lab/devices.js';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { bgpFilter } from './far-routers.js';
import { RackBird } from './rack-bird.js';
import { apply, deletePod, patch, readyPod, soon } from './rack-fixture.js';

/** @param routeAt what far router N has of a prefix, once it is as the pattern says */
export function speakingPod(
  rack: () => LabView,
  routeAt: (index: number, prefix: string, pattern: RegExp) => Promise<string>,
): void {
  describe('a pod that speaks BGP', () => {
    let inner: RackBird | undefined;
    afterEach(async () => {
      await inner?.stop();
      inner = undefined;
    });

    it('peers with its node over its own interface, dialled or dialling, and its routes stay within the filters', async () => {
      const view = rack();
      await patch(view, 'bgpconfiguration/default', {
        localWorkloadPeeringIPV4: '169.254.0.179',
        localWorkloadPeeringIPV6: 'fd12:3456:789a::1',
      });
      await apply(
        view,
        bgpFilter('child-in', {
          importV4: [{ action: 'Accept', cidr: '10.123.0.0/16', matchOperator: 'In' }, { action: 'Reject' }],
          importV6: [{ action: 'Accept', cidr: 'fd00:123::/32', matchOperator: 'In' }, { action: 'Reject' }],
          exportV4: [{ action: 'Reject' }],
        }),
        bgpFilter('child-out', {
          exportV4: [{ action: 'Accept', cidr: '10.123.0.0/16', matchOperator: 'In', source: 'RemotePeers' }],
        }),
        {
          apiVersion: 'projectcalico.org/v3',
          kind: 'BGPPeer',
          metadata: { name: 'children' },
          spec: { localWorkloadSelector: "color == 'red'", asNumber: '65401', filters: ['child-in'] },
        },
        {
          apiVersion: 'networking.k8s.io/v1',
          kind: 'NetworkPolicy',
          metadata: { name: 'isolated', namespace: 'default' },
          spec: { podSelector: { matchLabels: { color: 'red' } }, policyTypes: ['Ingress', 'Egress'] },
        },
      );
      await patch(view, 'bgppeer/far-12', { filters: ['child-out', 'tagged'] });
      const pod = await readyPod(view, 'child', { labels: { color: 'red' }, spec: { nodeName: 'node1' } });
      const ips = pod.status.podIPs?.map(({ ip }) => ip) ?? [];
      const [ipv4 = '', ipv6 = ''] = ips;
      const session = (family: 4 | 6, local: string, neighbor: string, passive: string): string =>
        [
          `protocol bgp node${family} { local ${local} as 65401; neighbor ${neighbor} as 64512; multihop; passive ${passive};`,
          '  connect delay time 1; connect retry time 2; error wait time 1, 2;',
          `  ipv${family} { import all; export all; }; }`,
        ].join('\n');
      const config = (passive: string): string =>
        [
          `router id ${ipv4};`,
          'log stderr all;',
          'protocol device {}',
          'protocol static { ipv4; route 10.123.0.0/26 blackhole; route 10.124.0.0/26 blackhole; }',
          'protocol static { ipv6; route fd00:123::/64 blackhole; route fd00:124::/64 blackhole; }',
          session(4, ipv4, '169.254.0.179', passive),
          session(6, ipv6, 'fd12:3456:789a::1', passive),
        ].join('\n');
      const { netns } = await findPlace(view.record.name, 'default/child');
      const child = await RackBird.start(netns, config('on'));
      inner = child;
      const isUp = async (): Promise<boolean> =>
        ((await child.birdc('show', 'protocols', 'all')).match(/BGP state:\s+Established/g)?.length ?? 0) === 2;
      await soon('the isolated pod to be dialled by its node, in both families', isUp);
      await soon('the routes at the node', async () => {
        const text = `${await view.output('node1', 'ip', 'route')}${await view.output('node1', 'ip', '-6', 'route')}`;
        return (
          text.includes(`10.123.0.0/26 via ${ipv4} dev tort`) && text.includes(`fd00:123::/64 via ${ipv6} dev tort`)
        );
      });
      const table = `${await view.output('node1', 'ip', 'route')}${await view.output('node1', 'ip', '-6', 'route')}`;
      expect(table).to.not.contain('10.124.').and.not.contain('fd00:124:');
      expect(await child.birdc('show', 'route', 'protocol', 'node4'), 'nothing comes down').to.not.contain('10.65.');
      await routeAt(12, '10.123.0.0/26', /BGP\.as_path: 64512 65401\n/);
      expect(
        await view.output('tor1', 'birdc', 'show', 'route'),
        'no filter of the routers lets it out',
      ).to.not.contain('10.123.');
      // The pod dials instead, once its policy lets it.
      await view.kubectl(['delete', 'networkpolicy', 'isolated']);
      await patch(view, 'bgppeer/children', { passive: true });
      await child.configure(config('off'));
      await soon('the pod to dial its node', isUp);
      const hasAddress = async (): Promise<boolean> =>
        /tort\S+\s+inet 169\.254\.0\.179\/32/.test(await view.output('node1', 'ip', '-4', '-o', 'address'));
      await soon('the address on the interface of the pod', hasAddress);
      const [, veth = ''] = /(tort\S+)\s+inet 169/.exec(await view.output('node1', 'ip', '-4', '-o', 'address')) ?? [];
      await view.output('node1', 'ip', 'address', 'del', '169.254.0.179/32', 'dev', veth);
      await soon('the address to be back', hasAddress);
      await soon('the pod to be up again', isUp);
      // Another label: it is no peer any more.
      await view.kubectl(['label', 'pod', 'child', 'color=blue', '--overwrite']);
      await soon('the session to end', async () => !(await isUp()));
      await soon('address and routes to go with it', async () => {
        const text = `${await view.output('node1', 'ip', '-4', '-o', 'address')}${await view.output('node1', 'ip', 'route')}`;
        return !text.includes('169.254.0.179') && !text.includes('10.123.') && 'gone';
      });
      await deletePod(view, 'child');
    });
  });
}
