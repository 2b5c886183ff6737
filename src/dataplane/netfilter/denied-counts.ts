/**
 * How many denied packets were not reported: the counters of chains whose first rule reports so many a second and whose second drops all
 * (policy/src/compile/denied-chain.ts), read back from whichever backend has them.
 */
import { nftChainName } from '@tortie/policy/render/nftables';
import type { ChainName, Family } from '@tortie/policy/ruleset';
import { forEachAttribute, type Octets } from '../netlink/message.js';
import { NetlinkError } from '../netlink/netlink-error.js';
import { NetlinkSocket } from '../netlink/netlink-socket.js';
import { LegacyTables } from './legacy-tables.js';
import { NFPROTO } from './nft/expression.js';
import { Message, NFNL_SUBSYS_NFTABLES, NFPROTO_INET, TABLE } from './nft/protocol.js';

export type CountingBackend = 'legacy' | 'nft' | 'nftables';

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_COUNTER_PACKETS = 2;

/** Keeps what it saw, and tells what came since. Reads the namespace of the thread that makes it. */
export class DeniedCounts {
  private readonly socket = new NetlinkSocket({ family: 'netfilter' });
  private readonly legacy: ReadonlyMap<Family, LegacyTables>;
  /** Unreported packets by family and chain. BOUNDED by the chains of the last call. */
  private seen = new Map<string, number>();

  constructor(families: readonly Family[]) {
    this.legacy = new Map(families.map((family) => [family, new LegacyTables(family)]));
  }

  /** @param prefixOf what the first rule of a chain reports */
  since(
    backends: ReadonlyMap<Family, CountingBackend>,
    chains: readonly ChainName[],
    prefixOf: (chain: ChainName) => string,
  ): number {
    const now = new Map<string, number>();
    const isShared = [...backends.values()].includes('nftables');
    for (const [family, backend] of backends) {
      // One table for both families.
      if (isShared && now.size > 0) break;
      const counts =
        backend === 'legacy'
          ? this.legacyCounts(family, chains, prefixOf)
          : chains.map((chain) => this.nftCount(backend === 'nftables' ? undefined : family, chain));
      for (const [index, { table, name }] of chains.entries())
        now.set(`${isShared ? '' : family} ${table} ${name}`, counts[index] ?? 0);
    }
    let sum = 0;
    for (const [key, count] of now) {
      const before = this.seen.get(key) ?? 0;
      // A chain that was written anew counts from nothing.
      sum += count >= before ? count - before : count;
    }
    this.seen = now;
    return sum;
  }

  close(): void {
    this.socket.close();
    for (const tables of this.legacy.values()) tables.close();
  }

  /** @param family undefined: our own table, of both */
  private nftCount(family: Family | undefined, { table, name }: ChainName): number {
    const { batch } = this.socket;
    const chain = family === undefined ? nftChainName({ table, name }) : name;
    let packets: number[] = [];
    batch.clear();
    batch.beginMessage((NFNL_SUBSYS_NFTABLES << 8) | Message.GetRule, 0, () => `read the counters of chain ${chain}`);
    batch.u8(family === undefined ? NFPROTO_INET : NFPROTO[family]);
    batch.u8(0);
    batch.u16be(0);
    batch.attributeText(NFTA_RULE_TABLE, family === undefined ? TABLE : table);
    batch.attributeText(NFTA_RULE_CHAIN, chain);
    batch.endMessage();
    try {
      this.socket.dump(
        batch,
        ({ body }) => {
          if (textOf(body, NFTA_RULE_CHAIN) === chain) packets.push(counterOf(body));
        },
        () => (packets = []),
      );
    } catch (error) {
      // Not written yet, or no longer.
      if (error instanceof NetlinkError && error.code === 'ENOENT') return 0;
      throw error;
    }
    return unreported(packets);
  }

  private legacyCounts(
    family: Family,
    chains: readonly ChainName[],
    prefixOf: (chain: ChainName) => string,
  ): readonly number[] {
    const tables = this.legacy.get(family);
    const known = new Map(
      [...new Set(chains.map(({ table }) => table))].map((table) => [table, tables?.entries(table) ?? []]),
    );
    return chains.map((chain) => {
      const entries = known.get(chain.table) ?? [];
      const report = entries.findIndex(({ bytes }) => bytes.includes(`${prefixOf(chain)}\0`));
      return report < 0 ? 0 : unreported(entries.slice(report, report + 2).map(({ packets }) => packets));
    });
  }
}

/** Of the rule that reports and the one that drops, which sees all. */
const unreported = ([reported = 0, dropped = 0]: readonly number[]): number => Math.max(0, dropped - reported);

function textOf(body: Octets, wanted: number): string {
  let text = '';
  forEachAttribute(body, 4, body.length, (type, start, end) => {
    if (type === wanted) text = body.text(start, end);
  });
  return text;
}

/** Packets that a rule's counter has seen. */
function counterOf(body: Octets): number {
  let packets = 0;
  forEachAttribute(body, 4, body.length, (type, from, to) => {
    if (type !== NFTA_RULE_EXPRESSIONS) return;
    forEachAttribute(body, from, to, (_, start, end) => {
      let name = '';
      forEachAttribute(body, start, end, (field, at, until) => {
        if (field === NFTA_EXPR_NAME) name = body.text(at, until);
        else if (field === NFTA_EXPR_DATA && name === 'counter')
          forEachAttribute(body, at, until, (which, value) => {
            if (which === NFTA_COUNTER_PACKETS) packets = Number(body.u64be(value));
          });
      });
    });
  });
  return packets;
}
