/** The running lab as the tour looks at it: places to run commands in, the supervisor's status, the matrix. */
import { UserError } from '../../errors.js';
import { run } from '../command.js';
import { callLab, type LabStatus, type LinkRequest, type ProcessRequest, type SandboxStatus } from '../control.js';
import { endpointsOf, findPlace, rackOf } from '../devices.js';
import type { Rack } from '../rack.js';
import { probe, type Endpoint, type Matrix } from '../reachability.js';
import { runAt } from '../router-view.js';
import { labPaths, type LabRecord } from '../state-dir.js';

export class LabView {
  readonly rack: Rack;

  constructor(readonly record: LabRecord) {
    this.rack = rackOf(record);
  }

  status(): Promise<LabStatus> {
    return callLab<LabStatus>(this.record.name, 'GET', '/v1/status');
  }

  async endpoints(): Promise<readonly Endpoint[]> {
    return endpointsOf(this.rack, await this.status());
  }

  /** What a command prints when it is run on a node, router, outside host or in a pod. */
  async output(where: string, ...argv: readonly string[]): Promise<string> {
    return runAt(await findPlace(this.record.name, where), argv);
  }

  /** kubectl, as somebody on this machine would run it. */
  kubectl(args: readonly string[], input?: string): Promise<string> {
    return run(['kubectl', ...args], input, {
      env: { ...process.env, KUBECONFIG: labPaths(this.record.name).kubeconfig },
    });
  }

  async matrix(): Promise<Matrix> {
    return probe(await this.endpoints(), { port: { port: 80, transport: 'TCP' }, families: [4, 6] });
  }

  async link(request: LinkRequest): Promise<void> {
    await callLab(this.record.name, 'POST', '/v1/link', request);
  }

  async process(request: ProcessRequest): Promise<void> {
    await callLab(this.record.name, 'POST', '/v1/process', request);
  }

  async restartPod(namespace: string, name: string): Promise<void> {
    await callLab(this.record.name, 'POST', '/v1/restart-pod', { namespace, name });
  }

  /** The first pod on a node, or on any node but that. */
  async pod(where: (pod: SandboxStatus) => boolean): Promise<SandboxStatus> {
    const { pods } = await this.status();
    const pod = pods.find((candidate) => candidate.state === 'Running' && candidate.ips.length > 0 && where(candidate));
    if (pod === undefined)
      throw new UserError(
        'Cannot go on: expected a running pod; the lab has ' +
          `${pods.map((each) => `${each.namespace}/${each.name} (${each.state})`).join(', ') || 'none'}`,
      );
    return pod;
  }
}

export const podName = (pod: SandboxStatus): string => `${pod.namespace}/${pod.name}`;
export const ipOf = (pod: { readonly ips: readonly string[] }, family: 4 | 6): string =>
  pod.ips.find((ip) => ip.includes(':') === (family === 6)) ?? '';
