/**
 * Address translation of this node: pools, nodes and pods into the engine that makes its rules, the rules into the kernel.
 *
 * A host port of UDP or SCTP that comes, goes or moves leaves connections behind that know nothing of it: they are forgotten once the
 * rules stand. TCP ends its own.
 */
import type { Owner } from '@tortie/ipam';
import type { Family } from '@tortie/policy/ruleset';
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import type { Node } from '../api/core.js';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { PortForward } from '../nat/host-ports.js';
import { NatEngine, type NatEvent } from '../nat/nat-engine.js';
import type { OutgoingSettings } from '../nat/nat-rules.js';
import type { TranslationKernel } from './kernel.js';
import { PolicyLoop, type NetfilterFailure } from './policy-loop.js';

export interface NatLoopOptions {
  readonly cluster: Cluster;
  readonly families: readonly Family[];
  readonly kernel: TranslationKernel;
  readonly outgoing: OutgoingSettings;
  readonly podInterfacePrefix: string;
  /** Everybody who lives here, in the order in which they came. */
  readonly endpoints: () => readonly { readonly owner: Owner; readonly addresses: readonly string[] }[];
  readonly log: Logger;
  readonly onHealth: () => void;
}

export class NatLoop {
  private readonly engine: NatEngine;
  private readonly rules: PolicyLoop<NatEvent>;
  /** "udp 53" */
  private readonly movedPorts = new Set<string>();
  private lastProblems = '';

  constructor(private readonly options: NatLoopOptions) {
    const { families, outgoing, podInterfacePrefix, kernel, log, onHealth } = options;
    this.engine = new NatEngine({
      families,
      outgoing,
      podInterfacePrefix,
      onForwards: (forwards) => this.noteMoved(forwards),
    });
    this.rules = new PolicyLoop(this.engine, kernel.netfilter, log, onHealth, 'address translation');
  }

  /** Call once everything has been listed. Resolves when the kernel holds it; rejects when the applier broke, which repeats by itself. */
  async start(): Promise<void> {
    const { cluster } = this.options;
    this.takePools();
    for (const [name, node] of cluster.all('nodes')) this.takeNode(name, node);
    cluster.onChange(({ type, kind, object, isStatusOnly }) => {
      if (kind === 'ipPools' && isStatusOnly !== true) this.takePools();
      if (kind === 'nodes') this.takeNode(object.metadata.name, type === 'delete' ? undefined : (object as Node));
    });
    this.takeEndpoints();
    await this.rules.start();
    this.forget();
  }

  stop(): void {
    this.rules.stop();
  }

  /** Pods came or went. */
  changed(): void {
    this.takeEndpoints();
    void this.settled().catch(() => undefined); // the loop has logged it and repeats it
  }

  /** Resolves when the kernel holds what was taken in before, with what it refuses of it. */
  async settled(): Promise<readonly NetfilterFailure[]> {
    const failures = await this.rules.settled();
    this.forget();
    return failures;
  }

  /** What cannot be had, in sentences. */
  problems(): readonly string[] {
    return [...this.rules.problems(), ...this.engine.problems()];
  }

  private takePools(): void {
    const pools = [...this.options.cluster.all('ipPools').values()].map(({ spec }) => spec);
    this.rules.take({ type: 'pools', pools });
  }

  private takeNode(name: string, node: Node | undefined): void {
    const addresses = (node?.status?.addresses ?? []).flatMap(({ address }) => {
      const parsed = tryParseAddress(address);
      return parsed === undefined ? [] : [formatAddress(parsed)];
    });
    this.rules.take({ type: 'node', name, addresses });
  }

  private takeEndpoints(): void {
    const endpoints = this.options.endpoints().map(({ owner, addresses }) => ({
      pod: `${owner.namespace}/${owner.pod}`,
      addresses,
      hostPorts: owner.hostPorts ?? [],
    }));
    this.rules.take({ type: 'endpoints', endpoints });
    const problems = this.engine.problems();
    if (problems.join('\n') === this.lastProblems) return;
    this.lastProblems = problems.join('\n');
    for (const problem of problems) this.options.log.warn(problem);
    this.options.onHealth();
  }

  private noteMoved(forwards: readonly PortForward[]): void {
    for (const { protocol, hostPort } of forwards)
      if (protocol !== 'tcp') this.movedPorts.add(`${protocol} ${hostPort}`);
  }

  private forget(): void {
    if (this.movedPorts.size === 0) return;
    const ports = new Set(this.movedPorts);
    this.movedPorts.clear();
    const { kernel, log } = this.options;
    const own = kernel.nodeAddresses();
    kernel
      .forgetStaleConnections(
        ({ protocol, destination, destinationPort }) =>
          ports.has(`${protocol} ${destinationPort}`) && own.has(destination),
      )
      .catch((error: unknown) => {
        for (const port of ports) this.movedPorts.add(port);
        log.warn({ problem: messageOf(error) }, 'Cannot forget connections to host ports; trying again later');
      });
  }
}
