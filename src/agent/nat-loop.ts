/**
 * Address translation of this node: pools, nodes and pods into the engine that makes its rules, the rules into the kernel.
 *
 * A host port of UDP or SCTP that comes, goes or moves leaves connections behind that know nothing of it: they are forgotten once the
 * rules stand (stale-connections.ts). TCP ends its own.
 */
import type { Owner } from '@tortie/ipam';
import type { Family } from '@tortie/policy/ruleset';
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import type { Node } from '../api/core.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Logger } from '../log.js';
import { NatEngine, type NatEvent } from '../nat/nat-engine.js';
import type { OutgoingSettings } from '../nat/nat-rules.js';
import type { TranslationKernel } from './kernel.js';
import { PolicyLoop, type NetfilterFailure, type RuleSource } from './policy-loop.js';
import { StaleConnections } from './stale-connections.js';

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
  /** By "udp 53". */
  private readonly stale: StaleConnections<true>;
  private lastProblems = '';

  constructor(private readonly options: NatLoopOptions) {
    const { families, outgoing, podInterfacePrefix, kernel, log, onHealth } = options;
    this.engine = new NatEngine({ families, outgoing, podInterfacePrefix });
    this.stale = new StaleConnections({ forget: (ports) => this.forget(ports), log });
    this.rules = new PolicyLoop(this.noting(), kernel.netfilter, log, onHealth, 'address translation');
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
  }

  stop(): void {
    this.rules.stop();
    this.stale.stop();
  }

  /** Pods came or went. */
  changed(): void {
    this.takeEndpoints();
    void this.settled().catch(() => undefined); // the loop has logged it and repeats it
  }

  /** Resolves when the kernel holds what was taken in before, with what it refuses of it. */
  settled(): Promise<readonly NetfilterFailure[]> {
    return this.rules.settled();
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

  private noting(): RuleSource<NatEvent> {
    const { engine, stale } = this;
    return {
      apply: (event) => engine.apply(event),
      ruleset: () => engine.ruleset(),
      flush: () => {
        const delta = engine.flush();
        for (const { protocol, hostPort } of engine.takeMoved())
          if (protocol !== 'tcp') stale.note(`${protocol} ${hostPort}`, true);
        return delta;
      },
      stands: () => stale.stand(),
    };
  }

  private forget(ports: ReadonlyMap<string, true>): Promise<number> {
    const { kernel } = this.options;
    const own = kernel.nodeAddresses();
    return kernel.forgetStaleConnections(
      ({ protocol, destination, destinationPort }) =>
        ports.has(`${protocol} ${destinationPort}`) && own.has(destination),
    );
  }
}
