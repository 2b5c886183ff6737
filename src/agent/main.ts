/** The process of `tortie agent`: options, kernel, signals, and the CNI server around an Agent. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import { installHostFiles } from '../cni/host-files.js';
import { CniServer } from '../cni/cni-server.js';
import { installConflist, installPlugin } from '../cni/conflist.js';
import { installLoopback } from '../cni/install.js';
import { MAX_MTU, MIN_MTU } from '../cni/network-config.js';
import { runtimeCniVersion } from '../cni/runtime-version.js';
import { CNI_VERSIONS, isCniVersion, type CniVersion } from '../cni/version.js';
import { openDatastore, type OpenedDatastore } from '../datastore/open-datastore.js';
import { describeMissing, probeFeatures } from '../dataplane/features.js';
import { looseReversePath } from '../dataplane/forwarding.js';
import type { BackendSetting } from '../dataplane/netfilter/status.js';
import { messageOf, UserError } from '../errors.js';
import { CniTimes } from './agent-metrics.js';
import { parseHealthAddress, serveHealth, type HealthAddress } from '../health.js';
import { createLogger, type Logger, type LogFormat, type LogLevel } from '../log.js';
import type { OutgoingSettings } from '../nat/nat-rules.js';
import { VERSION } from '../version.js';
import { Agent } from './agent.js';
import type { AddressSettings, PolicySettings } from './agent-options.js';
import { parseDrainFlags, type DrainFlags } from './drain-flags.js';
import { DENY_REPORTS, parseFlowFlags, type FlowFlags } from './flow-flags.js';
import { flowListener } from './flow-listener.js';
import type { FlowSettings } from './flow-loop.js';
import { cniHandlers } from './cni-handlers.js';
import { parseFailsafePorts } from './failsafe-ports.js';
import type { DrainSettings } from './drain-loop.js';
import { openLinuxKernel } from './linux-kernel.js';
import { parseNatFlags, type NatFlags } from './nat-flags.js';
import { nodeNameOf } from './node-name.js';
import { ensureNamespaces, registerNode } from './node-registration.js';
import { releaseListener } from './release-request.js';
import { parseServiceFlags } from './services/service-flags.js';
import type { ServiceSettings } from './services/service-proxy.js';
import { podLimitsOf, type PodLimitFlags } from './pod-limits.js';

export interface AgentFlags extends PodLimitFlags, NatFlags, DrainFlags, FlowFlags {
  readonly node?: string;
  readonly kubeconfig?: string;
  /** Its URL (open-datastore.ts). */
  readonly datastore: string;
  readonly nodeAddress?: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly namespace: string;
  readonly cniConfDir?: string;
  readonly cniBinDir?: string;
  /** "auto", or a version of the CNI specification. */
  readonly cniVersion: string;
  /** "auto", or octets. */
  readonly mtu: string;
  /** The host's /etc, for files that tell its network managers to leave our interfaces alone. */
  readonly hostEtcDir?: string;
  readonly policyBackend: string;
  readonly services: string;
  readonly serviceBackend: string;
  readonly serviceHealthAddress: string;
  readonly serviceMetricsAddress: string;
  readonly serviceMasqueradeAll?: boolean;
  readonly nodePortAddresses?: string;
  readonly podToHost: string;
  readonly ipSource: string;
  readonly ipAddrsNoIpam: string;
  readonly failsafeInbound?: string;
  readonly failsafeOutbound?: string;
  readonly healthAddress?: string;
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
}

const BACKENDS = ['auto', 'legacy', 'nft', 'nftables'] as const satisfies readonly BackendSetting[];
/** The kubelet gives a pod 30 s to end; an agent that is replaced is waited for. */
const STOP_WITHIN = 5_000;
/** For the last lines of the log. */
const LINGER = 250;
const root = fileURLToPath(new URL('../../../', import.meta.url));

const POD_TO_HOST = ['accept', 'drop', 'return'] as const;

