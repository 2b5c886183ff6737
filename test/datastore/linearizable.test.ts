/** Claims, swaps, reads and releases of one block by many clients at once: one after the other on every store. */
import { expect } from 'chai';
import type { BlockStore } from '@tortie/ipam';
import { isLinearizable, type Call, type Model } from '../ipam/linearizable.js';
import { STORES } from './block-stores.js';

type Operation =
  | { readonly type: 'create'; readonly node: string }
  | { readonly type: 'get' }
  /** Swaps what this client saw last, `from`, for a record of its own. */
  | { readonly type: 'swap'; readonly from: string; readonly to: string }
  | { readonly type: 'delete'; readonly node: string };

/** Who has it and under which mark of the swap; marks are never used twice. */
type State = { readonly node: string; readonly mark: string } | null;
type Answer = string;

const model: Model<State, Operation, Answer> = (state, operation) => {
  switch (operation.type) {
    case 'create':
      if (state === null) return ['created', { node: operation.node, mark: '' }];
      return [state.node === operation.node ? 'held' : 'exists', state];
    case 'get':
      return [state === null ? 'none' : `${state.node} ${state.mark}`, state];
    case 'swap':
      if (state === null || `${state.node} ${state.mark}` !== operation.from) return ['lost', state];
      return ['swapped', { node: state.node, mark: operation.to }];
    case 'delete':
      return ['done', state?.node === operation.node ? null : state];
  }
};

const CLIENTS = 5;
const CALLS = 8;
const ROUNDS = Number(process.env['TORTIE_LINEAR_ROUNDS'] ?? 4);

/** A round's calls as they went. A mark is carried by the pool of the record. */
async function history(stores: readonly BlockStore[], cidr: string): Promise<readonly Call<Operation, Answer>[]> {
  const calls: Call<Operation, Answer>[] = [];
  const timed = async (operation: Operation, work: () => Promise<Answer>): Promise<void> => {
    const begun = performance.now();
    const answer = await work();
    calls.push({ operation, begun, ended: performance.now(), answer });
  };
  const marked = (mark: string | undefined): string => mark ?? '';
  await Promise.all(
    stores.map(async (store, client) => {
      const node = `n${client}`;
      for (let index = 0; index < CALLS; index++) {
        const choice = Math.random();
        if (choice < 0.35) await timed({ type: 'create', node }, () => store.create({ cidr, node, pool: 'p' }));
        else if (choice < 0.55)
          await timed({ type: 'delete', node }, () => store.delete({ cidr, node, pool: 'p' }).then(() => 'done'));
        else {
          let from: string | undefined;
          let seen: Awaited<ReturnType<BlockStore['get']>>;
          await timed({ type: 'get' }, async () => {
            seen = await store.get(cidr);
            from = seen && `${seen.node} ${marked(seen.offers?.[0])}`;
            return from ?? 'none';
          });
          const [before, name] = [seen, from];
          if (before === undefined || name === undefined) continue;
          const to = `10.65.${client}.${index}`;
          const after = { cidr, node: before.node, pool: before.pool, offers: [to] };
          await timed({ type: 'swap', from: name, to }, async () =>
            (await store.replace(before, after)) === undefined ? 'lost' : 'swapped',
          );
        }
      }
    }),
  );
  return calls;
}

describe('linearizability', () => {
  const call = (operation: Operation, begun: number, ended: number, answer: Answer | undefined) => ({
    operation,
    begun,
    ended,
    answer,
  });
  it('is seen to be missing: two creators, a stale read, a swap that two win', () => {
    const [a, b] = [{ type: 'create', node: 'a' } as const, { type: 'create', node: 'b' } as const];
    const swap = (to: string) => ({ type: 'swap', from: 'a ', to }) as const;
    expect(isLinearizable([call(a, 0, 2, 'created'), call(b, 1, 3, 'exists')], null, model)).to.equal(true);
    expect(isLinearizable([call(a, 0, 2, 'created'), call(b, 1, 3, 'created')], null, model)).to.equal(false);
    expect(isLinearizable([call(a, 0, 1, 'created'), call({ type: 'get' }, 2, 3, 'none')], null, model)).to.equal(
      false,
    );
    expect(isLinearizable([call(a, 0, 3, 'created'), call({ type: 'get' }, 1, 2, 'none')], null, model)).to.equal(true);
    expect(
      isLinearizable(
        [call(a, 0, 1, 'created'), call(swap('x'), 2, 4, 'swapped'), call(swap('y'), 3, 5, 'swapped')],
        null,
        model,
      ),
    ).to.equal(false);
    expect(isLinearizable([call(a, 0, 1, undefined), call({ type: 'get' }, 2, 3, 'a ')], null, model)).to.equal(true);
  });
  for (const { name, open } of STORES)
    it(`holds on ${name}`, async function () {
      this.timeout(60_000 + ROUNDS * 5_000);
      const opened = await open();
      try {
        const stores = await Promise.all(Array.from({ length: CLIENTS }, () => opened.another()));
        for (let round = 0; round < ROUNDS; round++) {
          const calls = await history(stores, `10.65.${round % 256}.0/26`);
          expect(isLinearizable(calls, null, model), JSON.stringify(calls)).to.equal(true);
        }
      } finally {
        await opened.close();
      }
    });
});
