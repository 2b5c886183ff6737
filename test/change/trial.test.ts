import { expect } from 'chai';
import type { ChangePhase, ChangeStatus } from '../../src/api/change.js';
import {
  API_PATIENCE,
  CALM,
  illness,
  judge,
  nextStep,
  SETTLE,
  type Trial,
  type TrialRecord,
} from '../../src/change/trial.js';
import { changeOf, session, vitals } from './world.js';

const trialAt = (step: number, phase: ChangePhase = 'Trial'): ChangeStatus => ({
  phase,
  observedGeneration: 1,
  step,
  nodes: [
    { name: 'n1', step: 0, state: 'Pending' },
    { name: 'n2', step: 1, state: 'Pending' },
  ],
});
const record = (state: TrialRecord['state']): TrialRecord => ({
  name: 'c',
  uid: 'uid-c',
  state,
  takenAt: 0,
  change: changeOf('c'),
  before: vitals(),
  isDialled: true,
  reason: 'why',
});

describe('a change on trial at a node', () => {
  const type = (node: string, status: ChangeStatus | undefined, held?: TrialRecord): string =>
    nextStep(node, status === undefined ? [] : [changeOf('c', { status })], held).type;

  it('is taken when its step has come, not before, and by no node that it does not name', () => {
    expect(type('n1', trialAt(0))).to.equal('take');
    expect(type('n2', trialAt(0))).to.equal('nothing');
    expect(type('n2', trialAt(1))).to.equal('take');
    expect(type('n3', trialAt(1))).to.equal('nothing');
    for (const phase of ['Waiting', 'Reverting', 'Reverted', 'Confirmed'] as const)
      expect(type('n1', trialAt(0, phase)), phase).to.equal('nothing');
  });

  it('is gone back from when somebody ends it, or it is deleted or edited', () => {
    expect(type('n1', trialAt(0), record('taken'))).to.equal('watch');
    expect(nextStep('n1', [], record('taken'))).to.deep.equal({ type: 'revert', reason: 'the Change was deleted' });
    for (const phase of ['Reverting', 'Reverted', 'Waiting'] as const)
      expect(type('n1', trialAt(0, phase), record('taken')), phase).to.equal('revert');
    expect(type('n1', { ...trialAt(0), observedGeneration: 0 }, record('taken'))).to.equal('revert');
  });

  it('is told to the others by who went back alone, until they know', () => {
    expect(type('n1', trialAt(0), record('reverted'))).to.equal('tell');
    expect(type('n1', trialAt(0, 'Reverting'), record('reverted'))).to.equal('nothing');
    expect(type('n1', trialAt(0, 'Reverted'), record('reverted'))).to.equal('forget');
    expect(type('n1', undefined, record('reverted'))).to.equal('forget');
  });

  it('is seen whole by every node from the moment that it is confirmed', () => {
    for (const held of [undefined, record('taken'), record('reverted')]) {
      const change = changeOf('c', { status: trialAt(0, 'Confirming') });
      expect(nextStep('n2', [change], held)).to.deep.equal({ type: 'follow', change, isWritten: false });
    }
    const change = changeOf('c', { status: trialAt(0, 'Confirmed') });
    expect(nextStep('n1', [change], record('taken'))).to.deep.equal({ type: 'follow', change, isWritten: true });
  });

  describe('judged', () => {
    const at = (more: Partial<Trial>): Trial => ({
      now: 100_000,
      takenAt: 0,
      watchedSince: 0,
      apiAt: 100_000,
      wellSince: undefined,
      unwellSince: undefined,
      ...more,
    });
    const taken = record('taken');
    const down = vitals({ sessions: [session('a'), session('b', { isEstablished: false })] });

    it('well only after a while in which all was', () => {
      expect(judge(taken, vitals(), at({})).type).to.equal('wait');
      expect(judge(taken, vitals(), at({ wellSince: 100_000 - CALM + 1 })).type).to.equal('wait');
      expect(judge(taken, vitals(), at({ wellSince: 100_000 - CALM })).type).to.equal('well');
    });

    it('sessions that bgpd has no more end it at once, those that may come back after a while', () => {
      const gone = judge(taken, vitals({ sessions: [session('a')] }), at({ now: 1_000, apiAt: 1_000 }));
      expect(gone).to.deep.equal({ type: 'revert', reason: 'it leaves 1 sessions; expected 2, as before' });
      const early = at({ now: SETTLE - 1, apiAt: SETTLE, unwellSince: 0 });
      expect(judge(taken, down, early).type).to.equal('wait');
      expect(judge(taken, down, at({ watchedSince: 100_000 - SETTLE + 1, unwellSince: 0 })).type).to.equal('wait');
      expect(judge(taken, down, at({ unwellSince: 99_000 })).type).to.equal('wait');
      expect(judge(taken, down, at({ unwellSince: 90_000 }))).to.deep.equal({
        type: 'revert',
        reason: '1 sessions carry routes; expected 2, as before (not: b)',
      });
    });

    it('time that is up and an API server that is away end it', () => {
      expect(judge(taken, vitals(), at({ now: 300_000, apiAt: 300_000 }))).to.deep.equal({
        type: 'revert',
        reason: 'nobody confirmed it within 300 s',
      });
      expect(judge(taken, vitals(), at({ apiAt: 100_000 - API_PATIENCE + 1 })).type).to.equal('wait');
      expect(judge(taken, vitals(), at({ apiAt: 100_000 - API_PATIENCE })).type).to.equal('revert');
    });
  });

  it('what is worse than before, and nothing that was so', () => {
    const spec = {};
    const ill = (
      now: Partial<ReturnType<typeof vitals>>,
      before = vitals(),
      minSessions?: number,
    ): string | undefined =>
      illness({ spec: minSessions === undefined ? spec : { minSessions } }, before, vitals(now))?.why;
    expect(ill({})).to.equal(undefined);
    expect(ill({ sessions: [session('a')] }, vitals(), 1)).to.equal(undefined);
    expect(ill({ sessions: [session('a')] }, vitals(), 2)).to.contain('expected 2 by spec.minSessions');
    expect(ill({ sessions: [session('a'), session('b', { accepted: 0 })] })).to.contain('not: b');
    expect(ill({ sessions: [session('a'), session('b', { told: 0 })] })).to.contain('not: b');
    const bare = vitals({ sessions: [session('a'), session('b', { accepted: 0, told: 0 })] });
    expect(ill(bare, bare)).to.equal(undefined);
    const halfDown = vitals({ sessions: [session('a'), session('b', { isEstablished: false })] });
    expect(ill(halfDown, halfDown)).to.equal(undefined);
    expect(ill({ problems: ['no'] })).to.equal('no');
    expect(ill({ problems: ['no'] }, vitals({ problems: ['no'] }))).to.equal(undefined);
    expect(ill({ probes: [] }, vitals({ probes: ['d/p:1'] }))).to.equal('d/p:1 does not answer, as it did before');
    expect(ill({ probes: ['d/p:1'] })).to.equal(undefined);
    expect(ill({ bgpProblem: 'refused' })).to.equal('refused');
    expect(
      ill({ bgpProblem: 'refused', sessions: undefined }, vitals({ bgpProblem: 'x', sessions: undefined })),
    ).to.equal(undefined);
  });
});
