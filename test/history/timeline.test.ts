import { expect } from 'chai';
import { parseEntry, type HistoryEntry, type ObjectEntry } from '../../src/history/entry.js';
import { formatTimeline, parseSince, timelineOf, type TimelineEntry } from '../../src/history/timeline.js';

const NOW = Date.parse('2026-12-01T12:00:00Z');
const object = (at: string, more: Partial<ObjectEntry> = {}): ObjectEntry => ({
  at,
  type: 'object',
  kind: 'BGPPeer',
  name: 'rack',
  verb: 'changed',
  version: 'u 7',
  by: 'kubectl-edit',
  fields: [{ path: 'spec.asNumber', before: '65001', after: '65002' }, { path: 'metadata.labels[a/b]' }],
  ...more,
});
const on = (node: string, entry: HistoryEntry): TimelineEntry => ({ node, entry });
const entries: readonly TimelineEntry[] = [
  on('n2', { at: '2026-12-01T11:00:02.000Z', type: 'route', event: 'withdrawn', prefix: '10.65.0.0/26', peer: 'rack' }),
  on('n2', object('2026-12-01T11:00:00.200Z')),
  on('n1', object('2026-12-01T11:00:00.100Z')),
  on('n3', object('2026-12-01T11:00:00.000Z', { verb: 'found' })),
  on('n1', object('2026-12-01T11:30:00.000Z', { verb: 'deleted', by: 'x\u001b[2J', fields: [] })),
  on('n1', {
    at: '2026-12-01T11:00:01.000Z',
    type: 'session',
    peer: 'rack',
    event: 'down',
    reason: 'hold timer expired',
  }),
  on('n1', { at: '2026-12-01T11:00:03.000Z', type: 'route', event: 'more', count: 7 }),
  on('n1', { at: '2026-11-20T11:00:03.000Z', type: 'process', process: 'agent', message: '0.1.0 started' }),
];

describe('history/timeline', () => {
  it('has one line of time, and a change that several nodes saw once', () =>
    expect(formatTimeline(timelineOf(entries, { since: parseSince('2h', NOW) })).split('\n')).to.deep.equal([
      '2026-12-01 11:00:00.000Z  n3  object   BGPPeer/rack was changed while nobody watched by kubectl-edit: ' +
        'spec.asNumber 65001 -> 65002, metadata.labels[a/b]',
      '2026-12-01 11:00:01.000Z  n1  session  rack down: hold timer expired',
      '2026-12-01 11:00:02.000Z  n2  route    10.65.0.0/26 withdrawn, rack',
      '2026-12-01 11:00:03.000Z  n1  route    7 more routes changed',
      '2026-12-01 11:30:00.000Z  n1  object   BGPPeer/rack deleted by x\\u001b[2J',
    ]));

  for (const [wanted, count] of [
    ['bgppeer/RACK', 3],
    ['rack', 4],
    ['10.65.0.0/26', 1],
    ['other', 0],
  ] as const)
    it(`of ${wanted}: ${count}`, () => expect(timelineOf(entries, { since: 0, object: wanted })).to.have.length(count));

  it('by type, and since when', () => {
    expect(timelineOf(entries, { since: 0, types: ['process', 'session'] })).to.have.length(2);
    expect(timelineOf(entries, { since: parseSince('2026-12-01T11:10:00Z', NOW) })).to.have.length(1);
    for (const text of ['yesterday', '5', '-1h', '5w']) expect(() => parseSince(text, NOW), text).to.throw(/--since/);
    expect(formatTimeline([])).to.equal('Nothing has been noted');
  });

  it('takes no line that is no entry', () => {
    for (const line of [
      '',
      '{',
      'null',
      '7',
      '{"at":"x","type":"route"}',
      '{"at":"2026-12-01T11:00:00Z","type":"other"}',
    ])
      expect(parseEntry(line), line).to.equal(undefined);
    expect(parseEntry(JSON.stringify(object('2026-12-01T11:00:00.000Z')))).to.have.property('kind', 'BGPPeer');
  });
});
