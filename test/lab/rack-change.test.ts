/** Changes on trial on a rack: what is well stays when it is confirmed, what is not goes back by itself, and nobody else loses a packet. */
import { expect } from 'chai';
import type { Change } from '../../src/api/change.js';
import type { KubeObject } from '../../src/api/meta.js';
import { describeStream } from '../../src/lab/stream.js';
import { changeNamed, listOf, tortie, whileOthersTalk, type Answer } from './change-fixture.js';
import { soon, useRack } from './rack-fixture.js';

interface Session {
  readonly name: string;
  readonly isEstablished: boolean;
}

describe('lab, changes on trial', function () {
  this.timeout(180_000);
  const rack = useRack('c');

  const tryOut = (name: string, given: readonly object[], ...flags: readonly string[]): Promise<Answer> =>
    tortie(rack(), ['apply', '--name', name, '--confirm', '5m', '-f', '-', ...flags], listOf(given));
  const sessions = async (node: string): Promise<readonly string[]> => {
    const text = await rack().output(node, 'tortie', 'bgp', 'summary', '-o', 'json');
    const { peers } = JSON.parse(text) as { readonly peers: readonly Session[] };
    return peers
      .filter(({ isEstablished }) => isEstablished)
      .map(({ name }) => name)
      .sort();
  };
  const routes = async (node: string): Promise<string> =>
    (
      await Promise.all(
        ['-4', '-6'].map((family) => rack().output(node, 'ip', '-d', family, 'route', 'show', 'proto', 'all')),
      )
    ).join('');
  const rules = async (node: string): Promise<string> =>
    (await rack().output(node, 'iptables-save')).replace(/^#.*\n|\[\d+:\d+\]/gm, '');
  const phase = async (name: string): Promise<string | undefined> => (await changeNamed(rack(), name)).status?.phase;
  const object = async (kind: string, name: string): Promise<KubeObject & { readonly spec: Record<string, unknown> }> =>
    JSON.parse(await rack().kubectl(['get', kind, name, '-o', 'json'])) as Awaited<ReturnType<typeof object>>;
  const isReachable = async (): Promise<boolean> =>
    (await rack().matrix()).cells.every(({ verdict }) => verdict === 'allow');
  const stateOf = (change: Change): Readonly<Record<string, string>> =>
    Object.fromEntries((change.status?.nodes ?? []).map(({ name, state }) => [name, state]));
  const peer = (name: string, spec: object): object => ({
    apiVersion: 'projectcalico.org/v3',
    kind: 'BGPPeer',
    metadata: { name },
    spec,
  });

  let stood: Readonly<Record<string, readonly string[]>>;
  before(async () => {
    await soon('the rack to converge', isReachable);
    await soon('all sessions', async () => {
      const all = await Promise.all(['node1', 'node2', 'node3'].map(sessions));
      stood = { node1: all[0] ?? [], node2: all[1] ?? [], node3: all[2] ?? [] };
      return all.every(({ length }) => length === 8);
    });
  });

  it('is taken step by step, stays when it is confirmed, and is plain then', async () => {
    const hush = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPFilter',
      metadata: { name: 'hush' },
      spec: { exportV4: [{ action: 'Reject', matchOperator: 'In', cidr: '192.0.2.0/24' }] },
    };
    const { spec } = await object('bgppeer', 'node1-tor1-ipv4');
    const began = await tryOut(
      'good',
      [hush, peer('node1-tor1-ipv4', { ...spec, filters: ['hush'] })],
      '--canary',
      'node1',
    );
    expect(began, began.stderr).to.deep.include({ status: 0 });
    expect(began.stderr)
      .to.contain('step 1 of 2: waits for node1\n')
      .and.contain('step 2 of 2: waits for node2, node3\n');
    expect(stateOf(await changeNamed(rack(), 'good'))).to.deep.equal({ node1: 'Well', node2: 'Well', node3: 'Well' });
    expect((await object('bgppeer', 'node1-tor1-ipv4')).spec).to.not.have.property('filters');
    const filters = async (): Promise<unknown> =>
      (
        JSON.parse(
          await rack()
            .output('node1', 'tortie', 'bgp', 'config', '-o', 'json')
            .catch(() => '{}'),
        ) as { filters?: object }
      ).filters;
    const tried = await filters();
    const kept = await tortie(rack(), ['confirm', 'good']);
    expect(kept, kept.stderr).to.deep.include({ status: 0 });
    expect((await object('bgppeer', 'node1-tor1-ipv4')).spec).to.deep.include({ filters: ['hush'] });
    expect(await phase('good')).to.equal('Confirmed');
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await filters()).to.deep.equal(tried);
    expect(await sessions('node1')).to.deep.equal(stood.node1);
  });

  it('goes back at the canary alone when its sessions vanish', async () => {
    const [was, wasRules] = [await routes('node2'), await rules('node2')];
    const names = stood.node2?.filter((name) => name.startsWith('node2-')) ?? [];
    const given = names.map((name) => ({ apiVersion: 'projectcalico.org/v3', kind: 'BGPPeer', metadata: { name } }));
    const results = await whileOthersTalk(rack(), 'node2', async () => {
      const answer = await tryOut('lone', given, '--delete', '--canary', 'node2');
      expect(answer.stdout, answer.stderr).to.match(
        /lone Reverted: node node2: it leaves \d sessions; expected 8, as before/,
      );
      expect(answer.status).to.equal(3);
    });
    for (const result of results) expect(result, describeStream(result)).to.deep.include({ lost: 0, error: '' });
    expect(stateOf(await changeNamed(rack(), 'lone'))).to.deep.equal({
      node1: 'Pending',
      node2: 'Reverted',
      node3: 'Pending',
    });
    await soon('the sessions of before', async () => String(await sessions('node2')) === String(stood.node2));
    await soon('the routes of before', async () => (await routes('node2')) === was);
    expect(await rules('node2')).to.equal(wasRules);
    expect(await isReachable()).to.equal(true);
  });

  it('goes back where the AS is wrong, as soon as the session has had time to come back', async () => {
    const { spec } = await object('bgppeer', 'node3-tor1-ipv4');
    const answer = await tryOut(
      'wrong-as',
      [peer('node3-tor1-ipv4', { ...spec, asNumber: 65099 })],
      '--canary',
      'node3',
    );
    expect(answer.status, answer.stderr).to.equal(3);
    expect(answer.stdout).to.match(
      /node node3: 7 sessions carry routes; expected 8, as before \(not: node3-tor1-ipv4\)/,
    );
    await soon('the sessions of before', async () => String(await sessions('node3')) === String(stood.node3));
    expect(await isReachable()).to.equal(true);
  });

  it('goes back where a filter lets nothing through, though all sessions stand', async () => {
    const none = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'BGPFilter',
      metadata: { name: 'none' },
      spec: { importV4: [{ action: 'Reject' }], exportV4: [{ action: 'Reject' }] },
    };
    const { spec } = await object('bgppeer', 'node3-tor1-ipv4');
    const given = [none, peer('node3-tor1-ipv4', { ...spec, filters: ['none'] })];
    const answer = await tryOut('deaf', given, '--canary', 'node3');
    expect(answer.stdout, answer.stderr).to.match(/deaf Reverted: node node3: 7 sessions carry routes/);
    expect(await sessions('node3')).to.deep.equal(stood.node3);
    expect(await isReachable()).to.equal(true);
  });

  it('goes back where pods would get no address any more', async () => {
    const pools = JSON.parse(await rack().kubectl(['get', 'ippools', '-o', 'json'])) as {
      readonly items: readonly {
        readonly metadata: KubeObject['metadata'];
        readonly spec: { readonly cidr: string };
      }[];
    };
    const given = pools.items.map(({ metadata, spec }) => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: metadata.name },
      spec: { ...spec, nodeSelector: 'kubernetes.io/hostname != "node3"' },
    }));
    const answer = await tryOut('no-pool', given, '--canary', 'node3');
    expect(answer.stdout, answer.stderr).to.match(/no-pool Reverted: node node3: .*pool/i);
    expect(await isReachable()).to.equal(true);
  });

  it('goes back where the API server does not answer this node alone, and tells the others when it does', async () => {
    const rule = ['OUTPUT', '-o', 'lo', '-p', 'tcp', '--dport', '6443', '-j', 'DROP'];
    const answer = await tortie(
      rack(),
      ['apply', '--name', 'deaf-node', '--confirm', '5m', '--canary', 'node1', '--no-wait', '-f', '-'],
      listOf([peer('extra', { node: 'node1', peerIP: '192.0.2.7', asNumber: 65001 })]),
    );
    expect(answer.status, answer.stderr).to.equal(0);
    const configured = async (): Promise<boolean> =>
      (await rack().output('node1', 'tortie', 'bgp', 'summary', '-o', 'json')).includes('192.0.2.7');
    await soon('node1 to have it', configured);
    await rack().output('node1', 'iptables', '-I', ...rule);
    try {
      await soon('node1 to go back by itself', async () => !(await configured()));
      expect(await phase('deaf-node')).to.equal('Trial');
    } finally {
      await rack().output('node1', 'iptables', '-D', ...rule);
    }
    await soon('all to be told', async () => (await phase('deaf-node')) === 'Reverted');
    expect((await changeNamed(rack(), 'deaf-node')).status?.message).to.match(
      /the API server, which answered before, has not/,
    );
  });

  it('says what cannot be put on trial, and puts nothing on trial', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { a: 'b' } };
    const bad = peer('node3-tor1-ipv4', { asNumber: -1 });
    const answer = await tryOut('bad', [secret, bad]);
    expect(answer.status).to.equal(1);
    expect(answer.stderr)
      .to.match(/Cannot put secret\/s .*carries no Secret/)
      .and.match(/spec\.asNumber/);
    expect(await rack().kubectl(['get', 'changes', 'bad', '--ignore-not-found'])).to.equal('');
  });

  it('waits for the one before it, and says for whom', async () => {
    const label = (node: string, wish: string): readonly string[] => ['--label', node, wish];
    const first = await tortie(rack(), ['apply', '--name', 'z-first', '--confirm', '5m', ...label('node1', 'a=1')]);
    expect(first, first.stderr).to.deep.include({ status: 0 });
    const second = await tortie(rack(), [
      'apply',
      '--name',
      'a-second',
      '--confirm',
      '5m',
      '--no-wait',
      ...label('node1', 'b=1'),
    ]);
    expect(second.status, second.stderr).to.equal(0);
    await soon('the second to wait', async () => {
      const { status } = await changeNamed(rack(), 'a-second');
      return status?.phase === 'Waiting' && status.message === 'waits for Change/z-first to end';
    });
    const reverted = await tortie(rack(), ['change', 'revert', 'z-first']);
    expect(reverted.stdout, reverted.stderr).to.equal('change.tortie.dev/z-first Reverted: somebody reverted it\n');
    await soon('the second to be well', async () => (await changeNamed(rack(), 'a-second')).status?.well === '3/3');
    const kept = await tortie(rack(), ['confirm', 'a-second']);
    expect(kept.stdout, kept.stderr).to.equal('node/node1 labeled\nchange.tortie.dev/a-second confirmed\n');
    expect((await object('node', 'node1')).metadata.labels)
      .to.include({ b: '1' })
      .and.not.have.property('a');
  });

  it('goes back when nobody confirms it, also where the agent was killed meanwhile', async () => {
    const { spec } = await object('bgppeer', 'node2-tor2-ipv4');
    const given = [
      peer('node2-tor2-ipv4', { ...spec, keepaliveTime: '20s' }),
      peer('extra', { node: 'node2', peerIP: '192.0.2.7', asNumber: 65001 }),
    ];
    const answer = await tortie(
      rack(),
      ['apply', '--name', 'late', '--confirm', '25s', '--canary', 'node2', '--no-wait', '-f', '-'],
      listOf(given),
    );
    expect(answer.status, answer.stderr).to.equal(0);
    const configured = async (): Promise<boolean> =>
      (await rack().output('node2', 'tortie', 'bgp', 'summary', '-o', 'json')).includes('192.0.2.7');
    await soon('node2 to have it', configured);
    await rack().process({ name: 'node2 agent', action: 'kill' });
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(await configured(), 'the trial goes on after the restart').to.equal(true);
    await soon('it to be over', async () => (await phase('late')) === 'Reverted' || undefined);
    expect((await changeNamed(rack(), 'late')).status?.message).to.equal('node node2: nobody confirmed it within 25 s');
    await soon('the peers of before', async () => !(await configured()));
    expect(await sessions('node2')).to.deep.equal(stood.node2);
  });

  it('goes back when the API server vanishes, also after the agent was killed', async () => {
    const answer = await tortie(
      rack(),
      ['apply', '--name', 'cut-off', '--confirm', '5m', '--canary', 'node1', '--no-wait', '-f', '-'],
      listOf([peer('extra', { node: 'node1', peerIP: '192.0.2.7', asNumber: 65001 })]),
    );
    expect(answer.status, answer.stderr).to.equal(0);
    const configured = async (): Promise<boolean> =>
      (await rack().output('node1', 'tortie', 'bgp', 'summary', '-o', 'json')).includes('192.0.2.7');
    await soon('node1 to have it', configured);
    await rack().process({ name: 'apiserver', action: 'stop' });
    try {
      await rack().process({ name: 'node1 agent', action: 'kill' });
      await soon('node1 to go back without anybody', async () => !(await configured()));
    } finally {
      await rack().process({ name: 'apiserver', action: 'start' });
    }
    await soon('all to be told', async () => (await phase('cut-off')) === 'Reverted');
    expect((await changeNamed(rack(), 'cut-off')).status?.message).to.match(/node node1: the API server/);
    expect(await isReachable()).to.equal(true);
  });
});
