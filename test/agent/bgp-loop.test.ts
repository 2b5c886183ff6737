import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FilterConfig, SpeakerConfig } from 'node-bgp/config';
import { BgpLoop } from '../../src/agent/bgp-loop.js';
import { bgpReportOf } from '../../src/agent/bgp-status.js';
import { createLogger } from '../../src/log.js';
import type { Topology, TopologyProblem } from '../../src/topology/speaker-config.js';
import { FakeBgpd } from './fake-bgpd.js';

const config = (peers: number, more: Partial<SpeakerConfig> = {}): SpeakerConfig => ({
  localAs: 64512,
  routerId: '10.0.0.1',
  peers: Array.from({ length: peers }, (_, i) => ({ address: `10.1.0.${i}`, remoteAs: 65001 })),
  ...more,
});

const peer = (name: string, more: object = {}): object => ({
  name,
  address: '10.1.0.0',
  state: 'Established',
  isEstablished: true,
  families: { ipv4: { received: 1, advertised: 2 } },
  ...more,
});

describe('agent/bgp-loop', function () {
  this.timeout(30_000);
  let directory = '';
  let bgpd: FakeBgpd;
  let loop: BgpLoop;
  let wanted: SpeakerConfig | undefined;
  let problems: readonly TopologyProblem[] = [];
  let places: Topology['places'] = new Map();
  /** Filters that the loop has said bgpd holds, at each computation. */
  let heldFilters: Readonly<Record<string, FilterConfig>>[] = [];

  const socket = (): string => join(directory, 'bgpd.sock');
  /** Whatever makes its condition False. */
  const aspect = (): { readonly problems: readonly string[]; readonly wellMessage: string } => {
    const { problems, warnings = [], wellMessage } = bgpReportOf(loop.status()).aspect;
    return { problems: [...problems, ...warnings], wellMessage };
  };
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const isWell = (): boolean => aspect().problems.length === 0;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-bgp-loop-'));
    bgpd = new FakeBgpd();
    wanted = config(4);
    problems = [];
    places = new Map();
    heldFilters = [];
    await bgpd.listen(socket());
    loop = new BgpLoop({
      socketPath: socket(),
      compute: (held) => {
        heldFilters.push(held);
        return { config: wanted, gateways: [], peering: [], serviceRanges: [], places, problems };
      },
      log: createLogger('test', { level: 'silent' }),
      onHealth: () => undefined,
    });
  });
  afterEach(async () => {
    loop.stop();
    await bgpd.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('tells bgpd nothing before it is started: half a state would end the sessions it leaves out', async () => {
    loop.changed();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(bgpd.told).to.deep.equal([]);
    wanted = config(8);
    loop.start();
    await until(() => bgpd.told.length > 0);
    expect(bgpd.told.map(({ peers }) => peers?.length)).to.deep.equal([8]);
  });

  it('tells bgpd also while changes do not end', async () => {
    loop.start();
    const changes = setInterval(() => loop.changed(), 2);
    try {
      await until(() => bgpd.told.length > 0);
    } finally {
      clearInterval(changes);
    }
  });

  it('calls nothing established that it has not seen', async () => {
    expect(aspect().problems).to.deep.equal(['bgpd has not been told its sessions yet']);
    bgpd.peers = [peer('a')];
    loop.start();
    await until(() => bgpd.told.length > 0);
    const told = aspect().problems;
    if (told.length > 0) expect(told.join()).to.match(/has not been (told|seen)|have not been seen|not been seen yet/);
    await until(isWell);
    expect(aspect().wellMessage).to.equal('All sessions are established');
    wanted = undefined;
    problems = [{ resource: 'Node/node1', message: 'has no InternalIP address', severity: 'problem' }];
    loop.changed();
    await until(() => !isWell());
    expect(aspect().problems).to.deep.equal(['Node/node1 has no InternalIP address']);
  });

  it('says so as long as bgpd refuses the state, and no longer', async () => {
    bgpd.refusal = { status: 422, error: 'peers[0].address is "x"; expected an address' };
    loop.start();
    await until(() => bgpd.told.length > 0);
    // Looked at again and again: it does not vanish.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(aspect().problems.join()).to.include('it answered 422, peers[0].address is "x"; expected an address');
    expect(bgpd.told.length, 'sending it again would only be refused again').to.equal(1);
    bgpd.refusal = undefined;
    wanted = config(3);
    loop.changed();
    await until(isWell);
  });

  it('goes back to well when what was refused is undone', async () => {
    loop.start();
    await until(isWell);
    bgpd.refusal = { status: 422, error: 'no' };
    wanted = config(5);
    loop.changed();
    await until(() => !isWell());
    wanted = config(4);
    loop.changed();
    await until(isWell);
    expect(bgpd.held?.peers?.length).to.equal(4);
  });

  it('tells again, until it is taken, what bgpd was too busy for', async () => {
    bgpd.refusal = { status: 504, error: 'still being applied' };
    loop.start();
    await until(() => bgpd.told.length > 1);
    expect(aspect().problems.join()).to.include('still being applied');
    bgpd.refusal = undefined;
    await until(isWell);
  });

  const others: readonly (readonly [string, Partial<SpeakerConfig>])[] = [
    ['a hold time', { peers: [{ address: '10.1.0.0', remoteAs: 65001, holdTime: 9 }] }],
    ['a password', { peers: [{ address: '10.1.0.0', remoteAs: 65001, password: 'other' }] }],
    ['a filter', { filters: { f: { rules: [] } } }],
  ];
  for (const [what, more] of others)
    it(`tells a bgpd again that holds another state, be it only ${what}`, async () => {
      wanted = config(1);
      loop.start();
      await until(isWell);
      bgpd.held = config(1, more);
      await until(() => bgpd.told.length > 1);
      await until(isWell);
      expect(bgpd.held).to.deep.equal(wanted);
    });

  it('says that bgpd is away, and tells the one that comes back', async () => {
    loop.start();
    await until(isWell);
    await bgpd.close();
    await until(() => !isWell());
    expect(aspect().problems.join()).to.include('bgpd.sock');
    expect(bgpReportOf(loop.status()).status).to.equal(undefined);
    bgpd = new FakeBgpd();
    rmSync(socket(), { force: true });
    await bgpd.listen(socket());
    await until(isWell);
    expect(bgpd.held).to.deep.equal(wanted);
  });

  it('hands over the filters that bgpd holds, of a former agent too', async () => {
    const filters = { 'f-import-v4': { rules: [{ action: 'reject' as const }] } };
    bgpd.held = config(4, { filters });
    wanted = config(4, { filters: {} });
    loop.start();
    await until(isWell);
    expect(heldFilters[0]).to.deep.equal(filters);
    loop.changed();
    await until(() => heldFilters.length > 1);
    expect(heldFilters.at(-1)).to.deep.equal({});
  });

  it('tells of sessions that are down, and of those that carry nothing', async () => {
    bgpd.peers = [
      peer('up', { lastError: 'Hold Timer Expired' }),
      peer('empty', { families: {}, problem: 'The session carries no routes' }),
      peer('down', { isEstablished: false, state: 'Active', lastError: 'Connection refused' }),
    ];
    loop.start();
    await until(() => loop.status().stateProblem === undefined);
    expect(aspect().problems).to.deep.equal([
      'Peer empty (10.1.0.0) is Established. The session carries no routes',
      'Peer down (10.1.0.0) is Active: Connection refused',
    ]);
    const [up, , down] = bgpReportOf(loop.status()).status?.peers ?? [];
    expect([up?.lastError, down?.lastError]).to.deep.equal([undefined, 'Connection refused']);
    bgpd.peers = [peer('up'), peer('empty'), peer('down')];
    await until(isWell);
  });

  it('calls the fields to correct as the resources do', async () => {
    const lastError = 'Cannot accept OPEN; correct "remoteAs" of peer 10.1.0.0 here, or the AS over there';
    bgpd.peers = [
      peer('as', { isEstablished: false, state: 'Idle', lastError }),
      peer('far', { isEstablished: false, state: 'Idle', heldDown: 'a peer further away needs "multihop"' }),
    ];
    loop.start();
    await until(() => loop.status().stateProblem === undefined);
    const report = bgpReportOf(loop.status());
    const told = 'Cannot accept OPEN; correct spec.asNumber of peer 10.1.0.0 here, or the AS over there';
    expect(report.aspect.problems).to.deep.equal([
      `Peer as (10.1.0.0) is Idle: ${told}`,
      'Peer far (10.1.0.0) is Idle: a peer further away needs spec.multihop',
    ]);
    expect(report.status?.peers?.[0]?.lastError).to.equal(told);
  });

  it('tells a refusal of bgpd in the words of who asks for the peer', async () => {
    places = new Map([['10.1.0.2', { resource: 'BGPPeer/rack' }]]);
    bgpd.refusal = {
      status: 422,
      error: 'peers[2].remoteAs is 0; expected 1; peers[3].multihop is 1; expected nothing beside "ttlSecurityHops"',
    };
    loop.start();
    await until(() => aspect().problems.join().includes('422'));
    expect(aspect().problems).to.deep.equal([
      'bgpd does not hold the desired state: it answered 422, BGPPeer/rack (peer 10.1.0.2) spec.asNumber is 0; expected 1; ' +
        'peers[3].multihop is 1; expected nothing beside spec.ttlSecurity',
    ]);
  });

  it('is well with a notice', async () => {
    problems = [
      { resource: 'BGPPeer/a', field: 'spec.node', message: 'spec.node is "x"; there is no node', severity: 'notice' },
    ];
    loop.start();
    await until(isWell);
    expect(bgpReportOf(loop.status()).aspect.notices).to.deep.equal(['BGPPeer/a spec.node is "x"; there is no node']);
  });
});