/** @throws UserError */
function policySettings(flags: Pick<AgentFlags, 'podToHost' | 'failsafeInbound' | 'failsafeOutbound'>): PolicySettings {
  const podToHost = POD_TO_HOST.find((action) => action === flags.podToHost);
  if (podToHost === undefined)
    throw new UserError(`Cannot use --pod-to-host "${flags.podToHost}": expected ${POD_TO_HOST.join(', ')}`, 2);
  const failsafeInbound = parseFailsafePorts(flags.failsafeInbound, '--failsafe-inbound');
  const failsafeOutbound = parseFailsafePorts(flags.failsafeOutbound, '--failsafe-outbound');
  return { podToHost, ...(failsafeInbound && { failsafeInbound }), ...(failsafeOutbound && { failsafeOutbound }) };
}

/** @throws UserError */
function addressSettings({ ipSource, ipAddrsNoIpam }: Pick<AgentFlags, 'ipSource' | 'ipAddrsNoIpam'>): AddressSettings {
  if (!['pools', 'node-cidrs'].includes(ipSource))
    throw new UserError(`Cannot use --ip-source "${ipSource}": expected pools or node-cidrs`, 2);
  if (!['refuse', 'accept'].includes(ipAddrsNoIpam))
    throw new UserError(`Cannot use --ip-addrs-no-ipam "${ipAddrsNoIpam}": expected refuse or accept`, 2);
  return { usesNodeCidrs: ipSource === 'node-cidrs', mayBypassIpam: ipAddrsNoIpam === 'accept' };
}

/** Runs until SIGTERM or SIGINT. @throws UserError when it cannot start */
export async function runAgent(given: AgentFlags): Promise<void> {
  const flags = parseOptions(given);
  const log = createLogger('agent', {
    ...(flags.logFormat && { format: flags.logFormat }),
    ...(flags.logLevel && { level: flags.logLevel }),
  });
  if (flags.cniBinDir !== undefined && flags.cniConfDir === undefined)
    throw new UserError('Cannot install the CNI plugin in --cni-bin-dir: expected --cni-conf-dir beside it', 2);
  const backend = BACKENDS.find((name) => name === flags.policyBackend);
  if (backend === undefined)
    throw new UserError(`Cannot use --policy-backend "${flags.policyBackend}": expected ${BACKENDS.join(', ')}`, 2);
  const stopped = untilSignal(log);
  const running = serve(flags, backend, log, stopped);
  try {
    await Promise.race([running, stopped.then(() => within(STOP_WITHIN, running, log))]);
  } finally {
    // Whatever still waits for an answer, a child or a lock must not keep a process that has been told to end.
    setTimeout(() => process.exit(), LINGER).unref();
  }
}

