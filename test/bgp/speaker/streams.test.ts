import { expect } from 'chai';
import type { SpeakerConfig } from 'node-bgp/config';
import type { SpeakerEvent, SpeakerEventListener } from 'node-bgp/speaker/event';
import { eventStream } from 'node-bgp/speaker/event-stream';
import type { ForwardingEntry } from 'node-bgp/rib/forwarding-entry';
import { Bell, routeStream } from 'node-bgp/speaker/route-stream';
import { Speaker } from 'node-bgp/speaker/speaker';

const PORT = 34_000 + (process.pid % 2_000);

/** One source that counts who listens. */
function source() {
  const listeners = new Set<SpeakerEventListener>();
  return {
    listeners,
    subscribe: (listener: SpeakerEventListener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    publish: (event: SpeakerEvent) => {
      for (const listener of listeners) listener(event);
    },
  };
}
const warning = (n: number): SpeakerEvent => ({ type: 'peer-warning', peer: 'p', reason: String(n) });

describe('bgp/speaker event-stream', () => {
  it('gives the kinds that were asked for, in order, before and after the reader waits', async () => {
    const { subscribe, publish } = source();
    const stream = eventStream(subscribe, ['peer-warning']);
    const first = stream.next();
    publish({ type: 'listening', address: '::', port: 179 });
    publish(warning(1));
    publish(warning(2));
    expect((await first).value).to.deep.equal(warning(1));
    expect((await stream.next()).value).to.deep.equal(warning(2));
    await stream.return();
  });

  it('drops the oldest of a reader that does not keep up, and tells it how many', async () => {
    const { subscribe, publish } = source();
    const stream = eventStream(subscribe, []);
    const first = stream.next();
    publish(warning(0));
    await first;
    for (let n = 1; n <= 5000; n++) publish(warning(n));
    expect((await stream.next()).value).to.deep.equal({ type: 'events-lost', count: 904 });
    for (let n = 905; n <= 5000; n++) expect((await stream.next()).value).to.deep.equal(warning(n));
    await stream.return();
  });

  it('stops listening when the reader leaves its loop, and when it is told to', async () => {
    const { subscribe, publish, listeners } = source();
    const leaving = (async () => {
      for await (const event of eventStream(subscribe, [])) return event;
      return undefined;
    })();
    publish(warning(1));
    await leaving;
    expect(listeners.size).to.equal(0);
    const abort = new AbortController();
    const waiting = eventStream(subscribe, [], abort.signal).next();
    expect(listeners.size).to.equal(1);
    abort.abort();
    expect([(await waiting).done, listeners.size]).to.deep.equal([true, 0]);
  });
});

describe('bgp/speaker route-stream', () => {
  const entry = (address: bigint): ForwardingEntry => ({
    hops: [{ address: { family: 4, value: address }, interfaceName: 'eth0', weight: 1 }],
  });

  it('writes both families as text, waits when there is nothing, and sees what came while it was busy', async () => {
    const log: (readonly [4 | 6, readonly number[], number, ForwardingEntry | undefined])[] = [
      [4, [0x0a410000], 26, entry(0x0a000002n)],
      [6, [0xfd000065, 0, 0, 1], 128, entry(0x0a000002n)],
    ];
    const bell = new Bell();
    const stream = routeStream((sink, limit) => {
      for (const [family, words, length, to] of log.splice(0, limit))
        sink(family, Uint32Array.from([7, ...words]), 1, length, to);
      return log.length > 0;
    }, bell);
    const via = [{ address: '10.0.0.2', interfaceName: 'eth0', weight: 1 }];
    expect((await stream.next()).value).to.deep.equal({ prefix: '10.65.0.0/26', via });
    log.push([4, [0x0a410000], 26, undefined]);
    bell.ring();
    expect((await stream.next()).value).to.deep.equal({ prefix: 'fd00:65::1/128', via });
    expect((await stream.next()).value).to.deep.equal({ prefix: '10.65.0.0/26', via: [] });
    const waiting = stream.next();
    log.push([4, [0], 0, entry(0x0a000003n)]);
    bell.ring();
    expect((await waiting).value).to.deep.equal({
      prefix: '0.0.0.0/0',
      via: [{ address: '10.0.0.3', interfaceName: 'eth0', weight: 1 }],
    });
    await stream.return();
  });

  it('takes routes back when a new router id takes a new table', async () => {
    const at = (self: number, other: number, more: Partial<SpeakerConfig> = {}): SpeakerConfig => ({
      localAs: 64500 + self,
      routerId: `10.0.0.${self}`,
      listen: [{ address: `127.0.7.${self}`, port: PORT }],
      peers: [
        {
          address: `127.0.7.${other}`,
          port: PORT,
          localAddress: `127.0.7.${self}`,
          remoteAs: 64500 + other,
          multihop: 2,
        },
      ],
      ...more,
    });
    const [one, two] = [new Speaker({ keepRoutes: true }), new Speaker()];
    try {
      await Promise.all([
        one.configure(at(2, 3)),
        two.configure(at(3, 2, { originate: [{ prefix: '10.65.3.0/24' }] })),
      ]);
      const seen: number[] = [];
      for await (const { prefix, via } of one.routes()) {
        expect(prefix).to.equal('10.65.3.0/24');
        seen.push(via.length);
        if (seen.length === 1) await one.configure(at(2, 3, { routerId: '10.0.0.77' }));
        if (seen.length === 3) break;
      }
      expect(seen, 'there, gone with the old table, there again').to.deep.equal([1, 0, 1]);
    } finally {
      await Promise.all([one.stop(), two.stop()]);
    }
  });

  it('has one reader, of a speaker that keeps routes', async () => {
    const refusal = async (speaker: Speaker): Promise<string> =>
      await speaker
        .routes()
        .next()
        .then(
          () => 'none',
          (error: unknown) => String(error),
        );
    expect(await refusal(new Speaker())).to.contain('make it with { keepRoutes: true }');
    const speaker = new Speaker({ keepRoutes: true });
    const abort = new AbortController();
    const first = speaker.routes(abort.signal).next();
    expect(await refusal(speaker)).to.contain('expected one reader at a time');
    abort.abort();
    expect((await first).done).to.equal(true);
    const again = new AbortController();
    const second = speaker.routes(again.signal).next();
    again.abort();
    expect((await second).done).to.equal(true);
    await speaker.stop();
  });
});
