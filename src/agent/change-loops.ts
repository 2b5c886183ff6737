/** This node's part in Changes (src/change): what its loops and its copy of the cluster are to them. */
import type { Change } from '../api/change.js';
import type { KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { CHANGE_KINDS } from '../change/overlay.js';
import { RolloutLoop } from '../change/rollout-loop.js';
import type { SessionVitals, Vitals } from '../change/trial.js';
import { TrialLoop } from '../change/trial-loop.js';
import type { AgentOptions } from './agent-options.js';
import type { BgpdSummary } from './bgp-loop.js';
import { NodeGuards } from './node-guards.js';
import type { NodeLoops } from './node-loops.js';
import type { StatusLoops } from './status-loops.js';

export class ChangeLoops {
  readonly trial: TrialLoop;
  readonly rollout: RolloutLoop;
  readonly guards: NodeGuards;

  constructor(
    { datastore, log, node, stateDir }: AgentOptions,
    private readonly loops: NodeLoops,
    status: StatusLoops,
    isReady: () => boolean,
  ) {
    const { cluster } = loops;
    const changes = (): readonly Change[] => [...cluster.all('changes').values()];
    this.trial = new TrialLoop({
      node,
      stateDir,
      layers: loops.layers,
      changes,
      isListed: () => cluster.isListed('changes'),
      isReady,
      vitals: () => this.vitals(),
      objects: () => new Map(cluster.kinds.map((kind) => [kind, this.plainOf(kind)])),
      addressOfPod: (namespace, name) => cluster.get('pods', name, namespace)?.status?.podIPs?.[0]?.ip,
      datastore,
      record: (happening) => status.events.record(happening),
      onReport: () => status.writer.changed(),
      log: log.child({ loop: 'change' }),
    });
    this.guards = new NodeGuards({
      stateDir,
      record: (happening) => {
        // A thousand nodes hold the same.
        if (status.election.isLeader()) status.events.record(happening);
      },
      onReport: () => status.writer.changed(),
      log: log.child({ loop: 'change' }),
    });
    this.rollout = new RolloutLoop({
      changes,
      nodes: () => [...cluster.all('nodes').keys()],
      isLeader: () => status.election.isLeader(),
      datastore,
      log: log.child({ loop: 'change' }),
    });
  }

  /** What an agent before this one left. Call before anything is watched. @throws Error when it cannot be read */
  async open(): Promise<void> {
    await this.trial.open();
    const objects = await this.guards.open();
    if (objects !== undefined) this.loops.gate.restore(objects);
  }

  stop(): void {
    this.guards.stop();
    this.trial.stop();
    this.rollout.stop();
  }

  private plainOf(kind: KindName): readonly KubeObject[] {
    return CHANGE_KINDS.includes(kind) ? this.loops.layers.plainOf(kind) : [...this.loops.cluster.all(kind).values()];
  }

  private vitals(): Omit<Vitals, 'probes'> {
    const { bgp, ipam, policy, routes } = this.loops;
    const { stateProblem, summary } = bgp.status();
    const noAddress = ipam.whyNoAddress();
    return {
      bgpProblem: stateProblem,
      sessions: summary?.peers.map(vitalsOf),
      problems: [...policy.problems(), ...routes.problems(), ...(noAddress === undefined ? [] : [noAddress])],
    };
  }
}

function vitalsOf({ name, isEstablished, families }: BgpdSummary['peers'][number]): SessionVitals {
  const counts = Object.values(families);
  return {
    name,
    isEstablished,
    accepted: counts.reduce((sum, { accepted }) => sum + accepted, 0),
    told: counts.reduce((sum, { advertised }) => sum + advertised, 0),
  };
}
