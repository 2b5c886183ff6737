import { expect } from 'chai';
import { cniHandlers } from '../../src/agent/cni-handlers.js';
import type { PodNetwork } from '../../src/agent/pod-network.js';
import { CniError } from '../../src/cni/cni-error.js';
import { createLogger } from '../../src/log.js';

describe('agent/cni-handlers: STATUS', () => {
  let reason: string | undefined;
  let problem: string | undefined;
  const handlers = cniHandlers({
    pods: {} as PodNetwork,
    unreadiness: () => reason,
    addressProblem: () => problem,
    events: { attached: () => undefined, attachFailed: () => undefined, attachWaits: () => undefined },
    log: createLogger('test', { level: 'silent' }),
  });
  const config = { cniVersion: '1.1.0', name: 'tortie', raw: {} } as const;
  const status = (): Promise<unknown> =>
    handlers.status({ config, signal: new AbortController().signal }).then(
      () => 'well',
      (error: unknown) => error,
    );
  beforeEach(() => {
    reason = undefined;
    problem = undefined;
  });

  it('waits for an agent that starts, as ADD does', async () => {
    reason = 'waiting for pods from the API server';
    setTimeout(() => (reason = undefined), 150);
    expect(await status()).to.equal('well');
  });

  it('is "not available" when no pod whatever could get an address', async () => {
    problem = 'Cannot assign an address to any pod: no enabled IPPool may serve this node';
    const error = await status();
    expect(error).to.be.instanceOf(CniError);
    expect((error as CniError).message).to.equal(problem);
    expect((error as CniError).code).to.equal(50);
  });
});
