import { expect } from 'chai';
import { chance, killRound } from './change-kills.js';
import { soon, useRack } from './rack-fixture.js';

/** A few rounds; `npm run bench -- change --rounds 50` has many. */
const ROUNDS = 3;

describe('lab, agents killed while a Change is on trial', function () {
  this.timeout(180_000);
  const rack = useRack('k');
  // Another one each time; it is told when a round fails.
  const seed = Date.now() % 1_000_000;
  const random = chance(seed);

  before(() =>
    soon('the rack to converge', async () => (await rack().matrix()).cells.every(({ verdict }) => verdict === 'allow')),
  );

  for (let index = 0; index < ROUNDS; index++)
    it(`all or nothing of it stands on every node (round ${index + 1})`, async () => {
      const round = await killRound(rack(), index, random);
      expect(round.problems, `seed ${seed}: ${JSON.stringify(round)}`).to.deep.equal([]);
      expect((await rack().matrix()).cells.filter(({ verdict }) => verdict !== 'allow')).to.deep.equal([]);
    });
});
