/**
 * The agent's metrics, from what it reports to the cluster anyway (NodeReport) and what CNI calls took. Cardinality is bounded by the code:
 * labels are conditions, address families and CNI commands; never pods, namespaces, policies or addresses.
 */
import type { BlockUsage } from '@tortie/ipam';
import { Histogram, MetricText, plain } from '../prometheus.js';
import type { NodeReport } from './node-status.js';

export interface AgentReading {
  readonly report: NodeReport;
  readonly pods: number;
  /** Of the node's own blocks, by CIDR. */
  readonly usages: readonly { readonly cidr: string; readonly usage: BlockUsage }[];
  /** Kinds whose watch has no connection. */
  readonly lostWatches: number;
}

const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const;
/** Seconds. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20];

export class CniTimes {
  private readonly histograms = new Map(
    COMMANDS.flatMap((command) =>
      ['done', 'refused'].map((outcome) => [
        `${command} ${outcome}`,
        { command, outcome, histogram: new Histogram(BOUNDS) },
      ]),
    ),
  );

  /** A command that CNI does not know is none of ours. */
  observe(command: string | undefined, isDone: boolean, seconds: number): void {
    this.histograms.get(`${command ?? ''} ${isDone ? 'done' : 'refused'}`)?.histogram.observe(seconds);
  }

  addTo(text: MetricText): void {
    text.addHistograms(
      'cni_seconds',
      'What CNI calls took, by command and outcome.',
      [...this.histograms.values()].map(({ command, outcome, histogram }) => [{ command, outcome }, histogram]),
    );
  }
}

export function renderAgentMetrics(
  { report, pods, usages, lostWatches }: AgentReading,
  times: CniTimes,
  addMore: (text: MetricText) => void = () => undefined,
): string {
  const text = new MetricText('tortie_agent_');
  text.addProcess();
  const ofAspects = (count: (aspect: NodeReport['aspects'][number]) => number) =>
    report.aspects.map((aspect) => ({ labels: { condition: aspect.type }, value: count(aspect) }));
  text.add(
    'condition',
    'gauge',
    "1 while this condition of the node's NodeStatus is True.",
    ofAspects(({ problems, warnings = [] }) => (problems.length + warnings.length === 0 ? 1 : 0)),
  );
  text.add(
    'problems',
    'gauge',
    'Problems of a condition: they keep it from True.',
    ofAspects(({ problems }) => problems.length),
  );
  text.add(
    'warnings',
    'gauge',
    'Warnings of a condition.',
    ofAspects(({ warnings = [] }) => warnings.length),
  );
  text.add('pods', 'gauge', 'Pods that have an address of this node.', plain(pods));
  text.add('blocks', 'gauge', 'Blocks that this node owns.', plain(report.blocks.length));
  text.add(
    'addresses',
    'gauge',
    "Addresses of this node's blocks, by state.",
    ([4, 6] as const).flatMap((family) => {
      const own = usages.filter(({ cidr }) => cidr.includes(':') === (family === 6)).map(({ usage }) => usage);
      const sum = (read: (usage: BlockUsage) => number): number => own.reduce((total, usage) => total + read(usage), 0);
      return (['size', 'assigned', 'resting', 'lent', 'kept', 'free'] as const).map((state) => ({
        labels: { family: `ipv${family}`, state },
        value: sum((usage) => usage[state]),
      }));
    }),
  );
  const peers = report.bgp?.peers ?? [];
  text.add('bgp_sessions', 'gauge', 'BGP sessions that this node should have.', plain(peers.length));
  text.add(
    'bgp_sessions_up',
    'gauge',
    'Those of them that are Established.',
    plain(peers.filter(({ state }) => state === 'Established').length),
  );
  text.add('lost_watches', 'gauge', 'Kinds of objects whose watch has no connection.', plain(lostWatches));
  times.addTo(text);
  addMore(text);
  return text.toString();
}
