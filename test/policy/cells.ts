/**
 * Expectations on a world, cell by cell: each is asked of the reference evaluator, the engine, the neutral rules and the
 * iptables text, and all must say what the test says.
 */
import { expect } from 'chai';
import type { FlowEnd } from '@tortie/policy';
import type { Family } from 'node-bgp/address';
import { passes, programFor, rackOf, READINGS } from './node.js';
import { familyOf, referenceVerdict, type Endpoint, type Probe } from './reference.js';
import type { World } from './world.js';

/** "x/a" a pod, "node:n1" a process on a node, "out" or any other name an external, else an address. */
export type EndName = string;

/** [from, to, "TCP/80", allowed] and, where it matters, the family (both by default). */
export type Cell = readonly [from: EndName, to: EndName, probe: string, allowed: boolean, family?: Family];

export function endOf(world: World, name: EndName, family: Family): Endpoint | undefined {
  const pick = (ips: readonly string[]): string | undefined => ips.find((ip) => familyOf(ip) === family);
  if (name.startsWith('node:')) {
    const ip = pick(world.nodes.find((node) => node.name === name.slice(5))?.ips ?? []);
    return ip === undefined ? undefined : { type: 'node', node: name.slice(5), ip };
  }
  if (name.includes('/')) {
    const pod = world.pods.find((one) => `${one.namespace}/${one.name}` === name);
    const ip = pick(pod?.ips ?? []);
    if (pod === undefined || ip === undefined) return undefined;
    return pod.hostNetwork === true ? { type: 'node', node: pod.node, ip } : { type: 'pod', pod, ip };
  }
  const ip = pick(world.externals.find((one) => one.name === name)?.ips ?? [name]);
  return ip === undefined ? undefined : { type: 'external', ip };
}

export function probeOf(text: string): Probe {
  const [protocol, port] = text.split('/');
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') throw new Error(`Unknown protocol in ${text}`);
  return { protocol, port: Number(port) };
}

export function flowEndOf(end: Endpoint): FlowEnd {
  if (end.pod !== undefined) return { type: 'pod', namespace: end.pod.namespace, name: end.pod.name };
  return end.node !== undefined ? { type: 'node', name: end.node } : { type: 'address', address: end.ip };
}

/** `reference: false` for what the reference does not read (kinds other than NetworkPolicy). */
export function expectCells(
  world: World,
  cells: readonly Cell[],
  options: { readonly reference?: boolean } = {},
): void {
  const rack = rackOf(world);
  const [first] = rack;
  if (first === undefined) throw new Error('A world needs a node');
  for (const [fromName, toName, text, allowed, only] of cells)
    for (const family of only === undefined ? ([4, 6] as const) : [only]) {
      const [from, to] = [endOf(world, fromName, family), endOf(world, toName, family)];
      if (from === undefined || to === undefined)
        throw new Error(`No IPv${family} address for ${fromName} or ${toName}`);
      const about = `${fromName} -> ${toName} ${text} IPv${family}`;
      const probe = probeOf(text);
      if (options.reference !== false)
        expect(referenceVerdict(world, from, to, probe), `reference: ${about}`).to.equal(allowed);
      expect(
        first.engine.verdict({ from: flowEndOf(from), to: flowEndOf(to), family, ...probe }).allowed,
        `engine: ${about}`,
      ).to.equal(allowed);
      for (const reading of READINGS) {
        const programs = new Map(rack.map(({ name, engine }) => [name, programFor(engine, family, reading)]));
        expect(passes(programs, family, from, to, probe), `${reading}: ${about}`).to.equal(allowed);
      }
    }
}
