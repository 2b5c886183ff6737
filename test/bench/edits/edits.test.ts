/** The search for faults must not miss them: what it reads, what it expects, and that a seed makes the same edits again. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { differences, resetsBetween } from '../../../bench/edits/compare.js';
import { shellOf, unset } from '../../../bench/edits/edit.js';
import { readProtocols, readRoutes, type Facts } from '../../../bench/edits/facts.js';
import {
  addSession,
  emptyModel,
  heardFrom,
  sessionsOf,
  type Ground,
  type GroundNode,
} from '../../../bench/edits/model.js';
import { Chooser } from '../../../bench/edits/random.js';
import { ROWS } from '../../../bench/edits/soak.js';

const node = (k: number): GroundNode => ({
  name: `node${k}`,
  loopback: { ipv4: `10.0.0.${k}`, ipv6: `fd00::${k}` },
  blocks: [
    { cidr: `10.65.${k}.0/26`, pool: 'pods-ipv4' },
    { cidr: `fd00:65::${k}00/122`, pool: 'pods-ipv6' },
  ],
  links: [1, 2].flatMap((tor) =>
    (['ipv4', 'ipv6'] as const).map((family) => ({
      router: `tor${tor}`,
      peer: `node${k}-tor${tor}-${family}`,
      family,
      address: family === 'ipv4' ? `10.1.${tor}.${2 * k}` : `fd00:1:0:${tor}::${2 * k}`,
      nodeAddress: family === 'ipv4' ? `10.1.${tor}.${2 * k + 1}` : `fd00:1:0:${tor}::${2 * k + 1}`,
    })),
  ),
});
const ground: Ground = { nodes: [node(1), node(2), node(3)] };
const [link] = node(1).links;

describe('bench/edits', () => {
  it('makes the same edits of the same seed, and every kind can be made', () => {
    const make = (seed: number): string => {
      const choose = new Chooser(seed);
      return JSON.stringify(ROWS.map((row) => row.make({ ground, choose })));
    };
    expect(make(7)).to.equal(make(7));
    expect(make(7)).to.not.equal(make(8));
    for (let seed = 0; seed < 50; seed++)
      for (const row of ROWS) {
        const edit = row.make({ ground, choose: new Chooser(seed) });
        const model = emptyModel();
        edit.effect(model, ground);
        expect(edit.steps.length * edit.undo.length, edit.kind).to.be.greaterThan(0);
        for (const { name } of ground.nodes)
          expect(sessionsOf(ground, model, name).size, edit.kind).to.be.greaterThan(3);
      }
  });

  it('expects blocks handed on over the mesh, and none without it', () => {
    if (link === undefined) throw new Error('no link');
    const model = emptyModel();
    expect([...heardFrom(ground, model, 'node1', link).keys()].sort()).to.deep.equal([
      '10.0.0.1/32',
      '10.65.1.0/26',
      '10.65.2.0/26',
      '10.65.3.0/26',
    ]);
    model.hasMesh = false;
    expect([...heardFrom(ground, model, 'node1', link).keys()].sort()).to.deep.equal(['10.0.0.1/32', '10.65.1.0/26']);
    model.routerSessions.set(link.peer, 'down');
    expect(heardFrom(ground, model, 'node1', link).size).to.equal(0);
  });

  it('lets a session with the address of a mesh session take its place', () => {
    const model = emptyModel();
    addSession(model, 'node1', { name: 'mine', address: '10.0.0.2', isUp: true });
    const names = [...sessionsOf(ground, model, 'node1').keys()];
    expect(names).to.include('mine').and.include('mesh-node2-v6').and.not.include('mesh-node2-v4');
  });

  it('sees what differs, and a session that was reset', () => {
    const facts = (since: string): Facts => ({
      routers: new Map(),
      speakers: new Map([
        [
          'node1',
          {
            summary: {
              peers: [{ name: 'mesh-node2-v4', address: '10.0.0.2', isEstablished: true, state: 'Established', since }],
            } as unknown as NonNullable<ReturnType<Facts['speakers']['get']>>['summary'],
            config: {} as NonNullable<ReturnType<Facts['speakers']['get']>>['config'],
            bfd: new Set(),
          },
        ],
      ]),
      status: new Map(),
      conditions: new Map(),
      kernels: new Map(),
    });
    const found = differences(ground, emptyModel(), [{ where: 'BGPPeer/x', text: 'why' }], facts('1')).join('\n');
    expect(found).to.contain('sessions of node1: expected node1-tor1-ipv4 (10.1.1.2) up');
    expect(found).to.contain('bgpd of node2 does not answer');
    expect(found).to.contain('originated by node1: expected 10.0.0.1/32');
    expect(found).to.contain('kernel of node1: no route to 10.65.2.0/26');
    expect(found).to.contain('tor1 from node1_4: expected 10.0.0.1/32 path of 1');
    expect(found).to.contain('BGPPeer/x does not tell "why"; it says nothing');
    expect(resetsBetween(facts('1'), facts('1'), () => false)).to.deep.equal([]);
    expect(resetsBetween(facts('1'), facts('2'), () => true)).to.deep.equal([]);
    expect(resetsBetween(facts('1'), facts('2'), () => false)).to.have.length(1);
  });

  it("reads BIRD's sessions and routes", () => {
    const protocols = [
      'Name       Proto      Table      State  Since         Info',
      'bfd1       BFD        ---        up     2026-12-01 00:41:56.542  ',
      'node1_4    BGP        ---        up     2026-12-01 00:42:20.592  Established   ',
      'node2_4    BGP        ---        start  2026-12-01 00:41:56.542  Active        Socket: Connection refused',
    ].join('\n');
    expect([...readProtocols(protocols)]).to.deep.equal([
      ['node1_4', { isUp: true, since: '2026-12-01 00:42:20.592' }],
      ['node2_4', { isUp: false, since: '2026-12-01 00:41:56.542' }],
    ]);
    const routes = [
      'Table master4:',
      '10.65.1.0/26         unicast [node2_4 2026-12-01 00:42:22.994] * (100) [AS64512i]',
      '\tvia 10.1.1.3 on node1',
      '\tBGP.as_path: 64512 64512',
      '                     unicast [node1_4 2026-12-01 00:42:22.994] (100) [AS64512i]',
      '\tBGP.as_path: 64512',
      '\tBGP.community: (64512,2) (64512,1)',
    ].join('\n');
    expect(readRoutes(routes).get('node2_4')?.get('10.65.1.0/26')).to.deep.equal({ communities: [], pathLength: 2 });
    expect(readRoutes(routes).get('node1_4')?.get('10.65.1.0/26')).to.deep.equal({
      communities: ['64512:1', '64512:2'],
      pathLength: 1,
    });
  });

  it('prints edits that a shell runs', () => {
    expect(unset({ spec: { a: 1 }, metadata: { labels: { x: 'y' } } })).to.deep.equal({
      spec: { a: null },
      metadata: { labels: { x: null } },
    });
    const text = shellOf([
      { type: 'apply', object: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } } },
      { type: 'patch', of: 'bgppeer/p', patch: { spec: { nodeSelector: "a == 'b'" } } },
    ]);
    const said = execFileSync('sh', ['-c', `kubectl() { echo "$@"; cat; }; ${text}`], { encoding: 'utf8', input: '' });
    expect(said).to.contain('kind: Node').and.contain(`-p {"spec":{"nodeSelector":"a == 'b'"}}`);
  });
});
