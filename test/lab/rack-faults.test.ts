import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import type { NodeStatus } from '../../src/api/node-status.js';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { createPod, deletePod, getPod, isReady, soon, useRack } from './rack-fixture.js';

/** What people get wrong and what breaks: each is named where they look, and nobody else suffers. */
describe('lab, faults on a rack', function () {
  this.timeout(90_000);
  const rack = useRack('f');

  const kubectl = (...args: readonly string[]): Promise<string> => rack().kubectl(args);
  const patch = (resource: string, spec: unknown): Promise<string> =>
    kubectl('patch', ...resource.split('/'), '--type', 'merge', '-p', JSON.stringify(spec));
  const statusOf = async (node: string): Promise<NonNullable<NodeStatus['status']>> => {
    const text = await kubectl('get', 'nodestatus', node, '-o', 'json', '--ignore-not-found');
    return text === '' ? {} : ((JSON.parse(text) as NodeStatus).status ?? {});
  };
  const messageOf = async (node: string, type: string): Promise<string> =>
    (await statusOf(node)).conditions?.find((condition) => condition.type === type && condition.status === 'False')
      ?.message ?? '';
  /** The message once it says this: what a fault does first (a session that ends) is told first. */
  const saying = async (node: string, words: string | RegExp): Promise<string | undefined> => {
    const message = await messageOf(node, 'BGPReady');
    return (typeof words === 'string' ? message.includes(words) : words.test(message)) ? message : undefined;
  };
  const isWell = async (node: string): Promise<boolean> =>
    (await statusOf(node)).conditions?.every((condition) => condition.status === 'True') === true;

  /** Everything answers: a fault elsewhere has hurt nobody. */
  const expectUnhurt = async (view: LabView): Promise<void> => {
    const matrix = await view.matrix();
    expect(matrix.cells.filter((cell) => cell.verdict !== 'allow')).to.deep.equal([]);
  };

  before(async () => {
    await soon('the rack to converge', async () =>
      (await rack().matrix()).cells.every((cell) => cell.verdict === 'allow'),
    );
    for (const node of ['node1', 'node2', 'node3']) await soon(`${node} to be well`, () => isWell(node));
  });

  it('names a peer whose AS number is wrong, on the node and on the router', async () => {
    await patch('bgppeer/node1-tor1-ipv4', { spec: { asNumber: 65099 } });
    await soon('the node to name it', () => saying('node1', /node1-tor1-ipv4.*AS is 65001; expected 65099/));
    await soon('the router to name it', async () =>
      /node1_4 .*Bad peer AS/.test(await rack().output('tor1', 'birdc', 'show', 'protocols')),
    );
    await expectUnhurt(rack());
    await patch('bgppeer/node1-tor1-ipv4', { spec: { asNumber: 65001 } });
    await soon('the session to come back', () => isWell('node1'));
  });

  it('does not open a session with a wrong MD5 key', async () => {
    await rack().kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'wrong', namespace: 'tortie-system' },
        stringData: { password: 'not-the-key' },
      }),
    );
    await patch('bgppeer/node2-tor1-ipv4', {
      spec: { password: { secretKeyRef: { name: 'wrong', key: 'password' } } },
    });
    await soon('the session to be down', async () =>
      (await statusOf('node2')).bgp?.peers?.some((peer) => peer.address === '10.1.1.4' && peer.state !== 'Established'),
    );
    expect(await soon('the node to name it', () => messageOf('node2', 'BGPReady'))).to.contain('node2-tor1-ipv4');
    await expectUnhurt(rack());
    await patch('bgppeer/node2-tor1-ipv4', { spec: { password: null } });
    await soon('the session to come back', () => isWell('node2'));
  });

  it('names a resource that refers to something missing, and goes on with the rest', async () => {
    await patch('bgppeer/node3-tor2-ipv6', { spec: { filters: ['nowhere'] } });
    await soon('the node to name it', () =>
      saying('node3', 'BGPPeer/node3-tor2-ipv6 spec.filters[0] is "nowhere"; expected a BGPFilter of that name'),
    );
    await soon('the object to name it', async () => {
      const { status } = JSON.parse(await kubectl('get', 'bgppeer', 'node3-tor2-ipv6', '-o', 'json')) as NodeStatus;
      return status?.conditions?.some(
        ({ type, status: word, message }) =>
          type === 'Accepted' && word === 'False' && message.startsWith('On node3: spec.filters[0] is "nowhere"'),
      );
    });
    expect(await saying('node1', 'nowhere')).to.equal(undefined);
    await expectUnhurt(rack());
    await patch('bgppeer/node3-tor2-ipv6', { spec: { filters: null } });
    await soon('the session to come back', () => isWell('node3'));
  });

  it('names two nodes that have one router id', async () => {
    await kubectl('annotate', 'node', 'node3', 'projectcalico.org/IPv4Address=10.0.0.1/32');
    await soon('node1 to name its twin', () =>
      saying('node1', 'Node/node3 has the address 10.0.0.1 of node "node1"; expected an address of its own'),
    );
    await kubectl('annotate', 'node', 'node3', 'projectcalico.org/IPv4Address-');
    for (const node of ['node1', 'node2', 'node3']) await soon(`${node} to be well again`, () => isWell(node));
    await soon('traffic to flow again', async () =>
      (await rack().matrix()).cells.every((cell) => cell.verdict === 'allow'),
    );
  });

  it('starts pods while the API server is away', async () => {
    const view = rack();
    const before = (await view.status()).pods.find((pod) => pod.name === 'web');
    await view.process({ name: 'apiserver', action: 'stop' });
    try {
      await view.restartPod('shop', 'web');
      const after = await soon('a new sandbox', async () => {
        const pod = (await view.status()).pods.find((candidate) => candidate.name === 'web');
        return pod?.state === 'Running' && pod.netns !== '' && pod.netns !== before?.netns && pod;
      });
      expect(after.ips).to.have.length(2);
      await soon('the new sandbox to answer', async () =>
        (await view.matrix()).cells.every((cell) => cell.verdict === 'allow'),
      );
    } finally {
      await view.process({ name: 'apiserver', action: 'start' });
    }
    await soon(
      'the new address to be published',
      async () =>
        (await getPod(view, 'web', 'shop'))?.status.podIP ===
        (await view.status()).pods.find((pod) => pod.name === 'web')?.ips[0],
    );
  });

  it('says why a pod does not start while the agent is away, and starts it afterwards', async () => {
    const view = rack();
    await view.process({ name: 'node2 agent', action: 'stop' });
    try {
      await createPod(view, 'waiting', { spec: { nodeName: 'node2' } });
      const events = await soon('an event', async () =>
        kubectl(
          'get',
          'events',
          '--field-selector',
          'involvedObject.name=waiting,reason=FailedCreatePodSandBox',
          '-o',
          'jsonpath={.items[*].message}',
        ),
      );
      expect(events)
        .to.contain('Cannot ADD by CNI plugin "tortie": Cannot reach the Tortie agent at')
        .and.to.contain('(code 11)');
      expect((await getPod(view, 'waiting'))?.status.phase).to.equal('Pending');
      await soon(
        'the node to be not ready',
        async () =>
          (await kubectl('get', 'node', 'node2', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')) ===
          'False',
      );
      await expectUnhurt(view);
    } finally {
      await view.process({ name: 'node2 agent', action: 'start' });
    }
    await soon('the pod to run', async () => {
      const pod = await getPod(view, 'waiting');
      return pod !== undefined && isReady(pod);
    });
    await soon(
      'the node to be ready',
      async () =>
        (await kubectl('get', 'node', 'node2', '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')) ===
        'True',
    );
    await deletePod(view, 'waiting');
  });
});

