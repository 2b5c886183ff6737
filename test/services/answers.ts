/** What a client of the rack hears, in words that rows are written in: "L1 10.65.0.9", "R1 node", "reject", "drop". */
import type { Rack } from './rack.js';
import { NET, sourceOf, type From } from './rows.js';

/** For an answer that must come; for one that must not. */
const PATIENT = 5_000;
const IMPATIENT = 300;

/** "L1 R1 masq" as servers say it: "L1 node", "R1 node". */
export function expectedAnswers(family: 4 | 6, from: From, outcome: string): ReadonlySet<string> {
  if (!/^[LR]\d/.test(outcome)) return new Set([outcome]);
  const words = outcome.split(' ');
  const isMasqueraded = words[words.length - 1] === 'masq';
  const places = isMasqueraded ? words.slice(0, -1) : words;
  return new Set(places.map((place) => answerOf(family, from, place, isMasqueraded)));
}

/** To a pod's link a node has no address but the gateway's; in IPv6 the kernel takes one of global scope. */
export const answerOf = (family: 4 | 6, from: From, place: string, isMasqueraded: boolean): string =>
  `${place} ${isMasqueraded || from === 'node' ? 'node' : sourceOf(family, from)}`;

export async function ask(
  rack: Rack,
  family: 4 | 6,
  from: From,
  destination: string,
  port: number,
  expected: ReadonlySet<string>,
): Promise<string> {
  const patience = expected.has('drop') ? IMPATIENT : PATIENT;
  const said = await rack.connect(family, from, destination, port, patience);
  const [place, source = ''] = said.split(' ');
  const nodeSources = [NET[family].node, '169.254.1.1'];
  const isNode = nodeSources.includes(source) || source.startsWith('fe80:');
  return source === '' ? said : `${place} ${isNode ? 'node' : source}`;
}
