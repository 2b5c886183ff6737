/**
 * One pod on one node, from the moment it is bound until nothing is left of it: what a kubelet's pod worker does.
 *
 *   start: sandbox (CNI ADD, tried again with growing pauses) -> workload -> Running -> [annotation asks: Succeeded or Failed]
 *   end:   workload ends -> CNI DEL (until it succeeds) -> namespace goes -> the API object is finalised
 *
 * One loop per pod, woken by whatever changes; it never needs the API server to go on. What it wants published is published
 * when the server can be reached, newest state only.
 */
import type { Pod, PodPhase } from '../api/core.js';
import { messageOf } from '../errors.js';
import type { CniRuntime } from './cni-runtime.js';
import type { SandboxStatus } from './control.js';
import type { PodState } from './pod-status.js';
import { ProbeRun, probeTargets, type ProbeOutcome } from './probe-run.js';
import { createSandbox, removeSandbox, type Sandbox } from './sandbox.js';
import { declaredPorts, Workload } from './workload.js';

/** The way out of a worker: to the API server and to whoever reads events. */
export interface PodReports {
  publish(pod: Pod, state: PodState): void;
  event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Nothing is left of it here: the API object may go. Repeats by itself until the server has heard. */
  finalise(pod: Pod): void;
}

/** What a worker knows of its node. */
export interface PodPlace {
  readonly lab: string;
  readonly node: string;
  readonly netns: string;
  readonly ips: readonly string[];
  readonly runtime: CniRuntime;
}

/** A pod with this annotation ends by itself, in the phase it names, as soon as it has run. */
export const PHASE_ANNOTATION = 'tortie.dev/lab-phase';

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 10_000;

export class PodWorker {
  private sandbox: Sandbox | undefined;
  private workload: Workload | ProbeRun | undefined;
  private outcome: ProbeOutcome | undefined;
  private phase: PodPhase = 'Pending';
  private isReady = false;
  private problem: PodState['problem'];
  private isTerminating = false;
  private isRestartWanted = false;
  private isStopped = false;
  private readonly startedAt = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  private wake: () => void = () => undefined;
  private published = '';
  /** Of a finished pod, whose sandbox is gone. */
  private lastIps: readonly string[] = [];
  /** Settles when nothing is left of the pod. */
  readonly done: Promise<void>;

  constructor(
    private pod: Pod,
    private readonly place: PodPlace,
    private readonly reports: PodReports,
  ) {
    this.done = this.run();
  }

  get current(): Sandbox | undefined {
    return this.sandbox;
  }

  get status(): SandboxStatus {
    const { namespace = 'default', name } = this.pod.metadata;
    const netns = this.pod.spec.hostNetwork === true ? this.place.netns : (this.sandbox?.netns ?? '');
    return {
      namespace,
      name,
      node: this.place.node,
      netns,
      ips: this.ips(),
      state: this.isTerminating ? 'Terminating' : this.phase,
      ...(this.problem === undefined ? {} : { problem: this.problem.message }),
    };
  }

  /** What a watch says of the pod; it keeps less of the spec than we have read, and a pod's spec does not change. */
  update(pod: Pod): void {
    this.pod = { ...pod, spec: this.pod.spec };
    if (pod.metadata.deletionTimestamp !== undefined) this.terminate();
  }

  /** The pod is to go: deleted, or its object has already gone. */
  terminate(): void {
    this.isTerminating = true;
    this.wake();
  }

  /** A new sandbox for the same pod, as a kubelet makes when it finds the old one dead. */
  restart(): void {
    this.isRestartWanted = true;
    this.wake();
  }

  /** The lab ends: no more attempts, processes end, namespaces are left to the sweeper. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.wake();
    await this.workload?.stop();
  }

  /** CNI CHECK; a failure is told, not acted upon, because what is wrong may be the agent alone. */
  async check(): Promise<void> {
    const { sandbox } = this;
    if (sandbox === undefined || this.phase !== 'Running' || this.isTerminating) return;
    try {
      await this.place.runtime.check(sandbox.attachment);
      if (this.problem?.reason === 'NetworkCheckFailed') this.setProblem(undefined);
    } catch (error) {
      if (this.sandbox === sandbox && !this.isTerminating)
        this.setProblem({ reason: 'NetworkCheckFailed', message: messageOf(error) });
    }
  }

