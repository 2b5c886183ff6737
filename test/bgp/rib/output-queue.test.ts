import { expect } from 'chai';
import { OutputQueue, type Output } from 'node-bgp/rib/output-queue';

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
      queue.take(fast, 1, { buffers: [], messages: 0 });
    }
    queue.move(slow, other);
    expect([other.pending(slow), queue.pending(fast)]).to.deep.equal([count, 0]);
    let read = 0;
    const out: Output = { buffers: [], messages: 0 };
    for (; other.take(slow, 1000, out) > 0; out.buffers.length = 0)
      for (const bytes of out.buffers) expect(bytes[0]).to.equal(read++ & 255);
    expect([read, other.pending(slow)]).to.deep.equal([count, 0]);
  });
});
