import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kinds } from '../../src/api/kinds.js';
import { ApiError } from '../../src/datastore/datastore.js';
import { readWorld } from '../../src/plan/live.js';
import { calico, RACKS, router, TORS } from './scene.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

describe('tortie plan', function () {
  this.timeout(60_000);
  let dir: string;
  const tortie = (...argv: readonly string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [CLI, 'plan', ...argv], { encoding: 'utf8', cwd: dir });

  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'tortie-plan-'));
    const list = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    writeFileSync(join(dir, 'all.json'), list([...RACKS, ...TORS]));
    writeFileSync(join(dir, 'peer.json'), list([router('tor-a', '10.0.1.1', 'rack == "a"', { asNumber: 64999 })]));
    writeFileSync(join(dir, 'same.json'), list(TORS));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('exits 0 when nothing changes, 2 when something does, 3 when a guard would stop it', () => {
    const same = tortie('--objects', 'all.json', '-f', 'same.json');
    expect([same.status, same.stdout]).to.deep.equal([0, 'Nothing changes\n']);
    const reset = tortie('--objects', 'all.json', '-f', 'peer.json');
    expect(reset.status).to.equal(2);
    expect(reset.stdout).to.include(
      'loss  BGPPeer/tor-a: 2 nodes (node1, node2): the session with router 10.0.1.1 is reset: remoteAs',
    );
    expect(reset.stdout).to.include('BGPPeer/tor-a changes spec.asNumber');
    const outage = tortie('--objects', 'all.json', '--label', 'node1', 'rack=x', '--label', 'node2', 'rack-');
    expect(outage.status).to.equal(3);
    expect(outage.stdout).to.match(/^cut .*tor-a/m);
    expect(tortie('--objects', 'all.json', '-f', 'same.json', '--delete', '--remove-node', 'node4').status).to.equal(3);
  });

  it('prints the same as JSON, several steps on one object as one', () => {
    const { stdout } = tortie(
      '--objects',
      'all.json',
      '--label',
      'node1',
      'rack=x',
      '--label',
      'node1',
      'rack=a',
      '-o',
      'json',
    );
    expect(JSON.parse(stdout)).to.deep.equal([]);
    const json = JSON.parse(tortie('--objects', 'all.json', '-f', 'peer.json', '-o', 'json').stdout) as unknown[];
    expect(json[0]).to.include({ harm: 'loss', area: 'bgp', object: 'BGPPeer/tor-a', node: 'node1' });
  });

  it('exits 2 with a sentence when it is asked nothing, or cannot understand', () => {
    for (const [argv, said] of [
      [[], 'no change is given; expected -f, --label, --cordon or --remove-node'],
      [['--delete'], 'no change is given'],
      [['--label', 'node1'], '--label is "node1"; expected NODE KEY=VALUE, or NODE KEY-'],
      [['--label', 'node1', 'rack'], '--label is "rack"; expected KEY=VALUE'],
    ] as const) {
      const { status, stderr } = tortie('--objects', 'all.json', ...argv);
      expect([status, stderr]).to.satisfy(
        ([code, text]: [number, string]) => code === 2 && text.includes(said),
        stderr,
      );
    }
    const gone = tortie('--objects', 'all.json', '--remove-node', 'node9');
    expect([gone.status, gone.stderr]).to.deep.equal([
      1,
      'Cannot plan: there is no node "node9"; expected one of: node1, node2, node3, node4\n',
    ]);
    expect(tortie('--objects', 'none.json', '--cordon', 'node1').status).to.equal(1);
  });

  describe('of a live cluster', () => {
    const peer = calico('BGPPeer', 'a', { password: { secretKeyRef: { name: 'bgp', key: 'a' } } });
    const forbidden = new ApiError('no', 403, 'Forbidden');

    it('reads the kinds that it goes by, and no Secret but those that peers name', async () => {
      const asked: string[] = [];
      const world = await readWorld(
        {
          list: async (kind) => (kind === 'bgpPeers' ? ([peer] as never) : []),
          get: async (_kind, name, namespace) => {
            asked.push(`${namespace}/${name}`);
            return undefined;
          },
        },
        'tortie-system',
      );
      expect(asked).to.deep.equal(['tortie-system/bgp']);
      expect(world.get('secrets')?.size).to.equal(0);
      expect([...(world.get('bgpPeers') ?? new Map()).keys()]).to.deep.equal(['a']);
    });

    it('goes on without Secrets that may not be read, and without kinds that are not served', async () => {
      const world = await readWorld(
        {
          list: async (kind) => {
            if (kind === 'bgpPeers') return [peer] as never;
            throw new ApiError('none', 404, 'NotFound');
          },
          get: async () => Promise.reject(forbidden),
        },
        'tortie-system',
      );
      expect(world.has('secrets')).to.equal(false);
      expect(Object.keys(kinds)).to.include.members([...world.keys()]);
    });
  });
});
