import { expect } from 'chai';
import type { HostInterface } from '@tortie/policy/objects';
import { HostInterfaces } from '../../src/agent/host-interfaces.js';
import { createLogger } from '../../src/log.js';

describe('agent/host-interfaces', () => {
  let observed: readonly HostInterface[] | Error;
  let told: (readonly HostInterface[])[];
  let interfaces: HostInterfaces;
  const lo = { name: 'lo', addresses: ['127.0.0.1', '::1'] };
  const eth0 = { name: 'eth0', addresses: ['192.0.2.1'] };

  beforeEach(() => {
    told = [];
    interfaces = new HostInterfaces({
      observe: () => {
        if (observed instanceof Error) throw observed;
        return observed;
      },
      tell: (list) => void told.push(list),
      log: createLogger('test', { level: 'silent' }),
    });
  });

  afterEach(() => interfaces.stop());

  const toldTimes = async (times: number): Promise<void> => {
    for (let i = 0; i < 500 && told.length < times; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(told).to.have.length(times);
  };

  it('tells what the kernel has, and again only what differs', () => {
    observed = [lo, eth0];
    interfaces.level();
    observed = [eth0, { ...lo, addresses: ['::1', '127.0.0.1'] }];
    interfaces.level();
    expect(told).to.deep.equal([[eth0, lo]]);
    observed = [lo];
    interfaces.level();
    expect(told[1]).to.deep.equal([lo]);
  });

  it('takes a burst of events for one', async () => {
    observed = [lo];
    interfaces.level();
    observed = [lo, eth0];
    interfaces.changed();
    interfaces.changed();
    await toldTimes(2);
  });

  it('keeps the last answer and asks again when the kernel cannot be asked', async () => {
    observed = new Error('Cannot list interfaces');
    interfaces.level();
    expect(told).to.deep.equal([]);
    observed = [lo];
    await toldTimes(1);
  });
});
