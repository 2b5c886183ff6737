import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { attempt, run } from '../../src/lab/command.js';
import { findPlace } from '../../src/lab/devices.js';
import { probe } from '../../src/lab/reachability.js';
import { namespacesOf } from '../../src/lab/sweep.js';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { Narrator } from '../../src/lab/tour/narrator.js';
import { tellPolicy } from '../../src/lab/tour/policy.js';
import { tellNodeTable, tellReachability, tellRouterTable, tellSessions } from '../../src/lab/tour/routing.js';
import { tellAgentKill, tellBgpdKill, tellLinkCut } from '../../src/lab/tour/survival.js';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { createPod, deletePod, getPod, isReady, soon, useRack } from './rack-fixture.js';

/** The demonstration of `npm run lab -- --once`, claim by claim, and a pod's life, on one rack of real processes. */
describe('lab, a rack on one machine', function () {
  this.timeout(60_000);
  const rack = useRack('t');

  const tell = (title: string, chapter: (view: LabView, narrator: Narrator) => Promise<void>): void => {
    it(title, async () => {
      let story = '';
      const narrator = new Narrator((text) => (story += text));
      await chapter(rack(), narrator);
      expect(narrator.failures, story).to.deep.equal([]);
    });
  };

  tell('has sessions with both routers', tellSessions);
  tell('forwards between all pods and from outside, IPv4 and IPv6', tellReachability);
  tell('has node tables with one line per local pod and remote block', tellNodeTable);
  tell('has routers that know where each pod is', tellRouterTable);
  tell('forwards what NetworkPolicy says, and nothing else', tellPolicy);
  tell('survives a cut link', tellLinkCut);
  tell('survives a killed agent', tellAgentKill);
  tell('survives a killed bgpd', tellBgpdKill);

  it('binds, plumbs and removes a pod', async () => {
    const view = rack();
    await createPod(view, 'brief', {
      spec: { nodeSelector: { 'kubernetes.io/hostname': 'node3' } },
      ports: [{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }, { containerPort: 9999, protocol: 'SCTP' }],
    });
    const pod = await soon('pod "brief" to be ready', async () => {
      const found = await getPod(view, 'brief');
      return found !== undefined && isReady(found) && found;
    });
    expect(pod.spec.nodeName).to.equal('node3');
    expect(pod.status.hostIP).to.equal('10.0.0.3');
    expect(pod.status.podIPs?.map(({ ip }) => ip.includes(':'))).to.deep.equal([false, true]);
    const { netns } = await findPlace(view.record.name, 'default/brief');
    const endpoints = (await view.endpoints()).filter(
      (endpoint) => endpoint.name === 'default/brief' || endpoint.name === 'shop/web' || endpoint.type === 'outside',
    );
    for (const port of [
      { port: 80, transport: 'TCP' },
      { port: 53, transport: 'UDP' },
      { port: 9999, transport: 'SCTP' },
    ] as const) {
      const { cells } = await probe(endpoints, { port, families: [4, 6] });
      expect(
        cells.filter((cell) => cell.to === 'default/brief' && cell.verdict !== 'allow'),
        `${port.port}/${port.transport}`,
      ).to.deep.equal([]);
    }
    await deletePod(view, 'brief');
    expect(await getPod(view, 'brief')).to.equal(undefined);
    // With a grace period of 0 the object goes at once, and the sandbox after it.
    await soon('the sandbox to be gone', async () => !(await namespacesOf(view.record.name)).includes(netns));
    const routes = await view.output('node3', 'ip', 'route', 'show', `${pod.status.podIP}/32`);
    expect(routes).to.equal('');
  });

  it("runs a hostNetwork pod at its node's addresses", async () => {
    const view = rack();
    await createPod(view, 'onhost', {
      spec: { nodeName: 'node2', hostNetwork: true },
      ports: [{ containerPort: 8088 }],
    });
    const pod = await soon('pod "onhost" to be ready', async () => {
      const found = await getPod(view, 'onhost');
      return found !== undefined && isReady(found) && found;
    });
    expect(pod.status.podIPs?.map(({ ip }) => ip)).to.deep.equal(['10.0.0.2', 'fd00::2']);
    const { cells } = await probe(
      (await view.endpoints()).filter(({ name }) => ['default/onhost', 'shop/web'].includes(name)),
      { port: { port: 8088, transport: 'TCP' }, families: [4, 6] },
    );
    expect(cells.filter((cell) => cell.to === 'default/onhost').map((cell) => cell.verdict)).to.deep.equal([
      'allow',
      'allow',
      'allow',
      'allow',
    ]);
    await deletePod(view, 'onhost');
  });

  for (const phase of ['Succeeded', 'Failed'])
    it(`lets a pod end as ${phase} and takes its network away`, async () => {
      const view = rack();
      const name = phase.toLowerCase();
      await createPod(view, name, {
        annotations: { 'tortie.dev/lab-phase': phase },
        spec: { restartPolicy: 'Never', nodeName: 'node1' },
      });
      const pod = await soon(`pod to be ${phase}`, async () => {
        const found = await getPod(view, name);
        return found?.status.phase === phase && found;
      });
      expect(pod.status.podIP, 'a finished pod keeps its address in the status').to.be.a('string');
      expect(await view.output('node1', 'ip', 'route', 'show', `${pod.status.podIP}/32`)).to.equal('');
      await deletePod(view, name);
    });

  it('names route protocols and finds the right daemon in every place', async () => {
    const view = rack();
    expect(await view.output('node1', 'ip', 'route'))
      .to.match(/proto tortie-bgp/)
      .and.match(/blackhole \S+ proto tortie/);
    const cli = (...argv: readonly string[]): ReturnType<typeof attempt> =>
      attempt([...tortieArgv('lab', 'exec', '--name', view.record.name), ...argv]);
    expect((await cli('tor2', '--', 'birdc', 'show', 'status')).stdout).to.contain('Router ID is 10.0.255.2');
    expect((await cli('node3', '--', 'tortie', 'bgp', 'summary')).stdout).to.contain('10.0.0.3');
    expect((await cli('shop/web', '--', 'ip', '-br', 'address', 'show', 'eth0')).stdout).to.match(
      /10\.65\.\d+\.\d+\/32/,
    );
    expect((await cli('node1', '--', 'sh', '-c', 'exit 7')).code).to.equal(7);
    const unknown = await cli('nowhere', '--', 'true');
    expect(unknown.code).to.equal(2);
    expect(unknown.stderr).to.contain('expected one of tor1, tor2, node1, node2, node3, outside');
  });

  it('keeps a second lab apart', async () => {
    const view = rack();
    const other = `u${process.pid}`;
    await run(tortieArgv('lab', 'up', '--name', other));
    try {
      const status = JSON.parse(await run(tortieArgv('lab', 'status', '--name', other, '-o', 'json'))) as {
        readonly name: string;
        readonly processes: readonly { readonly pid: number }[];
      };
      expect(status.name).to.equal(other);
      const ours = new Set((await view.status()).processes.map((process) => process.pid));
      expect(status.processes.filter((process) => ours.has(process.pid))).to.deep.equal([]);
    } finally {
      await run(tortieArgv('lab', 'down', '--name', other));
    }
    expect(await namespacesOf(other)).to.deep.equal([]);
    const matrix = await view.matrix();
    expect(matrix.cells.filter((cell) => cell.verdict !== 'allow')).to.deep.equal([]);
  });

  it('leaves nothing behind when it is taken down after a crash of its supervisor', async () => {
    const view = rack();
    const { name, id } = view.record;
    const supervisor = (await run(['pgrep', '-f', `lab supervise --name ${name}$`])).trim();
    process.kill(Number(supervisor), 'SIGKILL');
    await run(tortieArgv('lab', 'down', '--name', name));
    expect(await namespacesOf(name)).to.deep.equal([]);
    expect(marked(id)).to.deep.equal([]);
    for (const directory of ['/run/tortie-lab', '/etc/netns'])
      expect(
        list(directory).filter((entry) => entry === name || entry.startsWith(`tl-${name}-`)),
        directory,
      ).to.deep.equal([]);
    expect((await run(['ip', '-br', 'link'])).includes('tort')).to.equal(false);
  });
});

const list = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return []; // Not there is as good as empty.
  }
};

/** Processes that still carry the lab's mark. */
function marked(id: string): readonly string[] {
  const { stdout } = spawnSync(
    'grep',
    [
      '-lsa',
      `TORTIE_LAB_ID=${id}`,
      ...list('/proc')
        .filter((entry) => /^\d+$/.test(entry))
        .map((pid) => `/proc/${pid}/environ`),
    ],
    { encoding: 'utf8' },
  );
  return stdout.split('\n').filter((line) => line !== '');
}
