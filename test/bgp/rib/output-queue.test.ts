import { expect } from 'chai';
import { OutputQueue } from 'node-bgp/rib/output-queue';

describe('OutputQueue', () => {
  it('moves a reader that is very far behind, message by message', () => {
    const [queue, other] = [new OutputQueue(64), new OutputQueue(64)];
    const [slow, fast] = [queue.join(1), queue.join(2)];
    const count = 300_000;
    for (let i = 0; i < count; i++) {
      queue.reserve();
      queue.slab.set([i & 255], queue.at);
      queue.commit(queue.at + 1, undefined);
      // The fast one takes each message by itself, so each is a buffer of its own.
      queue.take(fast, 1, []);
    }
    queue.move(slow, other);
    expect([other.pending(slow), queue.pending(fast)]).to.deep.equal([count, 0]);
    let read = 0;
    for (let out: Uint8Array[] = []; other.take(slow, 1000, out) > 0; out = []) for (const bytes of out) expect(bytes[0]).to.equal(read++ & 255);
    expect([read, other.pending(slow)]).to.deep.equal([count, 0]);
  });
});