describe('lab, a rack that runs out of addresses', function () {
  this.timeout(60_000);
  const rack = useRack('e', {
    topology: fileURLToPath(new URL('../../../test/lab/fixtures/small-pool.yaml', import.meta.url)),
  });
  const names = ['one', 'two', 'three', 'four', 'five'];

  it('names the pool that is empty, and gives freed addresses to those who wait', async () => {
    const view = rack();
    for (const name of names) await createPod(view, name);
    const readyPods = async (): Promise<readonly string[]> => {
      const pods = await Promise.all(names.map(async (name) => [name, await getPod(view, name)] as const));
      return pods.flatMap(([name, pod]) => (pod !== undefined && isReady(pod) ? [name] : []));
    };
    const ready = await soon('four pods to run', async () => {
      const now = await readyPods();
      return now.length === 4 && now;
    });
    const [left = ''] = names.filter((name) => !ready.includes(name));
    const message = await soon('an event that names the pool', () =>
      view.kubectl([
        'get',
        'events',
        '--field-selector',
        `involvedObject.name=${left},reason=FailedCreatePodSandBox`,
        '-o',
        'jsonpath={.items[*].message}',
      ]),
    );
    expect(message).to.contain('"tiny"');
    await deletePod(view, ready[0] ?? '');
    await soon('the waiting pod to run', async () => (await readyPods()).includes(left));
  });
});
