/** What `tortie plan` says of a change is what the routers of a rack show after it. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { KubeObject } from '../../src/api/meta.js';
import { labPaths } from '../../src/lab/state-dir.js';
import type { Finding } from '../../src/plan/finding.js';
import { soon, useRack } from './rack-fixture.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

describe('lab, a plan and what comes of it', function () {
  this.timeout(90_000);
  const rack = useRack('n');

  const plan = (
    given: readonly object[],
    ...flags: readonly string[]
  ): { readonly status: number | null; readonly findings: readonly Finding[] } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'plan', '-f', '-', '-o', 'json', ...flags], {
      encoding: 'utf8',
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: given }),
      env: { ...process.env, KUBECONFIG: labPaths(rack().record.name).kubeconfig },
    });
    expect(stderr).to.equal('');
    return { status, findings: JSON.parse(stdout) as readonly Finding[] };
  };
  const objects = async (kind: string): Promise<readonly KubeObject[]> =>
    (JSON.parse(await rack().kubectl(['get', kind, '-o', 'json'])) as { readonly items: readonly KubeObject[] }).items;
  const kubectl = (verb: 'apply' | 'delete', items: readonly object[]): Promise<string> =>
    rack().kubectl([verb, '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const messages = ({ findings }: ReturnType<typeof plan>, node: string): readonly string[] =>
    findings.filter((finding) => finding.node === node).map(({ harm, message }) => `${harm}: ${message}`);
  /** Who tells tor1 of a prefix: addresses of next hops. */
  const waysTo = async (prefix: string): Promise<readonly string[]> => {
    const text = await rack().output('tor1', 'birdc', 'show', 'route', prefix);
    return [...text.matchAll(/via (\S+) on/g)].map(([, via]) => via ?? '');
  };

  it('a filter takes a block from the router that the plan names, and from no other', async () => {
    const blocks = await objects('ipamblocks');
    const own = blocks
      .map((block) => (block as unknown as { readonly spec: { readonly cidr: string; readonly node: string } }).spec)
      .find(({ node, cidr }) => node === 'node1' && !cidr.includes(':'));
    const block = own?.cidr ?? '';
    const peer = (await objects('bgppeers')).find(({ metadata }) => metadata.name === 'node1-tor1-ipv4');
    const { spec } = peer as unknown as { readonly spec: { readonly peerIP: string } };
    const change = [
      {
        apiVersion: 'projectcalico.org/v3',
        kind: 'BGPFilter',
        metadata: { name: 'hush' },
        spec: { exportV4: [{ action: 'Reject', matchOperator: 'In', cidr: block }] },
      },
      {
        apiVersion: 'projectcalico.org/v3',
        kind: 'BGPPeer',
        metadata: { name: 'node1-tor1-ipv4' },
        spec: { ...spec, filters: ['hush'] },
      },
    ];
    const before = await soon('the block at tor1', async () => {
      const ways = await waysTo(block);
      return ways.length > 0 && ways;
    });
    const planned = plan(change);
    expect(planned.status).to.equal(2);
    expect(messages(planned, 'node1')).to.deep.equal([`loss: ${spec.peerIP} is told no more of ${block}`]);
    await kubectl('apply', change);
    const direct = before[0] ?? '';
    await soon('tor1 to have it from node1 no more', async () => !(await waysTo(block)).includes(direct));
    expect(plan(change)).to.deep.equal({ status: 0, findings: [] });
    expect(messages(plan(change.slice(0, 1), '--delete'), 'node1')).to.deep.equal([]);
  });

  it('peers that go are the sessions that vanish, and those of others stay', async () => {
    const peers = (await objects('bgppeers')).filter(({ metadata: { name } }) => name.startsWith('node3-'));
    const planned = plan(peers, '--delete');
    expect(planned.status).to.equal(3);
    const vanishing = planned.findings.filter(({ message }) => message.includes('vanishes'));
    expect(vanishing.map(({ object }) => object)).to.have.members(
      peers.map(({ metadata: { name } }) => `BGPPeer/${name}`),
    );
    expect(new Set(planned.findings.map(({ node }) => node))).to.deep.equal(new Set(['node3']));
    await kubectl('delete', peers);
    await soon('node3 to have no router', async () => {
      const { peers: left } = JSON.parse(await rack().output('node3', 'tortie', 'bgp', 'summary', '-o', 'json')) as {
        readonly peers: readonly { readonly name: string }[];
      };
      return left.every(({ name }) => name.startsWith('mesh-'));
    });
    const back = peers.map((peer) => ({
      ...peer,
      metadata: { name: peer.metadata.name },
      status: undefined,
    }));
    const again = plan(back);
    expect(again.findings.filter(({ harm }) => harm === 'gain').map(({ object }) => object)).to.include.members(
      peers.map(({ metadata: { name } }) => `BGPPeer/${name}`),
    );
  });
});
