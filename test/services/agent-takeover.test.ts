/**
 * From kube-proxy to the agent, back, and to the agent again once no kube-proxy is left, with a connection that stays open and new ones all
 * the while. Runs where kube-proxy is ($KUBE_PROXY) and is left out elsewhere. What rules do is takeover.test.ts's.
 */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeProcess } from '../../bench/node/process.js';
import {
  clusterIp,
  namespaces,
  NODE,
  nodeObject,
  objects,
  poolObject,
  SERVICE_PORT,
} from '../../bench/services/objects.js';
import { Probe, Scene } from '../../bench/services/scene.js';
import { kubeProxyRules } from '../../src/dataplane/netfilter/kube-proxy-rules.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { PROBER, tortieArgv } from '../../src/lab/tortie-argv.js';
import { exec } from '../dataplane/scratch-namespaces.js';

const KUBE_PROXY = process.env['KUBE_PROXY'] ?? '';
const WITHIN = 30_000;
/** The agent looks again whose Services they are every 30 s. */
const NOTICED_WITHIN = 60_000;
const COUNT = 2;

interface Tally {
  readonly sent: number;
  readonly lost: number;
  readonly error: string;
}

/** A flow to the first Service, until it is asked how it fared. */
class Flow {
  private readonly child: ChildProcess;
  private text = '';

  constructor(node: string, ...how: readonly string[]) {
    const to = ['--netns', node, '--to', clusterIp(0), '--port', `${SERVICE_PORT}`];
    const argv = ['stream', ...to, '--interval', '20', '--duration', '600000', ...how];
    this.child = spawn(PROBER, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.text += chunk.toString('utf8')));
  }

  async end(): Promise<Tally> {
    const closed = once(this.child, 'close');
    this.child.kill('SIGTERM');
    await closed;
    const [line = ''] = this.text.trim().split('\n').slice(-1);
    return JSON.parse(line) as Tally;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

describe('the agent takes over from kube-proxy, and hands back', function () {
  this.timeout(240_000);
  let directory: string;
  let scene: Scene;
  let flows: Flow[];
  let processes: NodeProcess[];

  before(function () {
    if (KUBE_PROXY === '') this.skip();
  });
  beforeEach(async () => {
    [flows, processes] = [[], []];
    directory = mkdtempSync(join(tmpdir(), 'tortie-agent-takeover-'));
    const stages = [[nodeObject, poolObject, ...namespaces(COUNT)], objects(COUNT)];
    scene = await Scene.build(`tat${process.pid}`, join(directory, 'scene'), stages);
  });
  afterEach(async () => {
    for (const flow of flows) flow.kill();
    for (const process of processes.reverse()) await process.stop();
    await scene.takeDown();
    rmSync(directory, { recursive: true, force: true });
  });

  const path = (): string => `/run/netns/${scene.node}`;
  const run = (name: string, argv: readonly string[]): NodeProcess => {
    const started = new NodeProcess(path(), directory, name, argv);
    processes.push(started);
    return started;
  };
  const startKubeProxy = (mode: string): NodeProcess =>
    run('kube-proxy', [
      KUBE_PROXY,
      ...['--kubeconfig', scene.kubeconfig, '--hostname-override', NODE, '--proxy-mode', mode],
      ...['--cluster-cidr', '10.64.0.0/12', '--conntrack-max-per-core', '0'],
    ]);
  const startAgent = (backend: string, services: 'on' | 'auto'): NodeProcess => {
    mkdirSync(join(directory, 'run'), { recursive: true });
    return run(
      'agent',
      tortieArgv(
        'agent',
        ...['--node', NODE, '--kubeconfig', scene.kubeconfig, '--run-dir', join(directory, 'run')],
        ...['--state-dir', join(directory, 'state'), '--policy-backend', backend, '--services', services],
      ),
    );
  };
  const eventually = async (what: string, check: () => boolean | Promise<boolean>, within = WITHIN): Promise<void> => {
    const end = Date.now() + within;
    while (!(await check())) {
      const problems = processes.map((one) => one.problem()).filter((text) => text?.includes(' 0: ') === false);
      if (Date.now() > end) throw new Error(`Waited in vain for ${what}; ${problems.join('; ')}`);
      await pause(200);
    }
  };
  const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
  /** A connection that is new to the node, too: what it tracks of earlier probes would be answered by the rules of then. */
  const answers = async (within: number): Promise<void> => {
    exec(path(), 'sh', '-c', `conntrack -D -p udp -d ${clusterIp(COUNT - 1)} || true`);
    const probe = new Probe(scene.node, clusterIp(COUNT - 1), SERVICE_PORT);
    await probe.answeredAfter(Number(process.hrtime.bigint() / 1000n), within).finally(() => probe.stop());
  };
  const isOurs = (): boolean => /TORTIE-SE/.test(exec(path(), 'nft', 'list', 'ruleset'));
  const isTheirs = async (): Promise<boolean> =>
    (await kubeProxyRules((work) => inNamespace(path(), work))) !== undefined;
  /** As docs/services.md says. */
  const removeKubeProxy = async (proxy: NodeProcess): Promise<void> => {
    await proxy.stop();
    const cleaning = run('cleanup', [KUBE_PROXY, '--cleanup']);
    await eventually('kube-proxy --cleanup to end', () => cleaning.problem() !== undefined);
    expect(await isTheirs()).to.equal(false);
  };
  const agentSays = (): string => readFileSync(join(directory, 'agent.log'), 'utf8');

  for (const [mode, backend] of [
    ['nftables', 'nftables'],
    ['iptables', 'nft'],
  ] as const)
    it(`${mode}: no connection is lost, and none of the other's rules are left`, async () => {
      let proxy = startKubeProxy(mode);
      await answers(WITHIN);
      const held = new Flow(scene.node, '--protocol', 'tcp');
      const fresh = new Flow(scene.node, '--fresh');
      flows.push(held, fresh);

      let agent = startAgent(backend, 'on');
      await eventually("the agent's rules", isOurs);
      await removeKubeProxy(proxy);
      await answers(WITHIN);

      proxy = startKubeProxy(mode);
      await eventually("kube-proxy's rules", isTheirs);
      // Its chains come before what is in them.
      await pause(3_000);
      await agent.stop();
      agent = startAgent(backend, 'auto');
      await eventually("the agent's rules to go", () => !isOurs());
      expect(agentSays()).to.include("Services are not served: kube-proxy's rules are there");
      await answers(WITHIN);
      const { sent, lost, error } = await fresh.end();
      expect(sent).to.be.greaterThan(100);
      expect([lost, error]).to.deep.equal([0, '']);

      await removeKubeProxy(proxy);
      await answers(NOTICED_WITHIN);
      expect(agentSays()).to.include('Services are served: no kube-proxy is on this node');
      const tally = await held.end();
      expect(tally.sent).to.be.greaterThan(100);
      expect([tally.lost, tally.error]).to.deep.equal([0, '']);
    });
});
