import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { selectorMatches } from '../../src/agent/node-selector.js';
import { placeholder, planOf, type TorChoice, type TorObjects } from '../../src/tor/plan.js';
import { VENDOR_NAMES, VENDORS } from '../../src/tor/vendors.js';
import { node, peers, rack } from './world.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
const ANY: TorChoice = { addresses: [], ranges: [], advertise: 'pods' };
const RANGES = ['10.1.1.0/24', 'fd00:1::/64'];
const plan = (changes: Partial<TorObjects> = {}, choice: Partial<TorChoice> = {}) =>
  planOf({ ...rack, ...changes }, { ...ANY, ...choice }, placeholder, selectorMatches);

describe("the router's side of peerings", () => {
  it('has a session for each node and family, as the nodes want it', () => {
    const { as, sessions, ranges, sharedAs } = plan();
    expect(as).to.equal(65001);
    expect(ranges).to.deep.equal([]);
    expect(sharedAs).to.equal('override');
    expect(
      sessions.map(({ node: name, nodeAddress, routerAddress, nodeAs }) => [name, nodeAddress, routerAddress, nodeAs]),
    ).to.deep.equal([
      ['a', '10.1.1.1', '10.1.1.254', 64512],
      ['a', 'fd00:1::1', 'fd00:1::254', 64512],
      ['b', '10.1.1.2', '10.1.1.254', 64512],
      ['b', 'fd00:1::2', 'fd00:1::254', 64512],
    ]);
    expect(sessions[0]).to.include({ holdTime: 30, password: 'SECRET-rack-md5', routerPort: 179, nodePort: 179 });
  });
  it('accepts what IPPools, service ranges and Nodes say, and nothing else', () =>
    expect(
      plan().accept.map(({ prefix, minLength, maxLength, from }) => `${prefix} ${minLength}-${maxLength} ${from}`),
    ).to.deep.equal([
      '10.65.0.0/16 26-32 IPPool/four',
      'fd00:65::/112 120-128 IPPool/six',
      '10.96.0.0/12 12-32 BGPConfiguration/default',
      '10.1.1.1/32 32-32 Node/a',
      'fd00:1::1/128 128-128 Node/a',
      '10.1.1.2/32 32-32 Node/b',
      'fd00:1::2/128 128-128 Node/b',
    ]));
  it('accepts no default route for a range of Services', () => {
    const spec = { serviceLoadBalancerIPs: ['0.0.0.0/0', '::/0', '192.0.2.0/24'].map((cidr) => ({ cidr })) };
    const { accept } = plan({ bgpConfigurations: [{ metadata: { name: 'default' }, spec }] });
    const of = accept.filter(({ from }) => from.startsWith('BGPConfiguration/')).map(({ prefix }) => prefix);
    expect(of).to.deep.equal(['192.0.2.0/24']);
  });
  it('knows of BFD, distance, local AS and ports', () => {
    const { sessions } = plan({
      bgpPeers: peers({ bfd: { intervalMilliseconds: 100 }, multihop: 3, localASNumber: 64999 }),
      bgpConfigurations: [{ metadata: { name: 'default' }, spec: { listenPort: 1790 } }],
    });
    expect(sessions[0]).to.deep.include({
      bfd: { interval: 100, multiplier: 3 },
      multihop: 3,
      nodeAs: 64999,
      nodePort: 1790,
    });
  });
  it('leaves sessions among nodes out', () => {
    const own = [...peers(), { metadata: { name: 'nodes' }, spec: { peerSelector: 'all()' } }];
    expect(plan({ bgpPeers: own }).sessions).to.have.length(4);
  });
  it('shares no AS where each node has its own, or accepts its own', () => {
    const nodes = [node('a', 1, { annotations: { 'projectcalico.org/ASNumber': '64601' } }), node('b', 2)];
    expect(plan({ nodes }).sharedAs).to.equal(undefined);
    expect(plan({ bgpPeers: peers({ numAllowedLocalASNumbers: 1 }) }).sharedAs).to.equal('accepted');
  });
  it('takes an address from NodeStatus where no resource has it', () => {
    const peersOf = (offset: number) => [
      { name: 'rack-v4', address: '10.1.1.254', localAddress: `10.1.1.${offset}`, state: 'Established' },
      { name: 'rack-v6', address: 'fd00:1::254', localAddress: `fd00:1::${offset}`, state: 'Established' },
    ];
    const nodeStatuses = ['a', 'b'].map((name, at) => ({
      metadata: { name },
      status: { bgp: { peers: peersOf(at + 101) } },
    }));
    const { sessions } = plan({ nodeStatuses, bgpPeers: peers({ sourceAddress: 'None' }) });
    expect(sessions.map(({ nodeAddress }) => nodeAddress)).to.deep.equal([
      '10.1.1.101',
      'fd00:1::101',
      '10.1.1.102',
      'fd00:1::102',
    ]);
  });
  it('listens on a range for those whose address nobody knows, or says whose that is', () => {
    const bgpPeers = peers({ sourceAddress: 'None' });
    expect(() => plan({ bgpPeers }, { ranges: ['10.1.1.0/24'] })).to.throw(
      /where node "a" connects from for "rack-v6".*IPv6.*--range/,
    );
    const { sessions, ranges } = plan({ bgpPeers }, { ranges: RANGES });
    expect(sessions).to.deep.equal([]);
    expect(ranges.map(({ range, nodeAses, password }) => [range, nodeAses, password])).to.deep.equal([
      ['10.1.1.0/24', [64512], 'SECRET-rack-md5'],
      ['fd00:1::/64', [64512], 'SECRET-rack-md5'],
    ]);
  });
  it('asks which router is meant', () => {
    const second = peers({ asNumber: 65002 }).map((peer, at) => ({
      metadata: { name: `other-${at}` },
      spec: { ...peer.spec, peerIP: at === 0 ? '10.1.1.253' : 'fd00:1::253' },
    }));
    const bgpPeers = [...peers(), ...second];
    expect(() => plan({ bgpPeers })).to.throw(
      /several ASes: choose with --as or --address: .*10\.1\.1\.254 \(AS 65001\)/,
    );
    expect(plan({ bgpPeers }, { as: 65002 }).sessions.map(({ routerAddress }) => routerAddress)).to.include(
      '10.1.1.253',
    );
    expect(plan({ bgpPeers }, { addresses: ['10.1.1.253'] }).sessions).to.have.length(2);
    expect(() => plan({ bgpPeers }, { as: 7 })).to.throw(
      /no session leads to that router; there are .*10\.1\.1\.254 \(AS 65001\)/,
    );
    expect(() => plan({ bgpPeers: [] })).to.throw(/no BGPPeer asks for a session with a router/);
  });
  it('names what was left out', () =>
    expect(
      plan({ bgpPeers: [...peers(), { metadata: { name: 'odd' }, spec: { peerIP: 'x', asNumber: 65001 } }] }).problems,
    ).to.deep.equal([
      'BGPPeer/odd spec.peerIP is "x"; expected an address, with a port as 192.0.2.1:1179 or [2001:db8::1]:1179; left out',
    ]));

  it('writes no key that a router would read otherwise, and says so', () => {
    for (const key of ['a b', 'say "please"', "it's", 'why?', 'back\\slash', 'line\n', 'schlüssel']) {
      const made = planOf(rack, ANY, () => key, selectorMatches);
      expect(made.sessions[0]?.password, key).to.equal('SECRET-rack-md5');
      expect(made.problems, key).to.deep.equal([
        'Secret/rack key "md5" has characters that routers read in ways of their own ' +
          '(a space, a quotation mark, ?, \\, or beyond ASCII): put it in by hand, as your router takes it',
      ]);
      for (const vendor of VENDOR_NAMES) expect(VENDORS[vendor](made)).to.not.include(key);
    }
    expect(planOf(rack, ANY, () => 'k3y!;{}$', selectorMatches)).to.deep.include({ problems: [] });
  });
  it('leaves a session its name when a node or a range comes before it', () => {
    const before = { nodes: [node('b', 2)] };
    const after = { nodes: [node('a', 1), node('b', 2)] };
    const protocols = (text: string): readonly string[] => text.match(/^protocol bgp .*\{\n[\s\S]*?^\}$/gm) ?? [];
    const lone = protocols(VENDORS.bird(plan(before)));
    expect(lone).to.have.length(2);
    expect(protocols(VENDORS.bird(plan(after)))).to.include.members([...lone]);
    const named = new Set(protocols(VENDORS.bird(plan(after))).map((text) => text.split('\n')[0]));
    expect(named).to.have.property('size', 4);
    const inRange = (ranges: readonly string[], vendor: (typeof VENDOR_NAMES)[number]): string =>
      VENDORS[vendor](plan({ bgpPeers: peers({ sourceAddress: 'None' }) }, { ranges }));
    // NX-OS calls a range by itself.
    for (const vendor of VENDOR_NAMES.filter((each) => each !== 'nxos')) {
      const names = (text: string): readonly string[] => text.match(/(?:TORTIE-RANGE-|tortie_range_)[-\w]+/g) ?? [];
      const one = names(inRange(RANGES, vendor));
      expect(one, vendor).to.not.be.empty;
      expect(new Set(names(inRange(['10.1.0.0/16', ...RANGES], vendor))), vendor).to.include.all.keys(...new Set(one));
    }
  });
  it('asks for one session where a router could not tell two apart', () => {
    const second = peers().map((peer, at) => ({
      metadata: { name: `second-${at}` },
      spec: { ...peer.spec, peerIP: at === 0 ? '10.1.1.253' : 'fd00:1::253' },
    }));
    const made = plan({ nodes: [node('a', 1)], bgpPeers: [...peers(), ...second] });
    expect(made.sessions.map(({ peer }) => peer)).to.deep.equal(['rack-v4', 'rack-v6']);
    expect(made.problems).to.have.length(2);
    expect(made.problems[0]).to.equal(
      '"second-0" of node "a" comes from 10.1.1.1 as "rack-v4" does, and a router knows its neighbours by that alone: ' +
        "choose one router with --address 10.1.1.254 or 10.1.1.253, or, if both are one router's, keep one session",
    );
  });

  for (const vendor of VENDOR_NAMES)
    it(`is written for ${vendor}, every session and prefix of it`, () => {
      const text = VENDORS[vendor](plan({ bgpPeers: peers({ bfd: {}, ttlSecurity: 1 }) }));
      for (const part of [
        '10.1.1.1',
        'fd00:1::2',
        '10.65.0.0/16',
        'fd00:65::/112',
        '65001',
        '64512',
        'SECRET-rack-md5',
      ])
        expect(text).to.include(part);
      expect(text).to.not.include('10.66.0.0');
      expect(text).to.match(/bfd/);
      const ranges = VENDORS[vendor](plan({ bgpPeers: peers({ sourceAddress: 'None' }) }, { ranges: RANGES }));
      for (const range of RANGES) expect(ranges).to.include(range);
      const inside = VENDORS[vendor](plan({ bgpPeers: peers({ asNumber: 64512 }) }));
      expect(inside).to.match(/route-reflector-client|rr client|cluster 0\.0\.0\.1/);
    });

  it('is printed by the command, from files, keys only when asked for', () => {
    const items = [
      ...rack.nodes.map((each) => ({ apiVersion: 'v1', kind: 'Node', ...each })),
      ...rack.bgpPeers.map((each) => ({ apiVersion: 'projectcalico.org/v3', kind: 'BGPPeer', ...each })),
      ...rack.ipPools.map((each) => ({ apiVersion: 'projectcalico.org/v3', kind: 'IPPool', ...each })),
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'rack', namespace: 'tortie-system' },
        data: { md5: Buffer.from('s3cret').toString('base64') },
      },
    ];
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, [CLI, 'tor-config', '-f', '-', ...args], { encoding: 'utf8', input });
    const hidden = run('--vendor', 'frr');
    expect(hidden.status, hidden.stderr).to.equal(0);
    expect(hidden.stdout).to.include('password SECRET-rack-md5').and.not.include('s3cret');
    expect(run('--vendor', 'frr', '--show-passwords').stdout).to.include('password s3cret');
    expect((JSON.parse(run('--vendor', 'frr', '-o', 'json').stdout) as { as: number }).as).to.equal(65001);
    expect(run('--vendor', 'other').status).to.equal(2);
    expect(run('--vendor', 'frr', '--as', '0').status).to.equal(2);
    expect(run('--vendor', 'frr', '--as', '7').status).to.equal(1);
  });
});
