import { expect } from 'chai';
import fc from 'fast-check';
import {
  isEmptyDelta,
  PolicyEngine,
  renderNftables,
  renderNftDelta,
  type DenyReports,
  type EngineOptions,
  type FlowEnd,
  type PolicyEvent,
} from '@tortie/policy';
import { NftTable } from './nft-interpreter.js';
import { passes, programFor, rackOf, READINGS, Replica, rulesetText } from './node.js';
import { endpointsOf, referenceVerdict, type Endpoint, type Probe } from './reference.js';
import { eventsOf, type World, type WorldPolicy } from './world.js';
import { tieredVerdict } from './reference-tiers.js';
import { calicoWorld, SELECTORS } from './calico-worlds.js';
import { CalicoReference } from './reference-calico.js';
import { anyWorld, tieredWorld } from './worlds.js';

const PROBES: readonly Probe[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'TCP', port: 81 },
  { protocol: 'TCP', port: 8080 },
  { protocol: 'UDP', port: 80 },
  { protocol: 'SCTP', port: 80 },
];

const REPORTS: DenyReports = { group: 7, perSecond: 10, burst: 20 };

/** A pod by its address too: what the engine looks up must not depend on how it is asked. */
const flowEnd = (end: Endpoint): FlowEnd =>
  end.pod !== undefined
    ? { type: 'pod', namespace: end.pod.namespace, name: end.pod.name }
    : end.type === 'node' && end.node !== undefined
      ? { type: 'node', name: end.node }
      : { type: 'address', address: end.ip };

describe('policy/properties', function () {
  // Eighty worlds each, through two interpreters of rule text: seconds by themselves, a minute on a busy machine.
  this.timeout(180_000);
  it('engine verdict = reference = compiled rules = iptables and nft text, on random worlds', () =>
    fc.assert(
      fc.property(anyWorld, (world) => checkWorld(world, referenceVerdict)),
      { numRuns: 80 },
    ));

  it('and with cluster tiers', () =>
    fc.assert(
      fc.property(tieredWorld, (world) => checkWorld(world, tieredVerdict)),
      { numRuns: 80 },
    ));

  it("and with Calico's policies, tiers and network sets", () =>
    fc.assert(
      fc.property(calicoWorld, (world) => {
        const reference = new CalicoReference(world, SELECTORS);
        checkWorld(world, (_world, from, to, probe) => reference.verdict(from, to, probe));
      }),
      { numRuns: 100 },
    ));

  it('staged policies change no verdict', () =>
    fc.assert(
      fc.property(calicoWorld, (world) => {
        const staged = world.policies
          .filter((policy) => policy.kind !== 'NetworkPolicy')
          .map(
            (policy): WorldPolicy => ({
              ...policy,
              kind: policy.kind === 'GlobalNetworkPolicy' ? 'StagedGlobalNetworkPolicy' : 'StagedNetworkPolicy',
            }),
          );
        checkWorld(
          { ...world, policies: [...world.policies.filter((policy) => policy.kind === 'NetworkPolicy'), ...staged] },
          referenceVerdict,
        );
      }),
      { numRuns: 50 },
    ));

  it('reports of what is denied change no verdict', () =>
    fc.assert(
      fc.property(calicoWorld, (world) => {
        const reference = new CalicoReference(world, SELECTORS);
        checkWorld(world, (_world, from, to, probe) => reference.verdict(from, to, probe), { denyReports: REPORTS });
      }),
      { numRuns: 40 },
    ));

  it('the two references agree where there are only NetworkPolicies', () =>
    fc.assert(
      fc.property(anyWorld, (world) => {
        const ends = endpointsOf(world, 4);
        for (const probe of PROBES)
          for (const from of ends)
            for (const to of ends)
              expect(tieredVerdict(world, from, to, probe)).to.equal(referenceVerdict(world, from, to, probe));
      }),
      { numRuns: 50 },
    ));

  it('any order and repetition of events ends in the same ruleset, and the deltas add up to it', () =>
    fc.assert(
      fc.property(
        fc.oneof(anyWorld, tieredWorld, calicoWorld),
        fc.oneof(anyWorld, tieredWorld, calicoWorld),
        fc.infiniteStream(fc.nat()),
        checkHistory,
      ),
      { numRuns: 150 },
    ));
});

