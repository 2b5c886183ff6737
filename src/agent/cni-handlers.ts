/** CNI commands in the agent's terms: what the runtime asks, answered by the pod network. */
import { AddressRefusedError, NoAddressError } from '@tortie/ipam';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { CniError } from '../cni/cni-error.js';
import type { CniAddRequest, CniArguments, CniHandlers } from '../cni/contract.js';
import { portMappingsOf } from '../cni/port-mappings.js';
import { attachmentResult, type CniResult } from '../cni/result.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { PodEvents } from './pod-events.js';
import { FormerPodError, TryAgainError } from './pod-identity.js';
import type { PlumbedEndpoint } from './endpoint-dataplane.js';
import { ForeignAttachmentError, type PodNetwork, type PodRequest } from './pod-network.js';

/** Gateways of every pod: answered by the host side of its veth (docs/node-view.md). */
const GATEWAYS = { 4: parseAddress('169.254.1.1'), 6: parseAddress('fe80::ecee:eeff:feee:eeee') } as const;
const DEFAULT_ROUTES = { 4: parsePrefix('0.0.0.0/0'), 6: parsePrefix('::/0') } as const;

/** After so many seconds an ADD that still waits says for what, and then again. */
const SAY_AFTER = [3, 15];

/** How long a call waits for an agent that is starting. */
const READY_WAIT = 10_000;
const READY_POLL = 50;

export interface CniHandlerOptions {
  readonly pods: PodNetwork;
  /** Why calls cannot be served now. */
  readonly unreadiness: () => string | undefined;
  /** Why no pod at all could get an address; undefined while some could. */
  readonly addressProblem: () => string | undefined;
  /** Tells people beside their pod. */
  readonly events: Pick<PodEvents, 'attached' | 'attachFailed' | 'attachWaits'>;
  readonly log: Logger;
}

export function cniHandlers({ pods, unreadiness, addressProblem, events, log }: CniHandlerOptions): CniHandlers {
  const ready = async (code: 'tryAgainLater' | 'notAvailable' = 'tryAgainLater'): Promise<void> => {
    const until = Date.now() + READY_WAIT;
    for (let reason = unreadiness(); reason !== undefined; reason = unreadiness()) {
      if (Date.now() >= until) throw new CniError(code, `Cannot serve pods yet: the agent is ${reason}`);
      await new Promise((resolve) => setTimeout(resolve, READY_POLL));
    }
  };
  return {
    add: async (request) => {
      let waitsFor = 'the agent, which starts';
      const pod: PodRequest = {
        ...podRequest(request),
        hostPorts: portMappingsOf(request.config),
        onWait: (what) => (waitsFor = what),
      };
      const reminders = SAY_AFTER.map((seconds) =>
        setTimeout(() => events.attachWaits(pod, waitsFor, seconds), seconds * 1000).unref(),
      );
      try {
        await ready();
        const { addresses, endpoint } = await pods.add(pod);
        events.attached(pod);
        log.info(
          {
            pod: `${pod.namespace}/${pod.pod}`,
            container: pod.containerId,
            addresses,
            interface: endpoint.hostInterface,
          },
          'Attached',
        );
        return resultOf(pod, addresses, endpoint);
      } catch (error) {
        events.attachFailed(pod, error);
        throw cniErrorOf(error);
      } finally {
        for (const reminder of reminders) clearTimeout(reminder);
      }
    },
    del: async ({ containerId, interfaceName, config, arguments: { podNamespace, podName } }) => {
      await ready();
      const released = await pods.remove({
        network: config.name,
        containerId,
        interfaceName,
        ...(podNamespace === undefined ? {} : { namespace: podNamespace }),
        ...(podName === undefined ? {} : { pod: podName }),
      });
      if (released !== undefined)
        log.info({ pod: `${released.namespace}/${released.pod}`, container: containerId }, 'Detached');
    },
    check: async (request) => {
      await ready();
      const pod = podRequest(request);
      const { problems, addresses, endpoint } = await pods.check(pod);
      if (endpoint === undefined || problems.length > 0)
        throw new CniError(
          addresses.length === 0 ? 'unknownContainer' : 'ioFailure',
          `Pod "${pod.namespace}/${pod.pod}" is not attached as it should be: ${problems[0] ?? 'its interface is missing'}`,
          problems.join('\n'),
        );
      return resultOf(pod, addresses, endpoint);
    },
    status: async () => {
      // The kubelet marks every pod of the node unready on one bad answer, so an agent that starts waits as ADD would.
      await ready('notAvailable');
      const problem = addressProblem();
      if (problem !== undefined) throw new CniError('notAvailable', problem);
    },
    gc: async ({ config, valid }) => {
      await ready();
      const collected = await pods.collect(config.name, valid);
      if (collected > 0)
        log.info({ collected, network: config.name }, 'Removed attachments that the runtime no longer has');
    },
  };
}

function podRequest(
  request: Pick<CniAddRequest, 'containerId' | 'interfaceName' | 'netns' | 'config' | 'signal'> & {
    readonly arguments: CniArguments;
  },
): PodRequest {
  const { podNamespace, podName, podUid } = request.arguments;
  const missing = [
    ...(podNamespace === undefined ? ['K8S_POD_NAMESPACE'] : []),
    ...(podName === undefined ? ['K8S_POD_NAME'] : []),
  ];
  if (podNamespace === undefined || podName === undefined)
    throw new CniError(
      'invalidEnvironment',
      `Cannot attach container "${request.containerId}": CNI_ARGS lacks ${missing.join(' and ')}; expected the ` +
        `pod's namespace and name, as Kubernetes' runtimes set them`,
    );
  return {
    network: request.config.name,
    containerId: request.containerId,
    interfaceName: request.interfaceName,
    netns: request.netns,
    namespace: podNamespace,
    pod: podName,
    signal: request.signal,
    ...(podUid === undefined || podUid === '' ? {} : { uid: podUid }),
    ...(request.config.mtu === undefined ? {} : { mtu: request.config.mtu }),
  };
}

function resultOf(pod: PodRequest, addresses: readonly string[], endpoint: PlumbedEndpoint): CniResult {
  const parsed = addresses.map(parseAddress);
  return attachmentResult({
    host: { name: endpoint.hostInterface, mac: endpoint.hostMac, mtu: endpoint.mtu },
    pod: { name: pod.interfaceName, mac: endpoint.podMac, mtu: endpoint.mtu, netns: pod.netns },
    addresses: parsed,
    routes: parsed.map(({ family }) => ({ prefix: DEFAULT_ROUTES[family], via: GATEWAYS[family] })),
  });
}

/** Which failures pass by themselves, in the specification's codes. */
function cniErrorOf(error: unknown): Error {
  if (error instanceof CniError) return error;
  if (error instanceof FormerPodError) return new CniError('unknownContainer', error.message, '', { cause: error });
  if (error instanceof ForeignAttachmentError)
    return new CniError('invalidEnvironment', error.message, '', { cause: error });
  if (error instanceof TryAgainError || error instanceof NoAddressError || error instanceof AddressRefusedError)
    return new CniError('tryAgainLater', error.message, '', { cause: error });
  return new CniError('ioFailure', messageOf(error), '', { cause: error });
}
