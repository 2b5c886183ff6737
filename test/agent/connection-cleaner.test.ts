import { expect } from 'chai';
import { ConnectionCleaner } from '../../src/agent/connection-cleaner.js';
import { createLogger } from '../../src/log.js';

describe('agent/connection-cleaner', () => {
  let walks: string[];
  let isBroken: boolean;
  /** What happens while a walk is under way. */
  let during: () => Promise<void>;
  let cleaner: ConnectionCleaner;
  const eventually = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(holds()).to.equal(true);
  };

  beforeEach(() => {
    walks = [];
    isBroken = false;
    during = async () => undefined;
    cleaner = new ConnectionCleaner(
      async (addresses) => {
        await during();
        if (isBroken) throw new Error('EPERM');
        walks.push(addresses.join());
      },
      createLogger('test', { level: 'silent' }),
      50,
    );
  });
  afterEach(() => cleaner.stop());

  it('walks once for many addresses, behind their backs', async () => {
    cleaner.mark(['a', 'b']);
    cleaner.mark(['c']);
    expect(walks).to.deep.equal([]);
    await eventually(() => walks.length > 0);
    expect(walks).to.deep.equal(['a,b,c']);
    await cleaner.ensure(['a', 'c']);
    expect(walks).to.have.length(1);
  });

  it('does not let an address change hands before its walk', async () => {
    cleaner.mark(['a']);
    await cleaner.ensure(['b']);
    expect(walks).to.deep.equal([]);
    await cleaner.ensure(['a']);
    expect(walks).to.deep.equal(['a']);
  });

  it('lets those that wait share a walk, and walks again for what was marked meanwhile', async () => {
    cleaner.mark(['a', 'b']);
    during = async () => {
      during = async () => undefined;
      await new Promise((resolve) => setTimeout(resolve, 10));
      cleaner.mark(['b', 'c']);
    };
    await Promise.all([cleaner.ensure(['a']), cleaner.ensure(['a']), cleaner.ensure(['b'])]);
    expect(walks).to.deep.equal(['a,b', 'b,c']);
    await cleaner.ensure(['a', 'b', 'c']);
    expect(walks).to.have.length(2);
  });

  it('refuses while the kernel refuses, and tries again by itself', async () => {
    isBroken = true;
    cleaner.mark(['a']);
    const refusal: unknown = await cleaner.ensure(['a']).catch((error: unknown) => error);
    expect(refusal).to.be.an('error').with.property('message', 'EPERM');
    isBroken = false;
    await eventually(() => walks.length > 0);
    expect(walks).to.deep.equal(['a']);
  });
});
