/** The ring of session events. */
import { expect } from 'chai';
import { History } from 'node-bgp/speaker/history';
import type { SpeakerEvent } from 'node-bgp/speaker/event';
import type { FsmStateType } from 'node-bgp/fsm/state';

const state = (peer: string, to: FsmStateType): SpeakerEvent => ({ type: 'peer-state', peer, state: to });
const failed = (peer: string): SpeakerEvent => ({ type: 'attempt-failed', peer, direction: 'local', reason: 'nobody' });

describe('bgp/speaker history', () => {
  it('keeps the last events in order, of all or of one peer', () => {
    const history = new History(3);
    for (const [at, peer] of ['a', 'b', 'a', 'c'].entries()) history.add(at, failed(peer));
    expect(history.entries().map(({ at }) => at)).to.deep.equal([1, 2, 3]);
    expect(history.entries('a').map(({ at }) => at)).to.deep.equal([2]);
  });

  it('is not filled by a peer that is away and tried for ever', () => {
    const history = new History(20);
    history.add(0, failed('other'));
    for (let at = 1; at <= 1000; at++) {
      history.add(at, state('dead', 'Connect'));
      if (at === 2) history.add(at, failed('dead'));
      history.add(at, state('dead', 'Idle'));
    }
    const texts = history
      .entries()
      .map(({ at, event }) => `${at} ${event.type === 'peer-state' ? event.state : event.type}`);
    expect(texts).to.deep.equal(['0 attempt-failed', '1 Connect', '1 Idle', '2 attempt-failed', '2 Idle', '3 Connect']);
    history.add(1001, state('dead', 'OpenSent'));
    expect(history.entries().at(-1)?.event).to.include({ state: 'OpenSent' });
  });
});
