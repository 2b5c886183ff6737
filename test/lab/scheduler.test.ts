import { expect } from 'chai';
import type { Node, Pod } from '../../src/api/core.js';
import { chooseNode } from '../../src/lab/scheduler.js';

const node = (name: string, labels: Readonly<Record<string, string>> = {}, unschedulable = false): Node => ({
  metadata: { name, labels },
  spec: { unschedulable },
});
const pod = (nodeSelector?: Readonly<Record<string, string>>): Pod => ({
  metadata: { name: 'p' },
  spec: { containers: [], ...(nodeSelector === undefined ? {} : { nodeSelector }) },
});

describe('lab/scheduler', () => {
  const nodes = [node('node3'), node('node1', { disk: 'ssd' }), node('node2', { disk: 'ssd', zone: 'b' })];

  it('takes the node with the fewest pods, then the first by name', () => {
    const counts = new Map([
      ['node1', 2],
      ['node2', 1],
      ['node3', 1],
    ]);
    expect(chooseNode(pod(), nodes, (name) => counts.get(name) ?? 0)).to.equal('node2');
    expect(chooseNode(pod(), nodes, () => 0)).to.equal('node1');
  });

  it('respects nodeSelector, all of it', () => {
    expect(chooseNode(pod({ disk: 'ssd', zone: 'b' }), nodes, () => 0)).to.equal('node2');
    expect(chooseNode(pod({ disk: 'hdd' }), nodes, () => 0)).to.equal(undefined);
    expect(chooseNode(pod({ constructor: 'x' }), nodes, () => 0)).to.equal(undefined);
  });

  it('leaves cordoned nodes alone', () => {
    expect(chooseNode(pod(), [node('node1', {}, true)], () => 0)).to.equal(undefined);
  });
});
