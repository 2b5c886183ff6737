/** Changes and nodes as tests of src/change need them. */
import type { Change, ChangeEntry, ChangeStatus } from '../../src/api/change.js';
import type { NodeWord } from '../../src/change/rollout.js';
import type { SessionVitals, Vitals } from '../../src/change/trial.js';

export const T0 = Date.parse('2026-01-01T00:00:00Z');

export const peerEntry = (
  name: string,
  spec: Readonly<Record<string, unknown>> = { peerIP: '192.0.2.1' },
): ChangeEntry => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPPeer',
  name,
  object: { apiVersion: 'projectcalico.org/v3', kind: 'BGPPeer', metadata: { name }, spec },
});

export const changeOf = (
  name: string,
  {
    status,
    spec,
    age = 0,
  }: { readonly status?: ChangeStatus; readonly spec?: Partial<Change['spec']>; readonly age?: number } = {},
): Change => ({
  metadata: {
    name,
    uid: `uid-${name}`,
    generation: 1,
    creationTimestamp: new Date(T0 - age * 1000).toISOString().replace('.000Z', 'Z'),
  },
  spec: { confirmSeconds: 300, objects: [peerEntry('p')], ...spec },
  ...(status === undefined ? {} : { status }),
});

export const word = (
  name: string,
  state?: 'Taken' | 'Well' | 'Reverted',
  change = 'c',
  message?: string,
): NodeWord => ({
  name,
  isHeard: true,
  change: state === undefined ? undefined : { name: change, uid: `uid-${change}`, state, ...(message && { message }) },
});

export const session = (name: string, more: Partial<SessionVitals> = {}): SessionVitals => ({
  name,
  isEstablished: true,
  accepted: 3,
  told: 2,
  ...more,
});

export const vitals = (more: Partial<Vitals> = {}): Vitals => ({
  bgpProblem: undefined,
  sessions: [session('a'), session('b')],
  problems: [],
  probes: [],
  ...more,
});
