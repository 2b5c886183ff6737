import { expect } from 'chai';
import fc from 'fast-check';
import type { BGPPeer } from '../../src/api/bgp.js';
import type { Node, Pod } from '../../src/api/core.js';
import type { IPPool } from '../../src/api/ipam.js';
import type { KindName } from '../../src/api/kinds.js';
import type { KubeObject } from '../../src/api/meta.js';
import { selectorMatches } from '../../src/agent/node-selector.js';
import { guardStops, GUARD_KINDS, ofKind, type GuardedObjects, type GuardKind } from '../../src/change/guard.js';
import { GuardGate, type Held } from '../../src/change/guard-gate.js';
import type { WatchSink } from '../../src/datastore/datastore.js';
import { topologyOf } from '../../src/topology/speaker-config.js';

const node = (index: number, labels: Readonly<Record<string, string>> = {}): Node =>
  ({
    metadata: { name: `n${index}`, labels },
    status: { addresses: [{ type: 'InternalIP', address: `10.0.0.${index}` }] },
  }) as Node;
const guarded = { 'tortie.dev/guard': 'required' };
const peer = (name: string, spec: BGPPeer['spec'], annotations?: Readonly<Record<string, string>>): BGPPeer => ({
  metadata: { name, ...(annotations && { annotations }) },
  spec,
});
const noMesh = (annotations?: Readonly<Record<string, string>>): KubeObject =>
  ({
    metadata: { name: 'default', ...(annotations && { annotations }) },
    spec: { nodeToNodeMeshEnabled: false, asNumber: 64512 },
  }) as KubeObject;
const pool = (name: string, annotations?: Readonly<Record<string, string>>): IPPool => ({
  metadata: { name, ...(annotations && { annotations }) },
  spec: { cidr: '10.65.0.0/24' },
});
const objectsOf = (given: Partial<Record<GuardKind, readonly KubeObject[]>>): GuardedObjects =>
  Object.fromEntries(
    GUARD_KINDS.map((kind) => [kind, new Map((given[kind] ?? []).map((one) => [one.metadata.name, one]))]),
  ) as unknown as GuardedObjects;

const stopsAt =
  (at: string, pods: readonly Pod[] = []) =>
  (before: GuardedObjects, after: GuardedObjects): string | undefined =>
    guardStops(before, after, {
      node: at,
      matches: selectorMatches,
      pods: () => pods,
      topology: (objects, nodeName) =>
        topologyOf({
          nodeName,
          nodes: ofKind(objects, 'nodes'),
          bgpConfigurations: ofKind(objects, 'bgpConfigurations'),
          bgpPeers: ofKind(objects, 'bgpPeers'),
          bgpFilters: [],
          ipPools: ofKind(objects, 'ipPools'),
          blocks: [],
          loopbackAddresses: new Set(),
          secret: () => 'there',
          secretNamespace: 's',
          matches: selectorMatches,
        }),
    });

/** Two reflectors, as in the outage of 314 minutes. */
const reflectors = (
  labelled: readonly number[],
  annotations: Readonly<Record<string, string>> | undefined = guarded,
): GuardedObjects =>
  objectsOf({
    nodes: [1, 2, 3].map((index) => node(index, labelled.includes(index) ? { rr: 'yes' } : {})),
    bgpConfigurations: [noMesh()],
    bgpPeers: [peer('rr', { nodeSelector: 'all()', peerSelector: 'rr == "yes"' }, annotations)],
  });

