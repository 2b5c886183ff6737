/**
 * Can this kernel count the connections of a source? Found out by doing it, in a namespace that vanishes: a chain that the kernel refuses
 * is closed, and this one would close the node.
 */
import type { Rule } from '@tortie/policy/ruleset';
import { describeMissing, probeFeatures } from '../features.js';
import { NetlinkBatch } from '../netlink/batch.js';
import { inScratchNamespace } from '../netns.js';
import { writeRule } from './nft/rule.js';
import { writeBatchBegin, writeBatchEnd, writeChain, writeTable } from './nft/protocol.js';
import { TransactionSocket } from './nft/transaction.js';
import type { Backend } from './status.js';

const RULE: Rule = { matches: [{ type: 'connections', moreThan: 1 }], action: { type: 'drop' } };
const CHAIN = 'PROBE';

/** A sentence; undefined when each of these backends can. */
export function connectionLimitProblem(backends: Iterable<Backend | 'nftables'>): string | undefined {
  const used = new Set(backends);
  if (used.has('nftables')) {
    const problem = inScratchNamespace(tryNftables);
    if (problem !== undefined)
      return `This kernel lacks the nftables expression "connlimit" (nft_connlimit): ${problem}`;
  }
  if (used.has('nft') || used.has('legacy')) {
    const [missing] = describeMissing(
      probeFeatures(['connlimit']).filter(({ kernelPart }) => kernelPart === 'xt_connlimit'),
    );
    if (missing !== undefined) return missing;
  }
  return undefined;
}

function tryNftables(): string | undefined {
  const socket = new TransactionSocket();
  try {
    const batch = new NetlinkBatch(4_096);
    writeBatchBegin(batch);
    writeTable(batch);
    writeChain(batch, CHAIN);
    for (const family of [4, 6] as const)
      writeRule(batch, CHAIN, 'mangle', RULE, family, 'probe', { next: () => family });
    writeBatchEnd(batch);
    return socket.commit(batch)[0]?.error.message;
  } finally {
    socket.close();
  }
}
