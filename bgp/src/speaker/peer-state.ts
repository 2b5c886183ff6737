/** The one state that is shown of a peer, which may have three connections, each with its own (RFC 4271 section 8.2.2). */
import type { FsmStateType } from '../fsm/state.js';

const RANK: Readonly<Record<FsmStateType, number>> = {
  Idle: 0,
  Active: 1,
  Connect: 2,
  OpenSent: 3,
  OpenConfirm: 4,
  Established: 5,
};

export const furthest = (states: readonly FsmStateType[]): FsmStateType =>
  states.reduce((best, each) => (RANK[each] > RANK[best] ? each : best), 'Idle');
