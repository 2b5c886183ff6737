/** The rows of rows.ts asked of the model and of the compiled rules. */
import { expect } from 'chai';
import type { Family } from 'node-bgp/address';
import { ServicesEngine } from '@tortie/services';
import {
  addressOf,
  destinationOf,
  eventsOf,
  NODE_PORT,
  ROWS,
  sourceOf,
  TARGET_PORT,
  type Place,
  isToNode,
} from './rows.js';
import { programOf, walk, type Packet } from './walk.js';

/** "L1 R1 masq" as the walk says it. */
function expectedOutcomes(family: Family, outcome: string): readonly string[] {
  const words = outcome.split(' ');
  const isMasqueraded = words[words.length - 1] === 'masq';
  const places = isMasqueraded ? words.slice(0, -1) : words;
  if (!/^[LR]\d/.test(outcome)) return [outcome];
  return places
    .map((place) => `${addressOf(family, place as Place)},${TARGET_PORT}${isMasqueraded ? ' masqueraded' : ''}`)
    .sort();
}

describe("services: kube-proxy's rules", () => {
  for (const row of ROWS)
    for (const family of [4, 6] as const)
      it(`${row.title} (IPv${family})`, () => {
        const engine = new ServicesEngine({ nodeName: 'n1', ...row.options });
        for (const event of eventsOf(row, family)) engine.apply(event);
        expect(engine.problems()).to.deep.equal([]);
        const program = programOf(engine.ruleset(), family);
        for (const [from, to, outcome] of row.probes)
          for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
            const packet: Packet = {
              family,
              source: sourceOf(family, from),
              destination: destinationOf(family, to),
              protocol,
              port: to === 'node-port' ? NODE_PORT : 80,
              isFromNode: from === 'node',
              isToNode: isToNode(to),
            };
            const asked = `${protocol} ${from} to ${to}`;
            expect([...walk(program, packet).keys()].sort(), asked).to.deep.equal(expectedOutcomes(family, outcome));
            const verdict = engine.verdict(packet);
            expect(verdict.type, asked).to.equal(
              outcome === 'none' ? 'none' : /^[LR]/.test(outcome) ? 'balanced' : 'refused',
            );
          }
      });
});