  private async run(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (!this.isStopped) {
      try {
        if (this.isTerminating) {
          await this.tearDown();
          this.reports.finalise(this.pod);
          return;
        }
        if (this.isRestartWanted) await this.tearDown();
        this.isRestartWanted = false;
        if (this.phase === 'Pending') await this.bringUp();
        if (this.outcome !== undefined && this.phase === 'Running') await this.end(this.outcome.phase);
        pause = FIRST_PAUSE;
        await this.woken();
      } catch (error) {
        this.setProblem({
          reason: this.isTerminating ? 'FailedKillPod' : 'FailedCreatePodSandBox',
          message: messageOf(error),
        });
        await this.woken(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE);
      }
    }
  }

  private async bringUp(): Promise<void> {
    this.publish();
    const { pod, place } = this;
    if (pod.spec.hostNetwork !== true) this.sandbox ??= await createSandbox(place.lab, pod, place.runtime);
    this.setProblem(undefined);
    const asked = pod.metadata.annotations?.[PHASE_ANNOTATION];
    if (asked === 'Succeeded' || asked === 'Failed') {
      this.phase = 'Running';
      this.publish();
      await this.end(asked);
      return;
    }
    if (this.isTerminating) return;
    this.phase = 'Running';
    const targets = probeTargets(pod);
    if (targets !== undefined) {
      this.startProbe(targets);
      return;
    }
    this.workload = new Workload(
      {
        name: `${pod.metadata.namespace ?? 'default'}/${pod.metadata.name}`,
        netns: this.sandbox?.netns ?? place.netns,
        ports: declaredPorts(pod),
      },
      (isReady, problem) => {
        this.isReady = isReady;
        this.setProblem(problem === undefined ? undefined : { reason: 'CrashLoopBackOff', message: problem });
        this.publish();
      },
    );
    this.workload.start();
    this.publish();
  }

  private startProbe(targets: string): void {
    this.isReady = true;
    this.workload = new ProbeRun(this.sandbox?.netns ?? this.place.netns, targets, (outcome) => {
      this.outcome = outcome;
      this.wake();
    });
    this.publish();
  }

  /** A kubelet takes the sandbox of a finished pod down at once; its addresses stay in the status. */
  private async end(phase: 'Succeeded' | 'Failed'): Promise<void> {
    const ips = this.ips();
    await this.tearDown();
    this.phase = phase;
    this.lastIps = ips;
    this.publish();
  }

  private async tearDown(): Promise<void> {
    this.isReady = false;
    await this.workload?.stop();
    this.workload = undefined;
    if (this.sandbox !== undefined) await removeSandbox(this.sandbox, this.place.runtime);
    this.sandbox = undefined;
    if (!this.isTerminating) this.phase = 'Pending';
  }

  private ips(): readonly string[] {
    if (this.pod.spec.hostNetwork === true) return this.place.ips;
    return this.sandbox?.ips ?? this.lastIps;
  }

  private setProblem(problem: PodState['problem']): void {
    if (problem?.message === this.problem?.message) return;
    this.problem = problem;
    if (problem !== undefined) this.reports.event(this.pod, 'Warning', problem.reason, problem.message);
    this.publish();
  }

  /** Only what differs from the last time. */
  private publish(): void {
    if (this.isTerminating) return;
    const state: PodState = {
      phase: this.phase,
      ips: this.ips(),
      hostIps: this.place.ips,
      isReady: this.isReady,
      restarts: this.workload?.restarts ?? 0,
      startedAt: this.startedAt,
      ...(this.outcome === undefined ? {} : { message: this.outcome.message }),
      ...(this.problem === undefined ? {} : { problem: this.problem }),
    };
    const text = JSON.stringify(state);
    if (text === this.published) return;
    this.published = text;
    this.reports.publish(this.pod, state);
  }

  /** Settles at the next change, or after `limit` milliseconds. */
  private woken(limit?: number): Promise<void> {
    if (this.isStopped || this.isRestartWanted || (this.isTerminating && limit === undefined)) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = limit === undefined ? undefined : setTimeout(resolve, limit);
      this.wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
