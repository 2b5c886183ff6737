/** The status a kubelet publishes for a pod, from what its stand-in knows of it. Pure. */
import type { ContainerStatus, Pod, PodCondition, PodPhase, PodStatus } from '../api/core.js';

/** What the pod worker knows. */
export interface PodState {
  readonly phase: PodPhase;
  /** Empty until the sandbox has its addresses. */
  readonly ips: readonly string[];
  readonly hostIps: readonly string[];
  readonly isReady: boolean;
  readonly restarts: number;
  readonly startedAt: string;
  /** Of a container that has ended, what it left behind. */
  readonly message?: string;
  /** Why it is not further; shown in conditions and by `kubectl describe`. */
  readonly problem?: { readonly reason: string; readonly message: string };
}

export function podStatus(pod: Pod, state: PodState): PodStatus {
  const isOver = state.phase === 'Succeeded' || state.phase === 'Failed';
  const hasSandbox = state.ips.length > 0 && !isOver;
  const waiting = state.problem ?? { reason: 'ContainerCreating', message: '' };
  const notReady = isOver
    ? { reason: state.phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed', message: '' }
    : { reason: 'ContainersNotReady', message: state.problem?.message ?? '' };
  const condition = (type: string, holds: boolean, why: { reason: string; message: string }): PodCondition => ({
    type,
    status: holds ? 'True' : 'False',
    lastProbeTime: null,
    lastTransitionTime: state.startedAt,
    ...(holds ? {} : { reason: why.reason, message: why.message }),
  });
  return {
    phase: state.phase,
    conditions: [
      condition('PodReadyToStartContainers', hasSandbox, waiting),
      condition('Initialized', true, waiting),
      condition('Ready', state.isReady, notReady),
      condition('ContainersReady', state.isReady, notReady),
      condition('PodScheduled', true, waiting),
    ],
    hostIP: state.hostIps[0],
    hostIPs: state.hostIps.map((ip) => ({ ip })),
    ...(state.ips.length === 0 ? {} : { podIP: state.ips[0], podIPs: state.ips.map((ip) => ({ ip })) }),
    startTime: state.startedAt,
    containerStatuses: pod.spec.containers.map(
      (container): ContainerStatus => ({
        name: container.name,
        image: container.image ?? '',
        imageID: '',
        ready: state.isReady,
        started: state.isReady,
        restartCount: state.restarts,
        state: containerState(state, waiting),
      }),
    ),
  };
}

function containerState(
  state: PodState,
  waiting: { readonly reason: string; readonly message: string },
): Readonly<Record<string, unknown>> {
  const { startedAt, message } = state;
  const left = message === undefined ? {} : { message };
  switch (state.phase) {
    case 'Succeeded':
      return { terminated: { exitCode: 0, reason: 'Completed', startedAt, ...left } };
    case 'Failed':
      return { terminated: { exitCode: 1, reason: 'Error', startedAt, ...left } };
    default:
      return state.isReady ? { running: { startedAt: state.startedAt } } : { waiting };
  }
}
