/** manifests/base/node-guard.yaml: what an agent may write of IPAMBlocks and NodeAddresses, by its expressions. */
import { expect } from 'chai';
import { isAdmitted as isAdmittedFor, type AgentWrite } from './node-guard.js';

/** Of the agent of node "a", about an object of that name. */
const isAdmitted = (
  resource: string,
  operation: AgentWrite['operation'],
  object: unknown,
  oldObject: unknown,
  name = 'x',
): boolean => isAdmittedFor(resource, { node: 'a', operation, object, oldObject, name });

const loan = (address: string, node: string) => ({ address, node });
const kept = (address: string, keptFor: string) => ({ address, keptFor, until: '2026-01-01T00:00:00Z' });
const block = (node: string, more = {}) => ({ spec: { cidr: '10.0.0.0/30', pool: 'p', node, ...more } });

const UPDATES: readonly (readonly [boolean, string, unknown, unknown])[] = [
  [true, 'offers of its own', block('a'), block('a', { offers: ['10.0.0.3'] })],
  [true, 'takes a vacant block', block('b', { vacant: true }), block('a')],
  [false, "takes another's block", block('b'), block('a')],
  [false, "takes another's block that says it is not vacant", block('b', { vacant: false }), block('a')],
  [false, "gives another's block away", block('b'), block('c')],
  [true, 'borrows', block('b', { offers: ['10.0.0.3'] }), block('b', { loans: [loan('10.0.0.3', 'a')] })],
  [
    true,
    'borrows beside another',
    block('b', { loans: [loan('10.0.0.2', 'c')] }),
    block('b', { loans: [loan('10.0.0.2', 'c'), loan('10.0.0.3', 'a')] }),
  ],
  [false, 'borrows for another', block('b'), block('b', { loans: [loan('10.0.0.3', 'c')] })],
  [
    false,
    "makes another's loan a third's",
    block('b', { loans: [loan('10.0.0.3', 'c')] }),
    block('b', { loans: [loan('10.0.0.3', 'd')] }),
  ],
  [true, 'gives back', block('b', { loans: [loan('10.0.0.3', 'a')] }), block('b', { loans: [] })],
  [
    true,
    'gives back beside another',
    block('b', { offers: ['10.0.0.1'], loans: [loan('10.0.0.2', 'c'), loan('10.0.0.3', 'a')] }),
    block('b', { offers: ['10.0.0.1'], loans: [loan('10.0.0.2', 'c')] }),
  ],
  [
    true,
    'borrows of what is offered, of a vacant block, too',
    block('b', { vacant: true, offers: ['10.0.0.2', '10.0.0.3'] }),
    block('b', { offers: ['10.0.0.2'], loans: [loan('10.0.0.3', 'a')] }),
  ],
  [
    true,
    'asserts what a pod of its has',
    block('b', { vacant: true }),
    block('b', { vacant: false, loans: [loan('10.0.0.3', 'a')] }),
  ],
  [
    true,
    'takes a vacant block with its offers',
    block('b', { vacant: true, offers: ['10.0.0.3'] }),
    block('a', { offers: [] }),
  ],
  [false, "ends another's loan", block('b', { loans: [loan('10.0.0.3', 'c')] }), block('b')],
  [
    false,
    "ends another's loan with its own",
    block('b', { loans: [loan('10.0.0.2', 'c'), loan('10.0.0.3', 'a')] }),
    block('b', { loans: [] }),
  ],
  [
    true,
    'takes what is kept for a pod of its',
    block('b', { kept: [kept('10.0.0.3', 'StatefulSet s/x-0'), kept('10.0.0.2', 'Pod s/y')] }),
    block('b', { kept: [kept('10.0.0.2', 'Pod s/y')], loans: [loan('10.0.0.3', 'a')] }),
  ],
  [
    true,
    'leaves what it had borrowed to its successor',
    block('b', { loans: [loan('10.0.0.3', 'a'), loan('10.0.0.2', 'c')] }),
    block('b', { kept: [kept('10.0.0.3', 'Pod s/x')], loans: [loan('10.0.0.2', 'c')] }),
  ],
  [false, 'keeps what was not its own', block('b'), block('b', { kept: [kept('10.0.0.3', 'Pod s/x')] })],
  [
    false,
    'keeps what it has still',
    block('b', { loans: [loan('10.0.0.3', 'a')] }),
    block('b', { kept: [kept('10.0.0.3', 'Pod s/x')], loans: [loan('10.0.0.3', 'a')] }),
  ],
  [false, 'frees what another keeps', block('b', { kept: [kept('10.0.0.3', 'Pod s/x')] }), block('b')],
  [
    false,
    'keeps it for somebody else',
    block('b', { kept: [kept('10.0.0.3', 'Pod s/x')] }),
    block('b', { kept: [kept('10.0.0.3', 'Pod s/y')] }),
  ],
  [
    false,
    'takes a vacant block in which something is kept',
    block('b', { vacant: true, kept: [kept('10.0.0.3', 'Pod s/x')] }),
    block('a'),
  ],
  [true, 'keeps in its own block, and frees', block('a', { kept: [kept('10.0.0.3', 'Pod s/x')] }), block('a')],
  [true, 'ends loans of its own block', block('a', { loans: [loan('10.0.0.3', 'c')] }), block('a')],
  [
    false,
    'takes a block of which it has borrowed',
    block('b', { loans: [loan('10.0.0.3', 'a')] }),
    block('a', { loans: [] }),
  ],
  [
    false,
    'takes a vacant block of which somebody has borrowed',
    block('b', { vacant: true, loans: [loan('10.0.0.3', 'c')] }),
    block('a'),
  ],
  [false, 'hands a block to who has borrowed', block('b', { loans: [loan('10.0.0.3', 'c')] }), block('c')],
  [false, 'gives its own block away', block('a'), block('b')],
  [false, "says that another's block is vacant", block('b'), block('b', { vacant: true })],
  [false, "offers what is another's", block('b'), block('b', { offers: ['10.0.0.3'] })],
  [false, 'takes back what another offers', block('b', { offers: ['10.0.0.3'] }), block('b')],
  [false, 'makes another block of its own', block('a'), block('a', { cidr: '10.0.0.0/8' })],
  [false, "makes another pool's of another's", block('b'), block('b', { pool: 'q' })],
];