/** From nothing to the end; `stopped` ends it in every phase. */
async function serve(flags: Options, backend: BackendSetting, log: Logger, stopped: Promise<void>): Promise<void> {
  const node = flags.node ?? process.env['NODE_NAME'] ?? nodeNameOf(hostname());
  checkKernel(log);
  const { store, display } = await open(flags, node, log);
  const kernel = await startable('open the kernel', () => openLinuxKernel({ backend, log }));
  if (flags.policy.podConnections !== undefined) {
    const problem = kernel.connectionLimitProblem();
    if (problem !== undefined) throw new UserError(`Cannot use --pod-connections: ${problem}`);
  }
  const agent = await startable('open the address journal', () =>
    Agent.open({
      node,
      kernel,
      log,
      version: VERSION,
      datastore: store,
      runDir: flags.runDir,
      stateDir: flags.stateDir,
      namespace: flags.namespace,
      policy: flags.policy,
      addresses: flags.addresses,
      outgoing: flags.outgoing,
      drain: flags.drain,
      ...(flags.mtu === undefined ? {} : { mtu: flags.mtu }),
      services: { settings: flags.serviceSettings, kernel: kernel.services },
      ...(flags.flowSettings === undefined
        ? {}
        : { flows: { settings: flags.flowSettings, kernel: kernel.flows, reports: DENY_REPORTS } }),
    }),
  );
  const times = new CniTimes();
  const server = new CniServer({
    socketPath: join(flags.runDir, 'agent.sock'),
    handlers: cniHandlers({
      pods: agent.pods,
      unreadiness: () => agent.unreadiness(),
      addressProblem: () => agent.ipam.whyNoAddress(),
      events: agent.podEvents,
      log: log.child({ loop: 'cni' }),
    }),
    fallback: flowListener(node, agent.flows, releaseListener(agent.releases())),
    onFault: (error) => log.error({ err: error }, 'A CNI call met a fault of ours'),
    onAnswer: ({ environment }, { isDone, error }, duration) => {
      times.observe(environment.get('CNI_COMMAND'), isDone, duration / 1000);
      const call = {
        command: environment.get('CNI_COMMAND'),
        container: environment.get('CNI_CONTAINERID'),
        milliseconds: Math.round(duration * 1000) / 1000,
      };
      if (isDone) log.debug(call, 'Answered a CNI call');
      else log.warn({ ...call, problem: error?.message }, 'Refused a CNI call');
    },
  });
  const health =
    flags.healthAddress &&
    (await serveHealth(
      flags.healthAddress,
      () => agent.readiness(),
      () => agent.metrics(times),
    ));
  await startable(`listen on ${join(flags.runDir, 'agent.sock')}`, () => server.listen());
  if (flags.hostEtcDir !== undefined) writeHostFiles(flags.hostEtcDir, log);
  log.info({ node, datastore: display }, 'Started');
  const served = agent.run().then(() => {
    const { nodeInfo } = agent.cluster.get('nodes', node)?.status ?? {};
    install(flags, nodeInfo?.['containerRuntimeVersion'], log);
  });
  await Promise.race([stopped, served.then(() => stopped)]);
  health?.close();
  health?.closeAllConnections();
  await server.close();
  await agent.stop();
  await store.close();
}

/** Without Kubernetes nobody else says that this node is there. @throws UserError */
async function open(
  { datastore, kubeconfig, nodeAddress, namespace }: Options,
  node: string,
  log: Logger,
): Promise<OpenedDatastore> {
  const config = kubeconfig ?? process.env['KUBECONFIG'];
  const opened = await openDatastore(datastore, {
    warn: (sentence) => log.warn(sentence),
    ...(config === undefined ? {} : { kubeconfig: config }),
  });
  if (opened.isKubernetes) return opened;
  await startable('register this node', async () => {
    await ensureNamespaces(opened.store, ['default', namespace]);
    await registerNode(opened.store, node, nodeAddress);
  });
  return opened;
}

/** @throws UserError naming the first feature without which nothing works */
function checkKernel(log: Logger): void {
  const reports = probeFeatures();
  for (const sentence of describeMissing(reports.filter(({ isRequired }) => !isRequired))) log.warn(sentence);
  const [first] = describeMissing(reports.filter(({ isRequired }) => isRequired));
  if (first !== undefined) throw new UserError(first);
  const loose = looseReversePath();
  if (loose !== undefined) log.warn(loose);
}

async function startable<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new UserError(`Cannot ${what}: ${messageOf(error)}`, 1, { cause: error });
  }
}

/** Whatever hangs: a stopped agent costs nothing, one that does not end holds up its successor. */
async function within(limit: number, work: Promise<void>, log: Logger): Promise<void> {
  const late = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), limit).unref());
  if ((await Promise.race([work, late])) === 'late')
    log.warn(`Stopping took longer than ${limit / 1000} s; ending all the same, packets go on as they are`);
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

/** Nothing that pods need: where it cannot be done, it is said. */
function writeHostFiles(etc: string, log: Logger): void {
  try {
    const changed = installHostFiles(etc);
    if (changed.length > 0)
      log.info(
        { changed },
        'Told the network managers of this host to leave our interfaces alone; they read it when reloaded',
      );
  } catch (error) {
    log.warn({ problem: messageOf(error) }, `Cannot write files for network managers below "${etc}"`);
  }
}

