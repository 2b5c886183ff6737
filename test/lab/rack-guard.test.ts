/** The label outage on a rack: a label goes, and with it the reflectors of everybody. Planned, tried out, guarded, and let through. */
import { expect } from 'chai';
import { describeStream } from '../../src/lab/stream.js';
import { changeNamed, tortie, whileOthersTalk } from './change-fixture.js';
import { apply, patch, soon, useRack } from './rack-fixture.js';

interface Session {
  readonly name: string;
  readonly isEstablished: boolean;
}

describe('lab, the label outage', function () {
  this.timeout(180_000);
  const rack = useRack('g');
  const NODES = ['node1', 'node2', 'node3'];

  const sessions = async (node: string): Promise<readonly string[]> => {
    const text = await rack().output(node, 'tortie', 'bgp', 'summary', '-o', 'json');
    const { peers } = JSON.parse(text) as { readonly peers: readonly Session[] };
    return peers
      .filter(({ isEstablished }) => isEstablished)
      .map(({ name }) => name)
      .sort();
  };
  const counts = async (): Promise<string> =>
    (await Promise.all(NODES.map(sessions))).map(({ length }) => length).join();
  const heldAt = (node: string): Promise<string> =>
    rack().kubectl([
      'get',
      'nodestatus',
      node,
      '-o',
      'jsonpath={.status.conditions[?(@.type=="ResourcesAccepted")].message}',
    ]);
  const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

  before(async () => {
    const view = rack();
    await soon('the rack to converge', async () =>
      (await view.matrix()).cells.every(({ verdict }) => verdict === 'allow'),
    );
    await view.kubectl(['label', 'node', 'node1', 'reflector=yes']);
    await view.kubectl(['annotate', 'node', 'node1', 'projectcalico.org/RouteReflectorClusterID=244.0.0.1']);
    await apply(view, {
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPPeer',
      metadata: { name: 'reflectors', annotations: { 'tortie.dev/guard': 'required' } },
      spec: { nodeSelector: 'all()', peerSelector: 'reflector == "yes"' },
    });
    await patch(view, 'bgpconfiguration/default', { nodeToNodeMeshEnabled: false });
    // Two routers and one reflector, two families.
    await soon('the sessions of reflectors', async () => (await counts()) === '8,6,6');
  });

  it('the plan says it', async () => {
    const { status, stdout } = await tortie(rack(), ['plan', '--label', 'node1', 'reflector-']);
    expect(status).to.equal(3);
    expect(stdout).to.contain('BGPPeer/reflectors spec.peerSelector: is "reflector == "yes""; it selects no node');
  });

  it('on trial the canary goes back alone, and nobody else loses a packet', async () => {
    const results = await whileOthersTalk(rack(), 'node2', async () => {
      const argv = [
        'apply',
        '--name',
        'outage',
        '--label',
        'node1',
        'reflector-',
        '--confirm',
        '5m',
        '--canary',
        'node2',
      ];
      const { status, stdout, stderr } = await tortie(rack(), argv);
      expect(stdout, stderr).to.match(/outage Reverted: node node2: it leaves 4 sessions; expected 6, as before/);
      expect(status).to.equal(3);
    });
    for (const result of results) expect(result, describeStream(result)).to.deep.include({ lost: 0, error: '' });
    const states = (await changeNamed(rack(), 'outage')).status?.nodes?.map(({ name, state }) => `${name} ${state}`);
    expect(states).to.deep.equal(['node2 Reverted', 'node1 Pending', 'node3 Pending']);
    await soon('the sessions of before', async () => (await counts()) === '8,6,6');
  });

  it('guarded it is held by every agent, also by one that starts anew, and said', async () => {
    const results = await whileOthersTalk(rack(), 'node2', async () => {
      await rack().kubectl(['label', 'node', 'node1', 'reflector-']);
      for (const node of NODES)
        await soon(`${node} to say it`, async () =>
          (await heldAt(node)).includes(
            'Node/node1 is held as it was, by a guard: BGPPeer/reflectors spec.peerSelector',
          ),
        );
      await rack().process({ name: 'node2 agent', action: 'kill' });
      await pause(6_000);
      await soon('node2 to say it again', async () => (await heldAt('node2')).includes('is held as it was'));
    });
    expect(await counts()).to.equal('8,6,6');
    for (const result of results) expect(result, describeStream(result)).to.deep.include({ lost: 0, error: '' });
    const events = await rack().kubectl(['get', 'events.events.k8s.io', '-A', '-o', 'json']);
    expect(events).to.contain('GuardHeld');
  });

  it('is let through by the annotation off', async () => {
    await rack().kubectl(['annotate', '--overwrite', 'bgppeer', 'reflectors', 'tortie.dev/guard=off']);
    await soon('the reflector to be nobody any more', async () => (await counts()) === '4,4,4');
    await soon('nothing to be held', async () => !(await heldAt('node3')).includes('held as it was'));
  });
});