describe('guards', () => {
  it('hold the label outage, at every node, and let a part of it through', () => {
    for (const at of ['n1', 'n2', 'n3']) {
      expect(stopsAt(at)(reflectors([1, 2]), reflectors([1])), at).to.equal(undefined);
      expect(stopsAt(at)(reflectors([1]), reflectors([])), at).to.equal(
        'BGPPeer/rr spec.peerSelector "rr == "yes"" would select no node any more',
      );
      expect(stopsAt(at)(reflectors([1], {}), reflectors([], {})), at).to.equal(undefined);
    }
  });

  it('let through what is annotated off, at the object or for all', () => {
    expect(stopsAt('n2')(reflectors([1]), reflectors([], { 'tortie.dev/guard': 'off' }))).to.equal(undefined);
    const off = {
      ...reflectors([]),
      bgpConfigurations: objectsOf({ bgpConfigurations: [noMesh({ 'tortie.dev/guard': 'off' })] }).bgpConfigurations,
    };
    expect(stopsAt('n2')(reflectors([1]), off)).to.equal(undefined);
    // To take the annotation away in the same breath is not to say off.
    expect(stopsAt('n2')(reflectors([1]), reflectors([], {}))).to.contain('would select no node');
  });

  it('hold the last session, and the last with a router', () => {
    const world = (peers: readonly BGPPeer[], rule?: KubeObject): GuardedObjects =>
      objectsOf({ nodes: [node(1), node(2)], bgpConfigurations: rule ? [rule] : [], bgpPeers: peers });
    const [one, two] = [
      peer('a', { node: 'n1', peerIP: '192.0.2.1', asNumber: 65001 }, guarded),
      peer('b', { node: 'n1', peerIP: '192.0.2.2', asNumber: 65001 }, guarded),
    ];
    expect(stopsAt('n1')(world([one, two]), world([one]))).to.equal(undefined);
    expect(stopsAt('n1')(world([one]), world([]))).to.equal(
      'node n1 would lose its session with 192.0.2.1 (BGPPeer/a), and none with a router would be left',
    );
    expect(stopsAt('n2')(world([one]), world([]))).to.equal(undefined);
    expect(stopsAt('n1')(world([one], noMesh()), world([], noMesh()))).to.contain('none would be left');
    // A guard of the configuration is one of all.
    const bare = peer('a', { node: 'n1', peerIP: '192.0.2.1', asNumber: 65001 });
    expect(stopsAt('n1')(world([bare], noMesh()), world([], noMesh()))).to.equal(undefined);
    expect(stopsAt('n1')(world([bare], noMesh(guarded)), world([], noMesh(guarded)))).to.contain('none would be left');
  });

  it('hold an end of a session whose other end has no other', () => {
    const world = (labels: Readonly<Record<string, string>>): GuardedObjects =>
      objectsOf({
        nodes: [node(1), node(2, labels), node(3, { z: 'yes' })],
        bgpConfigurations: [noMesh()],
        bgpPeers: [
          peer('up', { node: 'n1', peerIP: '192.0.2.1', asNumber: 65001 }),
          peer('x', { node: 'n1', peerSelector: 'x == "yes" || z == "yes"' }, guarded),
        ],
      });
    expect(stopsAt('n1')(world({ x: 'yes' }), world({}))).to.contain('node n2 would lose its session with 10.0.0.1');
    expect(stopsAt('n2')(world({ x: 'yes' }), world({}))).to.contain('node n2 would lose its session with 10.0.0.1');
    expect(stopsAt('n3')(world({ x: 'yes' }), world({}))).to.equal(undefined);
  });

  it('hold a pool that pods live in, and not an empty one', () => {
    const [before, after] = [
      objectsOf({ nodes: [node(1)], ipPools: [pool('p', guarded)] }),
      objectsOf({ nodes: [node(1)] }),
    ];
    const pod = {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { containers: [] },
      status: { podIPs: [{ ip: '10.65.0.7' }] },
    } as unknown as Pod;
    expect(stopsAt('n1', [pod])(before, after)).to.equal(
      'IPPool/p would go, and pods live in it: shop/web has 10.65.0.7',
    );
    expect(stopsAt('n1')(before, after)).to.equal(undefined);
  });
});

