import { expect } from 'chai';
import fc from 'fast-check';
import { NetlinkBatch } from '../../src/dataplane/netlink/index.js';
import { goldenOrder, WriteOrder } from '../../src/bgpd/write-order.js';

describe('bgpd write-order', () => {
  /** Changes of prefixes by number, each of some messages; negative: IPv6. */
  const orderOf = (
    changes: readonly (readonly [number, number])[],
  ): readonly (readonly [number, number])[] | undefined => {
    const order = new WriteOrder();
    const messages: (readonly [number, number])[] = [];
    for (const [prefix, count] of changes) {
      order.note(prefix < 0 ? 6 : 4, Uint32Array.of(Math.abs(prefix) * 256, 0, 0, 0), 0, 24, messages.length);
      for (let i = 0; i < count; i++) messages.push([prefix, messages.length]);
    }
    const found = order.order(messages.length);
    return found && [...found].map((index) => messages[index] ?? [NaN, NaN]);
  };

  it('leaves a few changes as they are', () => {
    expect(orderOf(Array.from({ length: 4095 }, (_, i) => [i, 1]))).to.equal(undefined);
  });

  it('leaves what is in no order as it is', () => {
    expect(orderOf(Array.from({ length: 20_000 }, (_, i) => [(i * 7_919) % 20_000, 1]))).to.equal(undefined);
    expect(orderOf(Array.from({ length: 20_000 }, (_, i) => [20_000 - i, 1]))).to.equal(undefined);
  });

  it('moves IPv4 prefixes far from their neighbours, and IPv6 ones to the front', () => {
    const order = orderOf(Array.from({ length: 20_000 }, (_, i) => [i % 4 === 0 ? -i - 1 : i, 1])) ?? [];
    const [six, four] = [order.slice(0, 5_000), order.slice(5_000)];
    expect(six.every(([prefix]) => prefix < 0)).to.equal(true);
    expect(six.map(([, message]) => message)).to.deep.equal(six.map(([, message]) => message).sort((a, b) => a - b));
    const steps = four.slice(1).map(([prefix], i) => Math.abs(prefix - (four[i]?.[0] ?? 0)));
    expect(Math.min(...steps)).to.be.greaterThan(1_000);
  });

  it('is of all messages once, keeps those of a change together and those of a prefix in their order', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 2, max: 9 }), (seed, often) => {
        // Two ascending runs: some prefixes of the first come again in the second, and have to wait.
        const noise = (n: number): number => ((n * 2_654_435_761 + seed) >>> 8) % 16;
        const first = Array.from(
          { length: 5_000 },
          (_, n) => [noise(n) === 0 ? -n - 1 : n, 1 + (noise(n) & 1)] as const,
        );
        const again = first.filter((_, n) => n % often === 0);
        const changes = [...first, ...again];
        const order = orderOf(changes) ?? [];
        const total = changes.reduce((sum, [, count]) => sum + count, 0);
        const messages = new Set(order.map(([, message]) => message));
        const last = new Map<number, number>();
        const isKept = order.every(([prefix, message]) => {
          const before = last.get(prefix) ?? -1;
          last.set(prefix, message);
          return message > before;
        });
        expect([messages.size, order.length, isKept]).to.deep.equal([total, total, true]);
      }),
      { numRuns: 20 },
    );
  });

  it('begins anew with each batch', () => {
    const order = new WriteOrder();
    for (let i = 0; i < 5_000; i++) order.note(4, Uint32Array.of(i), 0, 32, i);
    order.clear();
    expect(order.order(0)).to.equal(undefined);
  });

  for (const length of [0, 1, 2, 3, 10, 144, 4_096, 5_001])
    it(`has each of ${length} numbers once`, () =>
      expect([...goldenOrder(length)].sort((a, b) => a - b)).to.deep.equal(Array.from({ length }, (_, i) => i)));

  it('is that of the messages of a batch, with what each does', () => {
    const batch = new NetlinkBatch(64);
    const bodies = [4, 12, 8, 20];
    for (const [index, size] of bodies.entries()) {
      batch.beginMessage(24, 0, () => `message ${index}`);
      batch.octets(new Uint8Array(size).fill(index + 1));
      batch.endMessage();
    }
    batch.reorder(Uint32Array.of(2, 0, 3, 1));
    const read = [0, 1, 2, 3].map((at) => {
      const bytes = batch.bytes.subarray(batch.offsetOf(at), batch.offsetOf(at + 1));
      return [batch.subjectOf(at), bytes.length - 16, bytes[16]];
    });
    expect(read).to.deep.equal([2, 0, 3, 1].map((index) => [`message ${index}`, bodies[index], index + 1]));
    batch.beginMessage(24, 0, () => 'one more');
    batch.endMessage();
    expect([batch.count, batch.subjectOf(4)]).to.deep.equal([5, 'one more']);
  });
});
