import { expect } from 'chai';
import { readinessOf } from '../../src/bgpd/readiness.js';

type Daemon = Parameters<typeof readinessOf>[0];

const daemon = (summary: object | undefined, refused = 0): Daemon =>
  ({
    speaker: {
      config: summary === undefined ? undefined : {},
      summary: () => ({ peers: [], listen: [], isRestarting: false, ...summary }),
    },
    fibStatus: { refused },
  }) as unknown as Daemon;

const failed = (given: Daemon): readonly string[] =>
  readinessOf(given)
    .filter(({ problems }) => problems.length > 0)
    .map(({ name }) => name);

describe('bgpd/readiness', () => {
  const up = { isEstablished: true };
  const down = { isEstablished: false };

  it('waits for a configuration', () => expect(failed(daemon(undefined))).to.deep.equal(['configuration']));
  it('is well without peers', () => expect(failed(daemon({}))).to.deep.equal([]));
  it('is well with one session of several', () => expect(failed(daemon({ peers: [down, up] }))).to.deep.equal([]));
  it('waits for a session', () => expect(failed(daemon({ peers: [down, down] }))).to.deep.equal(['sessions']));
  it('waits for the end of a restart', () =>
    expect(failed(daemon({ isRestarting: true, peers: [up] }))).to.deep.equal(['restart']));
  it('names what it cannot listen on, and a kernel that refuses', () =>
    expect(failed(daemon({ listen: [{ problem: 'in use' }] }, 3))).to.deep.equal(['listen', 'kernel']));
});