describe('manifests: the guard of blocks', () => {
  for (const [isAllowed, what, before, after] of UPDATES)
    it(`${isAllowed ? 'admits' : 'refuses'} an agent that ${what}`, () => {
      expect(isAdmitted('ipamblocks', 'UPDATE', after, before)).to.equal(isAllowed);
    });

  it('admits an agent that claims for its node, and for no other', () => {
    expect(isAdmitted('ipamblocks', 'CREATE', block('a'), undefined)).to.equal(true);
    expect(isAdmitted('ipamblocks', 'CREATE', block('b'), undefined)).to.equal(false);
  });

  it('admits an agent that deletes a block of its own, and no other', () => {
    expect(isAdmitted('ipamblocks', 'DELETE', null, block('a', { loans: [loan('10.0.0.3', 'c')] }))).to.equal(true);
    expect(isAdmitted('ipamblocks', 'DELETE', null, block('b'))).to.equal(false);
    expect(isAdmitted('ipamblocks', 'DELETE', null, block('b', { vacant: true }))).to.equal(false);
  });

  for (const resource of ['nodeaddresses', 'nodestatuses'])
    it(`lets an agent make, write and delete the ${resource} of its own node, and of no other`, () => {
      for (const [operation, object, oldObject] of [
        ['CREATE', {}, undefined],
        ['UPDATE', {}, {}],
        ['DELETE', null, {}],
      ] as const) {
        expect(isAdmitted(resource, operation, object, oldObject, 'a'), operation).to.equal(true);
        expect(isAdmitted(resource, operation, object, oldObject, 'b'), operation).to.equal(false);
      }
    });
});
