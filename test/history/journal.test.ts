import { expect } from 'chai';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HistoryEntry } from '../../src/history/entry.js';
import { Journal, MOST_AGE, MOST_FILES, type JournalOptions } from '../../src/history/journal.js';
import { lastNoted, readJournals } from '../../src/history/read-journals.js';
import { createLogger } from '../../src/log.js';

const entry = (message: string, at = '2026-12-01T08:00:00.000Z'): HistoryEntry => ({
  at,
  type: 'process',
  process: 'agent',
  message,
});

describe('history/journal', () => {
  let stateDir = '';
  const log = createLogger('test', { level: 'silent' });
  beforeEach(() => (stateDir = mkdtempSync(join(tmpdir(), 'tortie-history-'))));
  afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

  const journal = (more: Partial<JournalOptions> = {}): Journal =>
    new Journal({ stateDir, name: 'agent', log, ...more });
  const files = (): readonly string[] => readdirSync(join(stateDir, 'history')).sort();
  const messages = (): readonly string[] =>
    readJournals(stateDir).entries.map((each) => (each.type === 'process' ? each.message : ''));

  it('reads back what was added, over restarts, for root alone', async () => {
    const first = journal();
    first.add(entry('one'));
    await first.flush();
    const second = journal();
    second.add(entry('two', '2026-12-01T09:00:00.000Z'));
    await second.flush();
    expect(messages()).to.deep.equal(['one', 'two']);
    expect(lastNoted(stateDir, 'agent')).to.equal('2026-12-01T09:00:00.000Z');
    expect(statSync(join(stateDir, 'history')).mode & 0o777).to.equal(0o700);
    expect(statSync(join(stateDir, 'history', 'agent.jsonl')).mode & 0o777).to.equal(0o600);
  });

  it('a line that a crash cut off costs itself alone', async () => {
    const first = journal();
    first.add(entry('one'));
    await first.flush();
    appendFileSync(join(stateDir, 'history', 'agent.jsonl'), '{"at":"2026-12-0');
    const second = journal();
    second.add(entry('two'));
    await second.flush();
    expect(messages()).to.deep.equal(['one', 'two']);
    expect(readJournals(stateDir).broken).to.equal(1);
  });

  it('never takes more than its files, and keeps the newest', async () => {
    const small = journal({ mostBytes: 1_000 });
    for (let round = 0; round < 60; round++) {
      for (let each = 0; each < 10; each++) small.add(entry(`${round}.${each}`));
      await small.flush();
    }
    expect(files()).to.have.length(MOST_FILES);
    const bytes = files().reduce((sum, name) => sum + statSync(join(stateDir, 'history', name)).size, 0);
    expect(bytes).to.be.lessThan(MOST_FILES * 3_000);
    expect(messages()).to.include('59.9').and.not.include('0.0');
  });

  it('counts what comes too fast to be noted', async () => {
    const flooded = journal();
    for (let each = 0; each < 5_010; each++) flooded.add(entry('x'));
    await flooded.flush();
    expect(messages()).to.have.length(5_001);
    expect(messages().at(-1)).to.equal('10 happenings came too fast to be noted');
  });

  it('what is older than two weeks goes, of others nothing', () => {
    journal();
    const old = (Date.now() - MOST_AGE - 60_000) / 1_000;
    for (const name of ['agent.1.jsonl', 'bgpd.1.jsonl']) {
      writeFileSync(join(stateDir, 'history', name), '');
      utimesSync(join(stateDir, 'history', name), old, old);
    }
    journal();
    expect(files()).to.deep.equal(['bgpd.1.jsonl']);
  });

  it('a disk that takes nothing stops nobody, and is told of once', async () => {
    writeFileSync(join(stateDir, 'history'), 'a file where the folder would be');
    const warned: string[] = [];
    const telling = { ...log, warn: (_: object, text: string) => void warned.push(text) } as unknown as typeof log;
    const deaf = journal({ log: telling });
    for (const text of ['one', 'two']) {
      deaf.add(entry(text));
      await deaf.flush();
    }
    expect(new Set(warned).size).to.equal(warned.length);
    expect(warned.join()).to.include('Cannot note what happens');
    expect(lastNoted(stateDir, 'agent')).to.equal(undefined);
    expect(() => readJournals(stateDir)).to.throw(/Cannot read what this node has noted in/);
  });
});