/** Last of all: runtimes take the conflist as the sign that the node can serve pods. The plugin that it names comes first. */
function install(options: Options, runtime: string | undefined, log: Logger): void {
  const { cniBinDir, cniConfDir, runDir, stateDir, cniVersion, mtu } = options;
  const plugin = cniBinDir === undefined ? undefined : installPlugin(cniBinDir, join(root, 'dist/cni/tortie'));
  if (cniBinDir !== undefined) log.debug(installLoopback(cniBinDir));
  const conflist =
    cniConfDir === undefined
      ? undefined
      : installConflist(cniConfDir, {
          socketPath: join(runDir, 'agent.sock'),
          cniVersion: cniVersion ?? runtimeCniVersion(runtime),
          recordPath: join(stateDir, 'conflist.json'),
          asked: new Set([...(cniVersion === undefined ? [] : ['cniVersion']), ...(mtu === undefined ? [] : ['mtu'])]),
          ...(mtu === undefined ? {} : { mtu }),
        });
  const changed = [plugin, conflist?.path].filter((path) => path !== undefined);
  if (changed.length > 0) log.info({ changed, runtime }, 'Installed the CNI plugin');
  if (conflist?.aside !== undefined)
    log.warn(
      conflist.aside,
      `Replaced the conflist: ${conflist.aside.why}; what stood there is in ${conflist.aside.path}`,
    );
}

/** What of the flags has to be understood first. @throws UserError */
interface Options
  extends Omit<AgentFlags, 'cniVersion' | 'mtu' | 'healthAddress' | 'nodeAddress' | keyof PodLimitFlags> {
  readonly healthAddress?: HealthAddress;
  readonly policy: PolicySettings;
  readonly addresses: AddressSettings;
  readonly serviceSettings: ServiceSettings;
  readonly outgoing: OutgoingSettings;
  readonly drain: DrainSettings;
  readonly flowSettings?: FlowSettings;
  readonly cniVersion?: CniVersion;
  readonly mtu?: number;
  /** One a family at most. */
  readonly nodeAddress: readonly string[];
}

function parseNodeAddress(text = ''): readonly string[] {
  const addresses = text === '' ? [] : text.split(',').map((each) => tryParseAddress(each.trim()));
  const families = addresses.map((address) => address?.family);
  if (families.includes(undefined) || new Set(families).size < families.length)
    throw new UserError(
      `Cannot use --node-address "${text}": expected one address a family, as 192.0.2.1,2001:db8::1`,
      2,
    );
  return addresses.filter((address) => address !== undefined).map(formatAddress);
}

function parseOptions({
  cniVersion,
  mtu,
  podTunnels,
  podBgp,
  podConnections,
  healthAddress,
  nodeAddress,
  ...flags
}: AgentFlags): Options {
  if (cniVersion !== 'auto' && !isCniVersion(cniVersion))
    throw new UserError(`Cannot use --cni-version "${cniVersion}": expected auto, ${CNI_VERSIONS.join(', ')}`, 2);
  const octets = Number(mtu);
  if (mtu !== 'auto' && !(Number.isInteger(octets) && octets >= MIN_MTU && octets <= MAX_MTU))
    throw new UserError(`Cannot use --mtu "${mtu}": expected auto, or ${MIN_MTU} to ${MAX_MTU}`, 2);
  const flowSettings = parseFlowFlags(flags);
  return {
    ...flags,
    addresses: addressSettings(flags),
    serviceSettings: parseServiceFlags(flags),
    ...(healthAddress === undefined ? {} : { healthAddress: parseHealthAddress(healthAddress, '--health-address') }),
    policy: { ...policySettings(flags), ...podLimitsOf({ podTunnels, podBgp, podConnections }) },
    outgoing: parseNatFlags(flags),
    drain: parseDrainFlags(flags),
    ...(flowSettings === undefined ? {} : { flowSettings }),
    nodeAddress: parseNodeAddress(nodeAddress),
    ...(cniVersion === 'auto' ? {} : { cniVersion }),
    ...(mtu === 'auto' ? {} : { mtu: octets }),
  };
}