describe('the gate of guards', () => {
  const gateAt = (
    stops: (before: GuardedObjects, after: GuardedObjects) => string | undefined,
    isCovered = (_key: string): boolean => false,
  ) => {
    const seen = objectsOf({}) as unknown as Record<GuardKind, Map<string, KubeObject>>;
    const held: { now: readonly Held[] } = { now: [] };
    const kept: { now: GuardedObjects | undefined } = { now: undefined };
    const target = {
      upsert: (kind: GuardKind, object: KubeObject) => void seen[kind].set(object.metadata.name, object),
      delete: (kind: GuardKind, object: KubeObject) => void seen[kind].delete(object.metadata.name),
      firstListDone: () => undefined,
      health: () => undefined,
    } as unknown as WatchSink<KindName>;
    const gate = new GuardGate({
      target,
      stops,
      isCovered,
      onHeld: (now) => (held.now = now),
      onStanding: (now) => (kept.now = now && (structuredClone(now) as GuardedObjects)),
    });
    const list = (objects: GuardedObjects): void => {
      for (const kind of GUARD_KINDS) for (const object of objects[kind].values()) gate.upsert(kind, object as never);
      for (const kind of GUARD_KINDS) gate.firstListDone(kind);
    };
    return { gate, seen, held, kept, list };
  };
  const labels = (seen: Record<GuardKind, Map<string, KubeObject>>): readonly string[] =>
    [...seen.nodes.values()]
      .filter(({ metadata }) => metadata.labels?.['rr'] === 'yes')
      .map(({ metadata }) => metadata.name);

  it('holds what is stopped, follows the rest, and lets go when it is mended or overridden', () => {
    const { gate, seen, held, list } = gateAt(stopsAt('n3'));
    list(reflectors([1, 2]));
    gate.upsert('nodes', node(1));
    expect(labels(seen)).to.deep.equal(['n2']);
    gate.upsert('nodes', node(2));
    expect(labels(seen)).to.deep.equal(['n2']);
    expect(held.now.map(({ kind, name }) => `${kind} ${name}`)).to.deep.equal(['nodes n2']);
    gate.upsert('bgpPeers', peer('up', { node: 'n1', peerIP: '192.0.2.1', asNumber: 65001 }));
    expect(seen.bgpPeers.has('up')).to.equal(true);
    gate.upsert('nodes', node(2, { rr: 'yes' }));
    expect(held.now).to.deep.equal([]);
    gate.upsert('nodes', node(2));
    gate.upsert('nodes', node(1, { rr: 'yes' }));
    expect(labels(seen), 'another node took its place').to.deep.equal(['n1']);
    gate.upsert('nodes', node(1));
    expect(held.now).to.have.length(1);
    gate.upsert(
      'bgpPeers',
      peer('rr', { nodeSelector: 'all()', peerSelector: 'rr == "yes"' }, { 'tortie.dev/guard': 'off' }),
    );
    expect(labels(seen)).to.deep.equal([]);
    expect(held.now).to.deep.equal([]);
  });

  it('goes on holding after a restart, also what was changed meanwhile', () => {
    const first = gateAt(stopsAt('n3'));
    first.list(reflectors([1]));
    const { kept } = first;
    expect(kept.now).to.not.equal(undefined);
    const next = gateAt(stopsAt('n3'));
    if (kept.now !== undefined) next.gate.restore(kept.now);
    next.list(reflectors([]));
    expect(labels(next.seen)).to.deep.equal(['n1']);
    expect(next.held.now.map(({ name }) => name)).to.deep.equal(['n1']);
    const later = gateAt(stopsAt('n3'));
    if (kept.now !== undefined) later.gate.restore(kept.now);
    later.list(reflectors([2]));
    expect(labels(later.seen)).to.deep.equal(['n2']);
    expect(later.held.now).to.deep.equal([]);
  });

  it('does not hold what somebody confirmed', () => {
    const { gate, seen, held, list } = gateAt(stopsAt('n3'), () => true);
    list(reflectors([1]));
    gate.upsert('nodes', node(1));
    expect(labels(seen)).to.deep.equal([]);
    expect(held.now).to.deep.equal([]);
  });

  it('without guards is not there, whatever comes', () => {
    const event = fc.record({ index: fc.integer({ min: 1, max: 4 }), isThere: fc.boolean(), rr: fc.boolean() });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const { gate, seen, held, kept, list } = gateAt(() => 'never');
        list(reflectors([1], {}));
        const plain = new Map(reflectors([1], {}).nodes);
        for (const { index, isThere, rr } of events) {
          const object = node(index, rr ? { rr: 'yes' } : {});
          if (isThere) plain.set(object.metadata.name, object);
          else plain.delete(object.metadata.name);
          gate[isThere ? 'upsert' : 'delete']('nodes', object);
        }
        expect(new Map([...seen.nodes].sort())).to.deep.equal(new Map([...plain].sort()));
        expect(held.now).to.deep.equal([]);
        expect(kept.now).to.equal(undefined);
      }),
      { numRuns: 200 },
    );
  });
});
