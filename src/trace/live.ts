/**
 * What the machine that `tortie trace --live` runs on says of the hops on its node: counters of the rules that judge, the kernel's route,
 * and bgpd's reason for it. Which node it is, its bgpd knows by its router id.
 */
import { endpointChainName } from '@tortie/policy/compile/names';
import { BgpdClient } from '../bgpd/client.js';
import type { WhyJson } from '../bgpd/route-view.js';
import { runChild } from '../dataplane/netfilter/child.js';
import { UserError } from '../errors.js';
import { ofKind, type World } from '../plan/world.js';
import { readChains, readKernelRules } from '../policy/kernel-rules.js';
import { identityOf } from '../topology/node-identity.js';
import { verdictOfHops, verdictOfWays, type Trace, type Way } from './trace-result.js';
import type { TracedHop } from './trace.js';

type TracedWays = Trace & { readonly ways: readonly (Way & { readonly hops: readonly TracedHop[] })[] };

export class LiveNode {
  private constructor(
    readonly node: string,
    private readonly bgpd: BgpdClient,
  ) {}

  /** @throws UserError where no bgpd answers, or it is of no node of this cluster */
  static async here(world: World, runDir: string): Promise<LiveNode> {
    const bgpd = new BgpdClient(runDir);
    const { routerId = '' } = await bgpd.get<{ readonly routerId?: string }>('/v1/summary');
    const node = ofKind(world, 'nodes').find((each) => identityOf(each).routerId === routerId);
    if (node === undefined)
      throw new UserError(
        `Cannot look at this machine: its bgpd has router id "${routerId}"; expected that of a node of the cluster`,
      );
    return new LiveNode(node.metadata.name, bgpd);
  }

  /** The same trace, with what was seen here; hops on other nodes are as they were. */
  async look(trace: TracedWays): Promise<Trace> {
    const ways = await Promise.all(
      trace.ways.map(async (way) => {
        const hops = await Promise.all(
          way.hops.map((hop) => (hop.node === this.node ? this.lookAt(hop, trace.family) : hop)),
        );
        return { ...way, hops: hops.map(shown), verdict: verdictOfHops(hops) };
      }),
    );
    return { ...trace, ways, verdict: verdictOfWays(ways) };
  }

  private async lookAt(hop: TracedHop, family: 4 | 6): Promise<TracedHop> {
    if (hop.asked !== undefined) {
      const { explanation, direction, interfaceName } = hop.asked;
      // What no rule of a policy allowed is dropped at the end of the pod's own chain.
      const chain = interfaceName === undefined ? [] : [endpointChainName(direction, interfaceName)];
      const own = new Map(chain.map((name) => [name, { policy: name, direction }]));
      const [ofPolicies, ofPod] = await Promise.all([readKernelRules(explanation, family), readChains(own, family)]);
      const rules = [...ofPolicies, ...ofPod.filter(({ line }) => /\b(?:drop|TORTIE-D-\S+)\b/i.test(line))];
      const lines = rules
        .filter((rule) => rule.direction === direction)
        .map((rule) => `${rule.policy}, ${rule.packets} packets: ${rule.line}`);
      return { ...hop, evidence: [...hop.evidence, ...lines] };
    }
    return hop.routedTo === undefined ? hop : this.lookAtRoute(hop, hop.routedTo, family);
  }

  private async lookAtRoute(hop: TracedHop, address: string, family: 4 | 6): Promise<TracedHop> {
    const [kernel, reasons] = await Promise.all([
      runChild('ip', [`-${family}`, 'route', 'get', address], { timeout: 5_000 }),
      this.reasons(address),
    ]);
    const evidence = [
      ...hop.evidence,
      `kernel: ${(kernel.stdout || kernel.stderr).trim().split('\n')[0] ?? ''}`,
      ...reasons,
    ];
    if (kernel.status !== 0)
      return { ...hop, outcome: 'ends', message: `the kernel has no route to ${address}`, evidence };
    return hop.outcome === 'not known' ? { ...hop, outcome: 'goes on', evidence } : { ...hop, evidence };
  }

  private async reasons(address: string): Promise<readonly string[]> {
    const { prefix, isKnown, candidates } = await this.bgpd.get<WhyJson>('/v1/why', { prefix: address });
    if (!isKnown) return [`bgpd: nobody tells of ${address}`];
    return candidates
      .filter(({ isBest, isMultipath }) => isBest || isMultipath)
      .map(
        ({ peer, nextHop, source, reason }) =>
          `bgpd: ${prefix} ${source === 'local' ? 'of its own' : `from ${peer ?? '?'} by ${nextHop ?? '?'}`}: ${reason}`,
      );
  }
}

/** Without what only a live look needs. */
export const shownTrace = (trace: TracedWays): Trace => ({
  ...trace,
  ways: trace.ways.map((way) => ({ ...way, hops: way.hops.map(shown) })),
});

const shown = ({ asked: _asked, routedTo: _routedTo, ...hop }: TracedHop): TracedHop => hop;
