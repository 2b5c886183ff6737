/** Debian's containerd and runc on a node: real sandboxes through the Container Runtime Interface, by the conflist that the agent wrote. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Write } from '../../bench/node/api-client.js';
import { BenchNode, NODE } from '../../bench/node/node.js';
import { World } from '../../bench/node/world.js';
import { Containerd, whyNoContainerd } from './containerd.js';

const PODS = '/api/v1/namespaces/default/pods';
const READY_WITHIN = 20_000;

const pool = (name: string, cidr: string, blockSize: number): Write => ({
  path: '/apis/projectcalico.org/v3/ippools',
  object: { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } },
});

const base: readonly Write[] = [
  {
    path: '/api/v1/nodes',
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE },
      status: {
        addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
        nodeInfo: { containerRuntimeVersion: 'containerd://1.6.20' },
      },
    },
  },
  pool('v4', '10.65.0.0/24', 26),
  pool('v6', 'fd00:65::/112', 122),
];

describe('a sandbox by containerd', function () {
  this.timeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), `tortie-containerd-${process.pid}-`));
  const cniConfDir = join(directory, 'net.d');
  const cniBinDir = join(directory, 'cni');
  const world = new World('tctrd');
  let netns: string;
  let node: BenchNode | undefined;
  let containerd: Containerd | undefined;

  const parts = (): { readonly node: BenchNode; readonly containerd: Containerd } => {
    if (node === undefined || containerd === undefined) throw new Error('The node is not up');
    return { node, containerd };
  };
  const onNode = (...argv: readonly string[]): string =>
    execFileSync('nsenter', [`--net=${netns}`, ...argv], { encoding: 'utf8', timeout: 20_000 }).trim();
  const routes = (): string =>
    onNode('ip', 'route', 'show', 'proto', '171') + onNode('ip', '-6', 'route', 'show', 'proto', '171');

  /** A pod bound to this node, and what kubelet would ask a runtime for. */
  const makePod = async (name: string): Promise<Parameters<Containerd['cri']['runPodSandbox']>[0]> => {
    const object = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { nodeName: NODE, containers: [{ name: 'main', image: 'main' }] },
    };
    await parts().node.api.create(PODS, object);
    const { metadata } = (await parts().node.api.get(`${PODS}/${name}`)) as { readonly metadata: { uid: string } };
    const { cgroupParent } = parts().containerd;
    return { name, namespace: 'default', uid: metadata.uid, attempt: 0, cgroupParent };
  };

  const expectAnswer = (address: string): void => {
    onNode('ping', '-c1', '-W5', address);
  };

  before(async function () {
    const why = whyNoContainerd();
    if (why !== undefined) {
      console.log(`      skipped: ${why}`);
      return this.skip();
    }
    netns = world.node('node');
    mkdirSync(cniBinDir);
    const agentFlags = ['--cni-bin-dir', cniBinDir, '--cni-conf-dir', cniConfDir];
    node = await BenchNode.start({ netns, directory, policyBackend: 'auto', agentFlags }, [base]);
    containerd = new Containerd({ netns, directory: join(directory, 'containerd'), cniConfDir, cniBinDir });
    await containerd.start();
  });
  after(async () => {
    await containerd?.stop();
    await node?.stop();
    world.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  it('is ready by the conflist of the agent, in a version that it speaks', async () => {
    const conflist = JSON.parse(readFileSync(join(cniConfDir, '10-tortie.conflist'), 'utf8')) as { cniVersion: string };
    expect(conflist.cniVersion).to.equal('1.0.0');
    const end = Date.now() + READY_WITHIN;
    for (;;) {
      const network = (await parts().containerd.cri.conditions()).find(({ type }) => type === 'NetworkReady');
      if (network?.isTrue === true) break;
      if (Date.now() > end) throw new Error(`containerd says of its network: ${network?.message}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  it('has addresses and answers; stopped, nothing of it is left', async () => {
    const { cri } = parts().containerd;
    const id = await cri.runPodSandbox(await makePod('web'));
    const { addresses } = await cri.sandbox(id);
    expect(addresses).to.have.length(2);
    for (const address of addresses) {
      expect(routes()).to.contain(address);
      expectAnswer(address);
    }
    await cri.stopPodSandbox(id);
    await cri.removePodSandbox(id);
    for (const address of addresses) expect(routes()).to.not.contain(`${address} `);
    expect(onNode('ip', '-br', 'link', 'show', 'up', 'type', 'veth')).to.equal('');
  });

  it('gives way to the next sandbox of its pod, and its late end takes nothing from that', async () => {
    const { cri } = parts().containerd;
    const pod = await makePod('again');
    const first = await cri.runPodSandbox(pod);
    const second = await cri.runPodSandbox({ ...pod, attempt: 1 });
    const { addresses } = await cri.sandbox(second);
    await cri.stopPodSandbox(first);
    await cri.removePodSandbox(first);
    for (const address of addresses) expectAnswer(address);
    await cri.stopPodSandbox(second);
    await cri.removePodSandbox(second);
  });

  it('is of the new pod that has the name of a former one, whose late end takes nothing from it', async () => {
    const { containerd: runtime, node: agent } = parts();
    const former = await runtime.cri.runPodSandbox(await makePod('web-0'));
    await agent.api.delete(`${PODS}/web-0?gracePeriodSeconds=0`);
    const current = await runtime.cri.runPodSandbox(await makePod('web-0'));
    const { addresses } = await runtime.cri.sandbox(current);
    await runtime.cri.removePodSandbox(former);
    for (const address of addresses) expectAnswer(address);
    await runtime.cri.removePodSandbox(current);
    for (const address of addresses) expect(routes()).to.not.contain(`${address} `);
  });

  it('stays while containerd and the agent are killed, and ends well after', async () => {
    const { containerd: runtime, node: agent } = parts();
    const id = await runtime.cri.runPodSandbox(await makePod('stays'));
    const { addresses } = await runtime.cri.sandbox(id);
    await runtime.kill();
    for (const address of addresses) expectAnswer(address);
    await runtime.start();
    await agent.replaceAgent();
    expect(await runtime.cri.sandbox(id)).to.deep.equal({ isReady: true, addresses });
    for (const address of addresses) expectAnswer(address);
    await runtime.cri.stopPodSandbox(id);
    await runtime.cri.removePodSandbox(id);
    for (const address of addresses) expect(routes()).to.not.contain(`${address} `);
  });

  it('is refused for a pod that the cluster does not have, and leaves nothing', async () => {
    const { cri, cgroupParent } = parts().containerd;
    const uid = '00000000-0000-4000-8000-000000000000';
    const failure = await cri
      .runPodSandbox({ name: 'nobody', namespace: 'default', uid, attempt: 0, cgroupParent })
      .then(() => undefined, String);
    expect(failure).to.match(/no such pod|nobody/);
    expect(onNode('ip', '-br', 'link', 'show', 'up', 'type', 'veth')).to.equal('');
  });
});
