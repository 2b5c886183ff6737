import { expect } from 'chai';
import { nodeNameOf, strangeNodeName } from '../../src/agent/node-name.js';

describe('agent/node-name', () => {
  it("is the host's as the kubelet makes it: trimmed, in lower case", () => {
    expect(nodeNameOf(' Node1.Example.ORG\n')).to.equal('node1.example.org');
    expect(() => nodeNameOf(' \n')).to.throw(/the host has no name/);
  });

  it('names those that may be meant when there is no such node', () => {
    expect(strangeNodeName('node1', ['node1', 'Node1'])).to.equal(undefined);
    expect(strangeNodeName('node1', ['node1.example', 'node10', 'Node1', 'db'])).to.equal(
      'The API server knows no node "node1"; did you mean "Node1" or "node1.example" (--node, NODE_NAME)?',
    );
    expect(strangeNodeName('Node1.example', ['node1'])).to.include('did you mean "node1"');
    expect(strangeNodeName('node1', ['node2'])).to.equal('The API server knows no node "node1"');
  });
});
