/** Histories of set changes against a kernel that is a map and sometimes refuses: all end in the wanted state. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { SetHeader } from '../../../src/dataplane/netfilter/set-protocol.js';
import { HandedOver } from '../../../src/dataplane/netfilter/parts.js';
import { SetState } from '../../../src/dataplane/netfilter/set-state.js';
import type { SetOperation, SetRefusal } from '../../../src/dataplane/netfilter/set-transport.js';
import { set } from './rulesets.js';

class FakeKernel {
  readonly sets = new Map<string, { kernelType: string; members: Set<string> }>();

  /** @param refuses asked once per operation. */
  apply(operations: readonly SetOperation[], refuses: () => boolean): readonly SetRefusal[] {
    const refusals: SetRefusal[] = [];
    for (const operation of operations) {
      const cause = refuses() ? ('other' as const) : this.run(operation);
      if (cause !== undefined) refusals.push({ operation, cause, message: 'refused' });
    }
    return refusals;
  }

  headers(): readonly SetHeader[] {
    return [...this.sets].map(([name, { members, kernelType }]) => ({
      name,
      kernelType,
      type: kernelType === 'hash:ip' ? 'address' : undefined,
      family: 4,
      maxElements: 1,
      elements: members.size,
      references: 0,
    }));
  }

  private run(operation: SetOperation): SetRefusal['cause'] | undefined {
    switch (operation.type) {
      case 'create':
        if (this.sets.has(operation.set.name)) return 'exists';
        this.sets.set(operation.set.name, { kernelType: 'hash:ip', members: new Set() });
        return undefined;
      case 'add':
      case 'delete': {
        const members = this.sets.get(operation.set.name)?.members;
        for (const member of operation.members)
          if (operation.type === 'add') members?.add(member);
          else members?.delete(member);
        return members === undefined ? 'missing' : undefined;
      }
      case 'swap': {
        const [one, other] = [this.sets.get(operation.name), this.sets.get(operation.other)];
        if (one === undefined || other === undefined) return 'missing';
        this.sets.set(operation.name, other).set(operation.other, one);
        return undefined;
      }
      case 'destroy':
        return this.sets.delete(operation.name) ? undefined : 'missing';
    }
  }
}

function pass(state: SetState, kernel: FakeKernel, refuses: () => boolean = () => false): void {
  for (const operations of [() => state.additions(), () => state.removals()]) {
    const planned = operations();
    state.done(planned, kernel.apply(planned, refuses));
  }
}

function look(state: SetState, kernel: FakeKernel): readonly string[] {
  const { findings, suspects } = state.observe(kernel.headers());
  return [...findings, ...suspects.flatMap((name) => state.compare(name, kernel.sets.get(name)?.members ?? new Map()))];
}

const membersIn = (kernel: FakeKernel): Record<string, readonly string[]> =>
  Object.fromEntries([...kernel.sets].map(([name, { members }]) => [name, [...members.keys()].sort()]));

const id = fc.constantFrom('a', 'b', 'c');
const address = fc.integer({ min: 1, max: 5 }).map((n) => `10.0.0.${n}`);
const change = fc.oneof(
  fc.record({ type: fc.constant('create' as const), id, members: fc.uniqueArray(address) }),
  fc.record({
    type: fc.constant('change' as const),
    id,
    added: fc.uniqueArray(address),
    removed: fc.uniqueArray(address),
  }),
  fc.record({ type: fc.constant('delete' as const), id }),
  fc.record({ type: fc.constant('pass' as const), refusals: fc.array(fc.boolean(), { maxLength: 6 }) }),
);

describe('SetState', () => {
  it('ends every history, refusals included, with the kernel as wanted', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (history) => {
        const state = new SetState(HandedOver.everything());
        const kernel = new FakeKernel();
        const wanted = new Map<string, Set<string>>();
        for (const event of history) {
          if (event.type === 'pass') {
            const answers = [...event.refusals];
            pass(state, kernel, () => answers.shift() ?? false);
            continue;
          }
          const name = `tortie4-${event.id}`;
          const members = wanted.get(name);
          if (event.type === 'create') {
            if (members !== undefined) continue;
            wanted.set(name, new Set(event.members));
            state.create(set(4, event.id, 'address', event.members));
          } else if (members !== undefined && event.type === 'change') {
            for (const one of event.added) members.add(one);
            for (const one of event.removed) members.delete(one);
            state.change({ name, added: event.added, removed: event.removed });
          } else if (members !== undefined && event.type === 'delete') {
            wanted.delete(name);
            state.delete(name);
          }
        }
        // Two passes and a look between: what a refused swap left uncertain shows there.
        pass(state, kernel);
        look(state, kernel);
        pass(state, kernel);
        expect(membersIn(kernel)).to.deep.equal(
          Object.fromEntries([...wanted].map(([name, members]) => [name, [...members].sort()])),
        );
        expect(look(state, kernel)).to.deep.equal([]);
        expect(state.isClean).to.equal(true);
      }),
      { numRuns: 500 },
    );
  });

  it('adds before it removes, and destroys last', () => {
    const state = new SetState(HandedOver.everything());
    state.create(set(4, 'a', 'address', ['10.0.0.1']));
    state.create(set(4, 'b', 'address', []));
    pass(state, new FakeKernel());
    state.change({ name: 'tortie4-a', added: ['10.0.0.2'], removed: ['10.0.0.1'] });
    state.delete('tortie4-b');
    expect(state.additions().map((one) => one.type)).to.deep.equal(['add']);
    expect(state.removals().map((one) => one.type)).to.deep.equal(['delete', 'destroy']);
  });

  it('swaps in a new set where one of another type stands', () => {
    const state = new SetState(HandedOver.everything());
    const kernel = new FakeKernel();
    kernel.sets.set('tortie4-a', { kernelType: 'hash:net', members: new Set() });
    state.create(set(4, 'a', 'address', ['10.0.0.1']));
    expect(look(state, kernel)).to.deep.equal(['set tortie4-a is a hash:net']);
    pass(state, kernel);
    expect(membersIn(kernel)).to.deep.equal({ 'tortie4-a': ['10.0.0.1'] });
  });

  it('takes a set that it is itself about to destroy for no stranger', () => {
    const state = new SetState(HandedOver.everything());
    const kernel = new FakeKernel();
    state.create(set(4, 'a', 'address', ['10.0.0.1']));
    pass(state, kernel);
    state.delete('tortie4-a');
    const planned = state.removals();
    state.done(
      planned,
      kernel.apply(planned, () => true),
    );
    expect(look(state, kernel)).to.deep.equal([]);
    kernel.sets.set('tortie4-b', { kernelType: 'hash:ip', members: new Set() });
    expect(look(state, kernel)).to.deep.equal(["set tortie4-b is nobody's"]);
    pass(state, kernel);
    expect(membersIn(kernel)).to.deep.equal({});
  });

  it('tells a member that no kernel takes, once, until it goes', () => {
    const state = new SetState(HandedOver.everything());
    const kernel = new FakeKernel();
    state.create(set(4, 'a', 'address', ['10.0.0.1', 'nonsense']));
    pass(state, kernel);
    expect(membersIn(kernel)).to.deep.equal({ 'tortie4-a': ['10.0.0.1'] });
    expect(state.malformedMembers().map((failure) => failure.message)).to.deep.equal([
      'Cannot parse address "nonsense": expected an IPv4 or IPv6 address',
    ]);
    state.change({ name: 'tortie4-a', added: [], removed: ['nonsense'] });
    expect(state.malformedMembers()).to.deep.equal([]);
  });
});
