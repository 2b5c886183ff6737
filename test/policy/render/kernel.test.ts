/** What the renderers write, the real programs and the real kernel take: in a network namespace that dies with the test's child process. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { PolicyEngine, renderIptables, renderNftables, renderNftDelta, renderSet } from '@tortie/policy';
import {
  calicoPolicy,
  clusterPolicy,
  eventsOf,
  hostEndpoint,
  networkPolicy,
  smallWorld,
  upsert,
  type World,
} from '../world.js';

const isPossible = process.getuid?.() === 0 && spawnSync('unshare', ['-n', 'true']).status === 0;

/** Everything the language has, in one world. */
function richWorld(): World {
  const rules = [
    {
      from: [
        { podSelector: {} },
        { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } },
        { ipBlock: { cidr: 'fd00::/8', except: ['fd00:1::/32'] } },
      ],
      ports: [
        { port: 'http' },
        { protocol: 'SCTP', port: 7 },
        { protocol: 'UDP' },
        ...Array.from({ length: 20 }, (_, i) => ({ port: 100 + 2 * i })),
      ],
    },
  ];
  const any = { namespaces: {} };
  return smallWorld({
    policies: [
      networkPolicy('x', 'np', {
        ingress: rules,
        egress: [
          { to: [{ namespaceSelector: {} }], ports: [{ port: 'http' }] },
          { to: [{ ipBlock: { cidr: '192.0.2.1/32' } }] },
        ],
      }),
      networkPolicy('x', 'b'.repeat(253), { ingress: [{}] }),
      clusterPolicy('ClusterNetworkPolicy', 'cnp', {
        tier: 'Admin',
        priority: 1,
        subject: any,
        ingress: [{ action: 'Pass', from: [any], protocols: [{ destinationNamedPort: 'http' }] }],
        egress: [{ action: 'Deny', to: [{ nodes: {} }, { networks: ['203.0.113.0/24', '2001:db8::/64'] }] }],
      }),
      calicoPolicy('GlobalNetworkPolicy', '', 'gnp', {
        order: 5,
        types: ['Ingress', 'Egress'],
        ingress: [
          { action: 'Log' },
          { action: 'Deny', protocol: 'ICMP', icmp: { type: 8, code: 0 } },
          { action: 'Allow', protocol: 'ICMPv6', notICMP: { type: 128, code: 1 } },
          { action: 'Allow', protocol: 'ICMP', notICMP: { type: 8 } },
          {
            action: 'Pass',
            protocol: 'TCP',
            source: { notSelector: 'app=="z"', ports: [1, 2] },
            destination: { notPorts: [22, 'http', '80:90'] },
          },
          { action: 'Allow', notProtocol: 50, ipVersion: 6 },
          { action: 'Allow', source: { services: { namespace: 'x', name: 's' } } },
        ],
        egress: [
          { action: 'Allow', destination: { services: { namespace: 'x', name: 's' } } },
          { action: 'Deny', destination: { notNets: ['10.0.0.0/8', '192.168.0.0/16'] } },
        ],
      }),
      calicoPolicy('StagedNetworkPolicy', 'x', 'staged', {
        selector: 'all()',
        ingress: [{ action: 'Deny', source: { nets: ['10.0.0.0/8'] } }],
      }),
    ],
    networkSets: [
      { name: 'set', labels: { app: 'z' }, nets: ['192.0.2.0/24', '192.0.2.0/25', '0.0.0.0/0', '2001:db8::/32'] },
    ],
  });
}

/** A shell script in a network namespace of its own. */
function run(script: string): void {
  const done = spawnSync('unshare', ['-n', 'sh', '-e'], { input: script, encoding: 'utf8' });
  expect({ status: done.status, stderr: done.stderr }).to.deep.equal({ status: 0, stderr: '' });
}

describe('policy/render in the kernel', function () {
  this.timeout(60_000);
  before(function () {
    if (!isPossible) this.skip();
  });

  const engine = new PolicyEngine({ nodeName: 'n1', denyReports: { group: 7, perSecond: 100, burst: 500 } });
  for (const flags of [{ preDNAT: true }, { doNotTrack: true }, {}])
    engine.apply(
      upsert(
        'GlobalNetworkPolicy',
        calicoPolicy('GlobalNetworkPolicy', '', `host-${Object.keys(flags).join()}x`.toLowerCase(), {
          ...flags,
          applyOnForward: true,
          types: ['Ingress'],
          ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [8080] } }],
        }).object,
      ),
    );
  for (const name of ['eth0', '*'])
    engine.apply(hostEndpoint(name === '*' ? 'all' : name, { node: 'n1', interfaceName: name }));
  for (const event of eventsOf(richWorld(), 'n1')) engine.apply(event);
  engine.apply(
    upsert('EndpointSlice', {
      metadata: { namespace: 'x', name: 's-1', labels: { 'kubernetes.io/service-name': 's' } },
      ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }],
      endpoints: [{ addresses: ['10.65.1.2'] }],
    } as never),
  );
  const delta = engine.flush();

  const feed = (program: string, text: string): string =>
    `${program} <<'END'\n${text.endsWith('\n') ? text : `${text}\n`}END\n`;

  for (const backend of ['legacy', 'nft'])
    it(`ipset and iptables-${backend} take both families, twice over`, () => {
      const sets = [...engine.ruleset().sets.values()].flatMap(renderSet).join('\n');
      const load = (
        [
          [4, 'iptables'],
          [6, 'ip6tables'],
        ] as const
      )
        .map(([family, program]) => feed(`${program}-${backend}-restore -n`, renderIptables(engine.ruleset(), family)))
        .join('');
      run([feed('ipset restore -exist', sets), load, feed('ipset restore -exist', sets), load].join(''));
    });

  it('nft takes the whole, the whole again, and deltas there and back', () => {
    const script = (text: string): string => feed('nft -f -', text);
    const policy = richWorld().policies[0];
    if (policy === undefined) throw new Error('A rich world has policies');
    engine.apply({ type: 'delete', kind: 'NetworkPolicy', namespace: 'x', name: 'np' });
    const away = engine.flush();
    engine.apply(upsert('NetworkPolicy', policy.object));
    const back = engine.flush();
    const whole = renderNftables(engine.ruleset());
    run(
      [
        script(`add table inet tortie\n${renderNftDelta(delta)}`),
        script(renderNftDelta(away)),
        script(renderNftDelta(back)),
        script(whole),
        script(whole),
      ].join(''),
    );
  });
});
