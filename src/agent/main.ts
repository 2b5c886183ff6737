/** The process of `tortie agent`: options, kernel, signals, and the CNI server around an Agent. */
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CniServer } from '../cni/cni-server.js';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { messageOf, UserError } from '../errors.js';
import { createLogger, type Logger, type LogFormat, type LogLevel } from '../log.js';
import { VERSION } from '../version.js';
import { Agent } from './agent.js';
import { cniHandlers } from './cni-handlers.js';
import { openLinuxKernel } from './linux-kernel.js';

export interface AgentFlags {
  readonly node?: string;
  readonly kubeconfig?: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly namespace: string;
  readonly cniConfDir?: string;
  readonly cniBinDir?: string;
  readonly iptables: string;
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
}

const BACKENDS = ['auto', 'legacy', 'nft'] as const;
const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs until SIGTERM or SIGINT. @throws UserError when it cannot start */
export async function runAgent(flags: AgentFlags): Promise<void> {
  const log = createLogger('agent', { ...(flags.logFormat && { format: flags.logFormat }), ...(flags.logLevel && { level: flags.logLevel }) });
  const iptables = BACKENDS.find((backend) => backend === flags.iptables);
  if (iptables === undefined) throw new UserError(`Cannot use --iptables "${flags.iptables}": expected ${BACKENDS.join(', ')}`, 2);
  const node = flags.node ?? process.env['NODE_NAME'] ?? hostname();
  const client = KubernetesClient.load(flags.kubeconfig ?? process.env['KUBECONFIG']);
  const kernel = await startable('open the kernel', () => openLinuxKernel({ iptables, log }));
  const agent = await startable('open the address journal', () => Agent.open({
    node, kernel, log, version: VERSION,
    datastore: new KubernetesDatastore(client), runDir: flags.runDir, stateDir: flags.stateDir, namespace: flags.namespace,
  }));
  const server = new CniServer({
    socketPath: join(flags.runDir, 'agent.sock'),
    handlers: cniHandlers({ pods: agent.pods, unreadiness: () => agent.unreadiness(), addressProblems: () => agent.ipam.problems(), log: log.child({ loop: 'cni' }) }),
    onFault: (error) => log.error({ err: error }, 'A CNI call met a fault of ours'),
    onAnswer: (call, answer, duration) => log.debug({ call, answer, duration }, 'Answered a CNI call'),
  });
  await startable(`listen on ${join(flags.runDir, 'agent.sock')}`, () => server.listen());
  log.info({ node, api: client.url }, 'Started');
  const stopped = untilSignal(log);
  const running = agent.run().then(() => installCni(flags, log));
  await Promise.race([stopped, running.then(() => stopped)]);
  await server.close();
  await agent.stop();
}

async function startable<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new UserError(`Cannot ${what}: ${messageOf(error)}`, 1, { cause: error });
  }
}

function untilSignal(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        log.info({ signal }, 'Stopping; packets go on as they are');
        resolve();
      });
  });
}

/** The plugin first, then the list that names it: kubelet takes the list as the sign that the node can serve pods. */
async function installCni({ cniBinDir, cniConfDir, runDir }: AgentFlags, log: Logger): Promise<void> {
  if (cniBinDir !== undefined) {
    await mkdir(cniBinDir, { recursive: true });
    await copyFile(join(root, 'dist/cni/tortie'), join(cniBinDir, '.tortie.new'));
    await rename(join(cniBinDir, '.tortie.new'), join(cniBinDir, 'tortie'));
  }
  if (cniConfDir === undefined) return;
  const list = { cniVersion: '1.1.0', name: 'tortie', plugins: [{ type: 'tortie', socket: join(runDir, 'agent.sock') }] };
  await mkdir(cniConfDir, { recursive: true });
  const path = join(cniConfDir, '10-tortie.conflist');
  const text = `${JSON.stringify(list, null, 2)}\n`;
  if ((await readFile(path, 'utf8').catch(() => '')) === text) return;
  await writeFile(`${path}.new`, text, { mode: 0o644 });
  await rename(`${path}.new`, path);
  log.info({ path }, 'Wrote the CNI configuration');
}
