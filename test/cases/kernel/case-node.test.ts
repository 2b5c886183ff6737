import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaseNode } from '../../../src/cases/kernel/case-node.js';
import { NamespacePool } from '../../../src/cases/kernel/namespaces.js';
import { runChild } from '../../../src/dataplane/netfilter/child.js';

describe('cases/kernel/case-node', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-case-node-'));
  const pool = new NamespacePool();
  const nodes: CaseNode[] = [];
  after(async () => {
    for (const node of nodes) await node.close();
    await pool.removeAll();
    rmSync(directory, { recursive: true });
  });

  const conntrack = async (namespace: string, ...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await runChild('ip', ['netns', 'exec', namespace, 'conntrack', ...args]);
    expect(status, stderr).to.equal(0);
    return stdout;
  };

  it('forgets connections with every step: a source port that comes round is a new connection', async () => {
    const namespace = await pool.take();
    const node = await CaseNode.create(namespace, 'auto');
    nodes.push(node);
    node.begin();
    expect(await node.settle()).to.deep.equal([]);
    for (const family of ['4', '6']) {
      const [from, to] = family === '4' ? ['10.65.0.7', '192.0.2.1'] : ['fd00:65::7', '2001:db8::1'];
      const file = join(directory, `flow-${family}`);
      const reply = `-r ${to} -q ${from} --reply-port-src 80 --reply-port-dst 40000`;
      writeFileSync(
        file,
        `-I -p tcp -s ${from} -d ${to} --sport 40000 --dport 80 ${reply} -t 600 --state ESTABLISHED\n`,
      );
      await conntrack(namespace, '-R', file);
      expect(await conntrack(namespace, '-L', '-f', `ipv${family}`)).to.contain('sport=40000');
    }
    expect(await node.settle()).to.deep.equal([]);
    expect(await conntrack(namespace, '-L', '-f', 'ipv4')).to.equal('');
    expect(await conntrack(namespace, '-L', '-f', 'ipv6')).to.equal('');
  });
});
