/** Events: told once, counted, bounded, and never anybody's trouble. */
import { expect } from 'chai';
import type { Event } from '../../src/api/core.js';
import { EventRecorder, type Happening } from '../../src/cluster/event-recorder.js';
import { ApiError } from '../../src/datastore/datastore.js';
import { createLogger } from '../../src/log.js';

const pod = { metadata: { name: 'web', namespace: 'shop', uid: 'u1' } };
const failed = (note: string, object: Happening['object'] = pod): Happening => ({
  kind: 'pods',
  object,
  type: 'Warning',
  reason: 'FailedAttach',
  action: 'Attaching',
  note,
});

describe('cluster/event-recorder', () => {
  let now: number;
  let fault: Error | undefined;
  let attempts: number;
  let stored: Map<string, Event>;
  let recorder: EventRecorder;

  const notes = (): readonly string[] => [...stored.values()].map(({ note }) => note);
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  };
  const say = async (...happenings: readonly Happening[]): Promise<void> => {
    for (const happening of happenings) recorder.record(happening);
    await settled();
  };
  const put = async (event: Event): Promise<Event> => {
    attempts += 1;
    if (fault !== undefined) throw fault;
    stored.set(event.metadata.name, event);
    return event;
  };

  beforeEach(() => {
    now = Date.parse('2026-12-01T08:00:00.250Z');
    fault = undefined;
    attempts = 0;
    stored = new Map();
    recorder = new EventRecorder({
      component: 'tortie-agent',
      instance: 'node1',
      now: () => now,
      log: createLogger('test', { level: 'silent' }),
      datastore: {
        create: async (_kind, object) => (await put(object as Event)) as never,
        replace: async (_kind, object) => (await put(object as Event)) as never,
      },
    });
  });
  afterEach(() => recorder.stop());

  it('names object, reporter and time as events.k8s.io/v1 wants them', async () => {
    await say(failed('no address'));
    const [{ metadata, ...event } = { metadata: { name: '' } }] = stored.values();
    expect(metadata.name).to.match(/^web\.[0-9a-f]+$/);
    expect(event).to.deep.equal({
      regarding: { apiVersion: 'v1', kind: 'Pod', name: 'web', namespace: 'shop', uid: 'u1' },
      eventTime: '2026-12-01T08:00:00.250000Z',
      type: 'Warning',
      reason: 'FailedAttach',
      action: 'Attaching',
      note: 'no address',
      reportingController: 'tortie-agent',
      reportingInstance: 'node1',
    });
  });

  it('counts what comes again, and writes the count once a minute', async () => {
    await say(failed('no address'));
    await say(failed('no address'));
    expect([...stored.values()].map(({ series }) => series?.count)).to.deep.equal([2]);
    for (let again = 0; again < 10; again++) await say(failed('no address'));
    expect([stored.size, attempts]).to.deep.equal([1, 2]);
    now += 61_000;
    await say(failed('no address'));
    expect([...stored.values()].map(({ series }) => series)).to.deep.equal([
      { count: 13, lastObservedTime: '2026-12-01T08:01:01.250000Z' },
    ]);
    expect(attempts).to.equal(3);
  });

  it('calls it new after half an hour of silence', async () => {
    await say(failed('no address'));
    now += 31 * 60_000;
    await say(failed('no address'));
    expect([...stored.values()].map(({ series }) => series)).to.deep.equal([undefined, undefined]);
  });

  it('begins anew when the server has forgotten the event', async () => {
    await say(failed('no address'));
    stored.clear();
    fault = new ApiError('gone', 404, 'NotFound');
    await say(failed('no address'));
    fault = undefined;
    await say(failed('no address'));
    expect(notes()).to.deep.equal(['no address']);
  });

  it('cuts what users wrote to what the API takes, by octets, and escapes what terminals obey', async () => {
    await say(failed('ä'.repeat(1000)), failed('\u001b[31mred'));
    const [long = '', red] = notes();
    expect(Buffer.byteLength(long)).to.be.within(900, 1024);
    expect(red).to.equal('\\u001b[31mred');
  });

  it('writes no more than a burst at once, and a different text each time does not pass for ever', async () => {
    const pods = Array.from({ length: 60 }, (_, index) => ({ metadata: { name: `pod${index}`, namespace: 'shop' } }));
    await say(...pods.map((object) => failed('no address', object)));
    expect(stored.size).to.equal(25);
    now += 1_000_000;
    await say(failed('one more'));
    expect(stored.size).to.equal(50);
    now += 1_000_000;
    stored.clear();
    for (let index = 0; index < 200; index++) {
      now += 200;
      recorder.record(failed(`at ${index}`));
      if (index % 20 === 19) await settled();
    }
    expect(notes().filter((note) => note.startsWith('at ')).length).to.be.within(15, 25);
  });

  it('tries a server that is away again, not one that refuses', async () => {
    fault = new ApiError('you may not', 403, 'Forbidden');
    await say(failed('refused'));
    fault = new Error('connect ECONNREFUSED');
    await say(failed('no address'));
    await say(failed('another'));
    expect(attempts).to.equal(2);
    now += 11_000;
    fault = undefined;
    await say(failed('a third'));
    expect(notes()).to.have.members(['no address', 'another', 'a third']);
  });

  it('gives up on a server that stays away, and says the next', async () => {
    fault = new Error('connect ECONNREFUSED');
    for (let minute = 0; minute < 14; minute++) {
      await say(failed('early'));
      now += 60_000;
    }
    fault = undefined;
    now += 60_000;
    await say(failed('late'));
    expect([...stored.values()].map(({ note, series }) => [note, series])).to.have.deep.members([
      ['early', undefined],
      ['late', undefined],
    ]);
  });
});
