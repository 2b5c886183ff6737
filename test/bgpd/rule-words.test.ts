import { expect } from 'chai';
import { reasonInWords } from '../../src/bgpd/rule-words.js';

describe('bgpd rule-words', () => {
  const cases: readonly (readonly [string, Parameters<typeof reasonInWords>, string])[] = [
    [
      "a user's rule by object and field",
      [
        'Import policy rejects it: filter "f1-import-v4" rule 2 (BGPFilter/f1 importV4[1]) rejected it',
        { filter: 'f1-import-v4', index: 1, name: 'BGPFilter/f1 importV4[1]' },
      ],
      'Import policy rejects it: BGPFilter/f1 importV4[1] rejected it',
    ],
    [
      'the rule against transit',
      ['It is rejected: filter "tortie-export-peers" default rejected it', { filter: 'tortie-export-peers' }],
      "It is rejected: Tortie's rule against transit rejected it: only what this node originates, and what other nodes " +
        'say of the IP pools, goes to routers; a BGPFilter of the BGPPeer may let out more',
    ],
    [
      'the rule for node addresses',
      [
        'filter "tortie-node-address" rule 1 (node address) rejected it',
        { filter: 'tortie-node-address', index: 0, name: 'node address' },
      ],
      "Tortie's rule for node addresses rejected it: they never go to nodes of the same AS, where each would resolve through itself",
    ],
    [
      'what it does not know as it was',
      ['filter "tor-in" rule 1 (mine) accepted it', { filter: 'tor-in', index: 0, name: 'mine' }],
      'filter "tor-in" rule 1 (mine) accepted it',
    ],
    ['what no rule decided as it was', ['No session', undefined], 'No session'],
    [
      'a filter whose name is a word of JavaScript',
      ['filter "constructor" default rejected it', { filter: 'constructor' }],
      'filter "constructor" default rejected it',
    ],
  ];
  for (const [what, [reason, rule], words] of cases)
    it(`calls ${what}`, () => expect(reasonInWords(reason, rule)).to.equal(words));
});
