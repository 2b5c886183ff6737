import { expect } from 'chai';
import { ConnectionCleaner } from '../../src/agent/connection-cleaner.js';
import { createLogger } from '../../src/log.js';

describe('agent/connection-cleaner', () => {
  let walks: string[];
  let isBroken: boolean;
  let cleaner: ConnectionCleaner;
  const eventually = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(holds()).to.equal(true);
  };

  beforeEach(() => {
    walks = [];
    isBroken = false;
    cleaner = new ConnectionCleaner((addresses) => {
      if (isBroken) throw new Error('EPERM');
      walks.push(addresses.join());
    }, createLogger('test', { level: 'silent' }), 50);
  });
  afterEach(() => cleaner.stop());

  it('walks once for many addresses, behind their backs', async () => {
    cleaner.mark(['a', 'b']);
    cleaner.mark(['c']);
    expect(walks).to.deep.equal([]);
    await eventually(() => walks.length > 0);
    expect(walks).to.deep.equal(['a,b,c']);
    cleaner.ensure(['a', 'c']);
    expect(walks).to.have.length(1);
  });

  it('does not let an address change hands before its walk', () => {
    cleaner.mark(['a']);
    cleaner.ensure(['b']);
    expect(walks).to.deep.equal([]);
    cleaner.ensure(['a']);
    expect(walks).to.deep.equal(['a']);
  });

  it('refuses while the kernel refuses, and tries again by itself', async () => {
    isBroken = true;
    cleaner.mark(['a']);
    expect(() => cleaner.ensure(['a'])).to.throw('EPERM');
    isBroken = false;
    await eventually(() => walks.length > 0);
    expect(walks).to.deep.equal(['a']);
  });
});