function checkWorld(world: World, reference: typeof referenceVerdict, options: EngineOptions = {}): void {
  const rack = rackOf(world, options);
  for (const family of [4, 6] as const) {
    const readings = READINGS.map(
      (reading) =>
        [reading, new Map(rack.map(({ name, engine }) => [name, programFor(engine, family, reading)]))] as const,
    );
    const ends = endpointsOf(world, family);
    for (const probe of PROBES)
      for (const from of ends)
        for (const to of ends) {
          if (from === to || (from.type !== 'pod' && to.type !== 'pod')) continue;
          const want = reference(world, from, to, probe);
          const about = `${from.ip} -> ${to.ip} ${probe.protocol} ${probe.port}`;
          const flow = { from: flowEnd(from), to: flowEnd(to), family, ...probe };
          for (const { engine } of rack.slice(0, 1)) {
            expect(engine.verdict(flow).allowed, `engine ${about}`).to.equal(want);
            expect(engine.explain(flow).verdict, `explained ${about}`).to.deep.equal(engine.verdict(flow));
            expect(
              engine.verdict({
                ...flow,
                from: { type: 'address', address: from.ip },
                to: { type: 'address', address: to.ip },
              }).allowed,
              `by address ${about}`,
            ).to.equal(want);
          }
          for (const [reading, programs] of readings)
            expect(passes(programs, family, from, to, probe), `${reading} ${about}`).to.equal(want);
        }
  }
}

const identity = (event: PolicyEvent): string => {
  switch (event.type) {
    case 'upsert':
      return `${event.kind} ${event.object.metadata?.namespace}/${event.object.metadata?.name}`;
    case 'delete':
      return `${event.kind} ${event.namespace}/${event.name}`;
    case 'endpoint-upsert':
      return `endpoint ${event.endpoint.namespace}/${event.endpoint.name}`;
    case 'endpoint-delete':
      return `endpoint ${event.namespace}/${event.name}`;
    case 'host-interfaces':
      return 'interfaces';
    case 'bgp-peers':
      return 'peers';
    case 'service-ranges':
      return 'service ranges';
    case 'interface-limits':
      return 'limits';
    case 'tunnel-peers':
      return 'tunnels';
  }
};

function undo(event: PolicyEvent): PolicyEvent {
  switch (event.type) {
    case 'upsert':
      return {
        type: 'delete',
        kind: event.kind,
        namespace: event.object.metadata?.namespace,
        name: event.object.metadata?.name ?? '',
      };
    case 'endpoint-upsert':
      return { type: 'endpoint-delete', namespace: event.endpoint.namespace, name: event.endpoint.name };
    case 'delete':
    case 'endpoint-delete':
    case 'host-interfaces':
    case 'bgp-peers':
    case 'service-ranges':
    case 'interface-limits':
    case 'tunnel-peers':
      return event;
  }
}

/** What turns one world into another: everything of the later one, and the end of what it lacks. */
function transition(earlier: World, later: World): readonly PolicyEvent[] {
  const wanted = new Set(eventsOf(later, 'n1').map(identity));
  return [
    ...eventsOf(later, 'n1'),
    ...eventsOf(earlier, 'n1')
      .filter((event) => !wanted.has(identity(event)))
      .map(undo),
  ];
}

/** Passes through an earlier world to a later one, in a random order with repeats and flushes anywhere. */
function checkHistory(earlier: World, later: World, choices: fc.Stream<number>): void {
  const random = (below: number): number => (choices.next().value ?? 0) % below;
  const options: EngineOptions = random(2) === 0 ? { denyReports: REPORTS } : {};
  const direct = new PolicyEngine(options);
  for (const event of eventsOf(later, 'n1')) direct.apply(event);
  direct.flush();

  const engine = new PolicyEngine(options);
  const replica = new Replica();
  const nft = new NftTable();
  const flush = (): void => {
    const delta = engine.flush();
    replica.apply(delta);
    nft.run(renderNftDelta(delta));
  };
  const play = (events: readonly PolicyEvent[]): void => {
    for (const event of shuffled(events, random)) {
      engine.apply(event);
      if (random(4) === 0) flush();
      // Parts of a flush at any time change nothing.
      if (random(3) === 0) engine.settleNext();
      if (random(4) === 0) engine.apply(event);
    }
  };
  play(eventsOf(earlier, 'n1'));
  play(transition(earlier, later));
  flush();
  expect(rulesetText(engine.ruleset())).to.equal(rulesetText(direct.ruleset()));
  expect(rulesetText(replica.ruleset())).to.equal(rulesetText(engine.ruleset()));
  const fresh = new NftTable();
  fresh.run(renderNftables(direct.ruleset()));
  expect(nft.text()).to.equal(fresh.text());
  for (const event of eventsOf(later, 'n1')) engine.apply(event);
  expect(isEmptyDelta(engine.flush()), 'replaying every event changes nothing').to.equal(true);
}

function shuffled<T>(items: readonly T[], random: (below: number) => number): readonly T[] {
  const rest = [...items];
  const out: T[] = [];
  while (rest.length > 0) out.push(...rest.splice(random(rest.length), 1));
  return out;
}
