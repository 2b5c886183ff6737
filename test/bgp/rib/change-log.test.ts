import { expect } from 'chai';
import fc from 'fast-check';
import { ChangeLog, type LogReader } from 'node-bgp/rib/change-log';

describe('ChangeLog', () => {
  it('shows every reader each change made since it last looked', () => {
    const event = fc.oneof(
      { weight: 6, arbitrary: fc.record({ type: fc.constant('change' as const), prefix: fc.nat(20) }) },
      { weight: 3, arbitrary: fc.record({ type: fc.constant('read' as const), reader: fc.nat(2), count: fc.nat(30) }) },
      { weight: 1, arbitrary: fc.constant({ type: 'trim' as const }) },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 400, size: 'max' }), (events) => {
        const log = new ChangeLog();
        const readers = [log.subscribe(), log.subscribe(), log.subscribe()];
        const unseen = readers.map(() => new Set<number>());
        for (const each of events) {
          if (each.type === 'change') {
            log.append(each.prefix);
            for (const set of unseen) set.add(each.prefix);
          } else if (each.type === 'trim') log.trim(Infinity, () => undefined);
          else {
            const reader = readers[each.reader] as LogReader;
            const until = Math.min(log.end, reader.position + each.count);
            for (let at = reader.position; at < until; at++) unseen[each.reader]?.delete(log.at(at));
            log.advance(reader, until);
            if (until === log.end) expect([...(unseen[each.reader] ?? [])]).to.deep.equal([]);
          }
        }
        // Nothing stands there twice ahead of everybody.
        const furthest = Math.max(...readers.map(({ position }) => position));
        const ahead = Array.from({ length: log.end - furthest }, (_, i) => log.at(furthest + i));
        expect(new Set(ahead).size).to.equal(ahead.length);
      }),
    );
  });

  it('keeps what the slowest reader needs, drops the rest, and says which prefixes it has dropped', () => {
    const log = new ChangeLog();
    const [slow, fast] = [log.subscribe(), log.subscribe()];
    for (let prefix = 0; prefix < 20_000; prefix++) log.append(prefix);
    log.advance(fast, log.end);
    log.advance(slow, 10_000);
    const dropped: number[] = [];
    log.trim(Infinity, (prefix) => dropped.push(prefix));
    expect(dropped).to.deep.equal(Array.from({ length: 10_000 }, (_, i) => i));
    expect([log.has(9_999), log.has(10_000), log.length]).to.deep.equal([false, true, 10_000]);
    expect(log.at(10_000)).to.equal(10_000);
    log.unsubscribe(slow);
    log.trim(Infinity, (prefix) => dropped.push(prefix));
    expect(log.length).to.equal(0);
    expect(dropped.length).to.equal(20_000);
  });

  it('calls a reader late once walking the table is cheaper', () => {
    const log = new ChangeLog(10);
    const reader = log.subscribe();
    for (let i = 0; i < 30; i++) log.append(i);
    expect(log.isLong(reader.position, 29)).to.equal(true);
    expect(log.isLong(reader.position, 30)).to.equal(false);
    expect(log.isLong(25, 1)).to.equal(false);
  });
});
