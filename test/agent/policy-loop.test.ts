import { expect } from 'chai';
import type { Ruleset, RulesetDelta } from '@tortie/policy';
import { PolicyLoop, type NetfilterFailure, type PolicySource } from '../../src/agent/policy-loop.js';
import { createLogger } from '../../src/log.js';

/** An engine that only counts: each event is a chain of its own in the next delta. */
function countingEngine(): PolicySource {
  let pending: string[] = [];
  const chains = new Map<string, { table: 'filter'; name: string; rules: [] }>();
  const empty = {
    setsCreated: [],
    setsChanged: [],
    setsDeleted: [],
    chainsDeleted: [],
    mapsUpserted: [],
    mapsChanged: [],
    mapsDeleted: [],
  };
  return {
    apply: (event) => void pending.push(event.type === 'delete' ? event.name : event.type),
    flush: (): RulesetDelta => {
      const chainsUpserted = pending.map((name) => ({ table: 'filter' as const, name, rules: [] as [] }));
      for (const chain of chainsUpserted) chains.set(chain.name, chain);
      pending = [];
      return { ...empty, chainsUpserted };
    },
    ruleset: (): Ruleset => ({ sets: new Map(), chains, maps: new Map(), hooks: [] }),
  };
}

describe('agent/policy-loop', () => {
  const event = (name: string) => ({ type: 'delete' as const, kind: 'Pod' as const, name });

  interface Kernel {
    readonly sync: (ruleset: Ruleset) => Promise<void>;
    readonly apply: (delta: RulesetDelta) => Promise<void>;
    readonly failures?: readonly NetfilterFailure[];
  }

  function start({ sync, apply, failures = [] }: Kernel): { loop: PolicyLoop } {
    const netfilter = {
      sync: async (ruleset: Ruleset) => sync(ruleset).then(() => ({ failures })),
      apply: async (delta: RulesetDelta) => apply(delta).then(() => ({ failures })),
      failures: () => failures,
    };
    return { loop: new PolicyLoop(countingEngine(), netfilter, createLogger('test', { level: 'silent' }), () => {}) };
  }

  it('lets others in between the parts of what the engine has to settle, and then flushes', async () => {
    const busy = (milliseconds: number): void => {
      const end = performance.now() + milliseconds;
      while (performance.now() < end);
    };
    let [left, turns] = [4, 0];
    const flushedAfter: number[] = [];
    const engine = countingEngine();
    const settling: PolicySource = {
      ...engine,
      settleNext: () => {
        busy(15);
        return --left > 0;
      },
      flush: () => {
        flushedAfter.push(left);
        return engine.flush();
      },
    };
    const netfilter = {
      sync: async () => ({ failures: [] }),
      apply: async () => ({ failures: [] }),
      failures: () => [],
    };
    const loop = new PolicyLoop(settling, netfilter, createLogger('test', { level: 'silent' }), () => {});
    const timer = setInterval(() => turns++, 1);
    await loop.start();
    clearInterval(timer);
    expect(flushedAfter).to.deep.equal([0]);
    expect(turns).to.be.greaterThan(1);
  });

  it('writes nothing before start, then the whole, then only what changed', async () => {
    const writes: string[] = [];
    const { loop } = start({
      sync: async (ruleset) => void writes.push(`sync ${[...ruleset.chains.keys()].join()}`),
      apply: async (delta) => void writes.push(`apply ${delta.chainsUpserted.map((chain) => chain.name).join()}`),
    });
    loop.take(event('a'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(writes).to.deep.equal([]);
    await loop.start();
    loop.take(event('b'));
    loop.take(event('c'));
    await loop.settled();
    expect(writes).to.deep.equal(['sync a', 'apply b,c']);
    loop.stop();
  });

  it('never writes twice at once, and whoever waits gets what came before', async () => {
    let running = 0;
    const applied: string[] = [];
    const { loop } = start({
      sync: async () => {},
      apply: async (delta) => {
        expect(++running).to.equal(1);
        await new Promise((resolve) => setTimeout(resolve, 5));
        applied.push(...delta.chainsUpserted.map((chain) => chain.name));
        running--;
      },
    });
    await loop.start();
    for (let i = 0; i < 20; i++) {
      loop.take(event(`e${i}`));
      if (i % 3 === 0) await loop.settled();
      if (i % 3 === 0) expect(applied).to.include(`e${i}`);
    }
    await loop.settled();
    expect(applied).to.have.length(20);
    loop.stop();
  });

  it('writes what came in while it was writing, although nobody waits', async () => {
    const applied: string[] = [];
    const { loop } = start({
      sync: async () => {},
      apply: async (delta) => {
        await new Promise((resolve) => setTimeout(resolve, 10));
        applied.push(...delta.chainsUpserted.map((chain) => chain.name));
      },
    });
    await loop.start();
    loop.take(event('first'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    loop.take(event('second'));
    for (let i = 0; i < 200 && applied.length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(applied).to.deep.equal(['first', 'second']);
    loop.stop();
  });

  it('hands waiters what the kernel refused', async () => {
    const failures = [{ subject: 'filter/TORTIE-PI-x', message: 'Unknown protocol' }];
    const { loop } = start({ sync: async () => {}, apply: async () => {}, failures });
    expect(await loop.start()).to.deep.equal(failures);
    expect(await loop.settled()).to.deep.equal(failures);
    expect(loop.problems()).to.deep.equal(['Unknown protocol']);
    loop.stop();
  });

  it('tells waiters of a breakdown, then repeats the whole until it holds', async () => {
    let refusals = 2;
    let syncs = 0;
    const { loop } = start({
      sync: async () => {
        syncs++;
        if (refusals-- > 0) throw new Error('iptables-restore: line 7 failed');
      },
      apply: async () => {},
    });
    expect(String(await loop.start().catch((error: unknown) => error))).to.include('line 7 failed');
    expect(loop.problems()).to.deep.equal(['iptables-restore: line 7 failed']);
    for (let i = 0; i < 200 && loop.problems().length > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(loop.problems()).to.deep.equal([]);
    expect(syncs).to.equal(3);
    loop.stop();
  });
});
