import type { Owner } from '@tortie/ipam';
import { expect } from 'chai';
import { LeakSweeper } from '../../src/agent/leak-sweeper.js';
import { createLogger } from '../../src/log.js';

const owner = (containerId: string): Owner => ({
  network: 'tortie',
  containerId,
  interfaceName: 'eth0',
  namespace: 'shop',
  pod: containerId,
});

describe('agent/leak-sweeper', () => {
  let owners: Owner[];
  let pods: Set<string> | undefined;
  let interfaces: Set<string>;
  let released: string[];
  let sweeper: LeakSweeper;

  beforeEach(() => {
    owners = [owner('a'), owner('b')];
    pods = new Set(['a', 'b']);
    interfaces = new Set(['a', 'b']);
    released = [];
    sweeper = new LeakSweeper({
      owners: () => owners,
      withoutInterface: (candidates) => candidates.filter(({ containerId }) => !interfaces.has(containerId)),
      hasPod: ({ pod }) => pods?.has(pod),
      release: async ({ containerId }) => {
        if (containerId === 'stuck') throw new Error('the disk is full');
        released.push(containerId);
        owners = owners.filter((one) => one.containerId !== containerId);
      },
      log: createLogger('test', { level: 'silent' }),
    });
  });
  const look = async (times: number): Promise<readonly string[]> => {
    for (let i = 0; i < times; i++) await sweeper.look();
    return released;
  };

  it('releases who has neither a pod nor an interface, on the second look', async () => {
    pods?.delete('a');
    interfaces.delete('a');
    expect(await look(1)).to.deep.equal([]);
    expect(await look(2)).to.deep.equal(['a']);
  });

  it('believes no witness alone', async () => {
    pods?.delete('a');
    interfaces.delete('b');
    expect(await look(3)).to.deep.equal([]);
  });

  it('begins anew when a suspect turns out to live', async () => {
    pods?.delete('a');
    interfaces.delete('a');
    await look(1);
    interfaces.add('a');
    await look(1);
    interfaces.delete('a');
    expect(await look(1)).to.deep.equal([]);
    expect(await look(1)).to.deep.equal(['a']);
  });

  it('judges nobody while the API cannot tell', async () => {
    pods = undefined;
    interfaces.clear();
    expect(await look(3)).to.deep.equal([]);
  });

  it('goes on after a release that failed', async () => {
    owners = [owner('stuck')];
    pods?.clear();
    interfaces.clear();
    expect(await look(3)).to.deep.equal([]);
    owners = [owner('a')];
    expect(await look(2)).to.deep.equal(['a']);
  });
});
