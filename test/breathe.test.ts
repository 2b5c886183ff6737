import { expect } from 'chai';
import { breathe } from '../src/breathe.js';

const busy = (milliseconds: number): void => {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
};

/** Did a turn of the event loop pass while this ran? */
async function letsOthersIn(work: () => Promise<void>): Promise<boolean> {
  let hasTurned = false;
  setImmediate(() => (hasTurned = true));
  await work();
  return hasTurned;
}

describe('breathe', () => {
  it('asks for nothing while the turn is young', async () => {
    await new Promise(setImmediate);
    expect(
      await letsOthersIn(async () => {
        for (let step = 0; step < 100; step++) await breathe();
      }),
    ).to.equal(false);
  });

  it('gives way once the turn has lasted, and then is young again', async () => {
    await new Promise(setImmediate);
    expect(
      await letsOthersIn(async () => {
        await breathe();
        busy(15);
        await breathe();
      }),
    ).to.equal(true);
    expect(breathe()).to.equal(undefined);
  });

  it('gives way to sockets and timers in the middle of long work', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for (let step = 0; step < 20; step++) {
      busy(5);
      await breathe();
    }
    clearInterval(timer);
    expect(ticks).to.be.greaterThan(3);
  });
});
