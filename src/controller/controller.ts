/**
 * `tortie controller`: what has to be done once in a cluster, by one of several processes at a time.
 *
 *   Lease (leader-election.ts) -> the leader: addresses of Services    load-balancer/address-loop.ts
 *                                             what deleted Nodes leave ../agent/node-remains.ts
 *                                             addresses kept for nobody kept-owners.ts
 *
 * Every candidate watches, so that a new leader begins with what it knows. Without any controller pods, routes and policy are as they
 * are; agents clear up after deleted Nodes themselves, and Services wait for their addresses.
 */
import { NodeRemains } from '../agent/node-remains.js';
import { selectorMatches } from '../agent/node-selector.js';
import { parseReserved } from '../agent/reservations.js';
import type { KindName } from '../api/kinds.js';
import { CONTROLLER_LEASE } from '../cluster/controller-lease.js';
import { Cluster } from '../cluster/cluster.js';
import { EventRecorder } from '../cluster/event-recorder.js';
import type { Datastore, Watch } from '../datastore/datastore.js';
import type { Logger } from '../log.js';
import { dryRun } from './dry-run.js';
import { KeptOwners } from './kept-owners.js';
import { LeaderElection, type LeaseTimes } from './leader-election.js';
import { AddressLoop, type AddressLoopOptions } from './load-balancer/address-loop.js';

/** Every kind the controller lists and watches; manifests/base/controller.yaml grants them. */
export const CONTROLLER_KINDS: readonly KindName[] = [
  'services',
  'namespaces',
  'nodes',
  'pods',
  'ipPools',
  'ipReservations',
  'ipamBlocks',
];

export interface ControllerOptions extends Partial<LeaseTimes> {
  readonly datastore: Datastore;
  /** Of the Lease. */
  readonly namespace: string;
  /** Of this very process. */
  readonly identity: string;
  readonly classes: readonly string[];
  readonly assignIPs: AddressLoopOptions['assignIPs'];
  /** Leads at once, beside whoever leads, and writes nothing. */
  readonly isDryRun: boolean;
  readonly log: Logger;
}

/** Of the API server's last answer to a candidate, and of it to anybody: what is longer is worth a restart. */
const SILENCE_LIMIT = 120_000;

export class Controller {
  readonly cluster = new Cluster(CONTROLLER_KINDS);
  readonly addresses: AddressLoop;
  private readonly events: EventRecorder;
  private readonly election: LeaderElection;
  private readonly remains: NodeRemains;
  private readonly keptOwners: KeptOwners;
  private watches: readonly Watch[] = [];
  private isStopped = false;
  /** Kinds that could not be read when it was last told. */
  private ailing = '';

  constructor(private readonly options: ControllerOptions) {
    const { isDryRun, log, namespace, identity } = options;
    const datastore = isDryRun ? dryRun(options.datastore, log) : options.datastore;
    const isLeader = (): boolean => isDryRun || this.election.isLeader();
    this.events = new EventRecorder({
      datastore,
      component: 'tortie-controller',
      instance: identity,
      log: log.child({ loop: 'status' }),
    });
    this.addresses = new AddressLoop({
      cluster: this.cluster,
      datastore,
      isLeader,
      classes: options.classes,
      assignIPs: options.assignIPs,
      matches: selectorMatches,
      parseReserved,
      isDryRun,
      record: (happening) => this.events.record(happening),
      log: log.child({ loop: 'addresses' }),
    });
    this.remains = new NodeRemains({ cluster: this.cluster, datastore, isLeader, log: log.child({ loop: 'nodes' }) });
    this.keptOwners = new KeptOwners({
      cluster: this.cluster,
      datastore,
      isLeader,
      log: log.child({ loop: 'addresses' }),
    });
    this.election = new LeaderElection({
      ...options,
      lease: { namespace, name: CONTROLLER_LEASE },
      identity,
      onElected: () => this.addresses.everything(),
      onLost: () => undefined,
    });
  }

  /** Resolves when it works, or waits to lead. */
  async run(): Promise<void> {
    const { datastore, isDryRun } = this.options;
    this.cluster.onHealth(() => this.reportApi());
    this.watches = CONTROLLER_KINDS.map((kind) => datastore.watch(kind, this.cluster));
    await this.cluster.synced;
    if (this.isStopped) return;
    this.addresses.start();
    this.remains.start();
    this.keptOwners.start();
    if (!isDryRun) this.election.start();
  }

  private reportApi(): void {
    const problems = [...this.cluster.problems()];
    const kinds = problems.map(([kind]) => kind);
    if (kinds.join() === this.ailing) return;
    this.ailing = kinds.join();
    if (problems.length === 0) this.options.log.info('The API server answers');
    else
      this.options.log.warn(
        { kinds, problem: problems[0]?.[1] },
        'Cannot read from the API server; the last state stands',
      );
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.addresses.stop();
    this.remains.stop();
    this.keptOwners.stop();
    this.events.stop();
    await this.election.stop();
    for (const watch of this.watches) watch.stop();
  }

  /** Why it is not ready; undefined when it is. A candidate is. */
  unreadiness(): string | undefined {
    const missing = this.cluster.missing();
    if (missing.length > 0) return `waiting for ${missing.join(', ')} from the API server`;
    const [problem] = this.cluster.problems();
    return problem === undefined ? undefined : `cannot read ${problem[0]}: ${problem[1]}`;
  }

  /** Why it should be started anew; undefined when it should not. */
  deadness(): string | undefined {
    const { silence } = this.election;
    return silence === undefined || silence < SILENCE_LIMIT || this.cluster.problems().size > 0
      ? undefined
      : `no round of the election has ended for ${Math.round(silence / 1000)} s although the API server answers`;
  }

  state(): { readonly isLeader: boolean; readonly leader: string; readonly waitingServices: readonly string[] } {
    return {
      isLeader: this.options.isDryRun || this.election.isLeader(),
      leader: this.election.holder,
      waitingServices: [...this.addresses.waiting].sort(),
    };
  }
}
