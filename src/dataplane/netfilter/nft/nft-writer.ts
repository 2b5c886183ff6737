/**
 * Builds transactions out of items and commits them; when messages are refused, finds what they belong to and commits the rest.
 */
import { breathe } from '../../../breathe.js';
import { NetlinkBatch } from '../../netlink/batch.js';
import { CLOSED_HASH } from '../restore-script.js';
import { describeSet, elementsOf } from './element.js';
import type { SetNumbers } from './match.js';
import { familiesOf, writeLookupRule, writeRule, writeVerdictRule } from './rule.js';
import { parseMember } from '../set-member.js';
import type { NewSet } from '../set-protocol.js';
import { isSetItem, subjectOf, type NftItem } from './nft-item.js';
import { describeMapKey, mapKeyBytes } from './map-key.js';
import type { NftChange, WantedChain } from './nft-state.js';
import {
  Hook,
  SetFlag,
  writeBatchBegin,
  writeBatchEnd,
  writeChain,
  writeChainDeletion,
  writeElements,
  writeFlush,
  writeSet,
  writeSetDeletion,
  writeTable,
  writeTableDeletion,
  type Element,
} from './protocol.js';
import { TransactionSocket } from './transaction.js';
import { nftChainName, nftPriority } from '@tortie/policy/render/nftables';
import type { Hook as RulesetHook, MapHead } from '@tortie/policy/ruleset';

export interface WriteContext {
  readonly isInKernel: (chain: string) => boolean;
  readonly tableExists: boolean;
  /** Delete the table and make it anew, within the transaction. */
  readonly rebuild: boolean;
}

export interface NftWritten {
  readonly done: readonly NftItem[];
  readonly refused: readonly { readonly item: NftItem; readonly message: string }[];
}

/** Elements of one message: an attribute's length has 16 bits. */
const ELEMENTS_PER_MESSAGE = 400;
/** Of one step; between two of them others have their turn. */
const MEMBERS_AT_ONCE = 2_000;
/** BOUNDED: commits of one write. */
const MAX_ATTEMPTS = 256;

const HOOKS: Readonly<Record<RulesetHook['builtin'], Hook>> = {
  PREROUTING: Hook.Prerouting,
  INPUT: Hook.LocalIn,
  FORWARD: Hook.Forward,
  OUTPUT: Hook.LocalOut,
  POSTROUTING: Hook.Postrouting,
};
export class NftWriter {
  private readonly socket = new TransactionSocket();
  private readonly batch = new NetlinkBatch(65_536);
  private numbers = 0;

  /** One at a time: it resolves when the kernel has answered. */
  async write(items: readonly NftItem[], context: WriteContext): Promise<NftWritten> {
    const run: Run = { context, all: items, done: [], refused: [], attempts: 0, isTableMade: false };
    await this.writeGroup(run, items);
    await this.closeRefused(run);
    return run;
  }

  /** Of the socket that commits. */
  get portId(): number {
    return this.socket.portId;
  }

  close(): void {
    this.socket.close();
  }

  private async writeGroup(run: Run, group: readonly NftItem[]): Promise<void> {
    if (group.length === 0) return;
    if (++run.attempts > MAX_ATTEMPTS) {
      for (const item of group)
        run.refused.push({ item, message: `Cannot write ${subjectOf(item)}: gave up after ${MAX_ATTEMPTS} attempts` });
      return;
    }
    const closed = closings(run, group);
    const owners = await this.build([...closed, ...group], run);
    const failures = await this.socket.commitAsync(this.batch);
    if (failures.length === 0) {
      run.isTableMade = true;
      for (const one of [...closed, ...group]) run.done.push(one);
      return;
    }
    const members = new Set(group);
    const blamed = new Map<NftItem, string>();
    for (const { index, error } of failures) {
      const owner = index === undefined ? undefined : owners[index];
      if (owner !== undefined && members.has(owner) && !blamed.has(owner)) blamed.set(owner, error.message);
    }
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      const text = blamed.get(only) ?? failures[0]?.error.message ?? 'the kernel refused it';
      run.refused.push({ item: only, message: `Cannot write ${subjectOf(only)}: ${text}` });
    } else if (blamed.size > 0 && blamed.size < group.length) {
      // A loop of jumps makes the kernel refuse whatever rule comes next as well: the blamed get a try of their own.
      await this.writeGroup(
        run,
        group.filter((item) => !blamed.has(item)),
      );
      for (const item of blamed.keys()) await this.writeGroup(run, [item]);
    } else {
      const middle = group.length >> 1;
      await this.writeGroup(run, group.slice(0, middle));
      await this.writeGroup(run, group.slice(middle));
    }
  }

  /** Every wanted chain exists afterwards, so that what goes to it later is not refused for its sake. */
  private async closeRefused(run: Run): Promise<void> {
    const closed = closingsOf(
      run,
      run.refused.map(({ item }) => item),
    );
    if (closed.length === 0) return;
    await this.build(closed, run);
    const [failure] = await this.socket.commitAsync(this.batch);
    if (failure !== undefined) throw failure.error;
    for (const one of closed) run.done.push(one);
  }

  /** Fills the batch, in turns of the event loop; returns which item each message belongs to. */
  private async build(items: readonly NftItem[], run: Run): Promise<readonly (NftItem | undefined)[]> {
    const { batch } = this;
    const owners: (NftItem | undefined)[] = [];
    const put = (item: NftItem | undefined, write: () => void): void => {
      write();
      while (owners.length < batch.count) owners.push(item);
    };
    const each = async (write: (item: NftItem) => void): Promise<void> => {
      for (const item of items) {
        put(item, () => write(item));
        const pause = breathe();
        if (pause !== undefined) await pause;
      }
    };
    const members = async (type: 'add' | 'delete'): Promise<void> => {
      for (const item of items)
        if (isSetItem(item) && item.type === type)
          for (let at = 0; at < item.members.length; at += MEMBERS_AT_ONCE) {
            put(item, () => this.writeMembers(type, item.set, item.members.slice(at, at + MEMBERS_AT_ONCE)));
            const pause = breathe();
            if (pause !== undefined) await pause;
          }
    };
    batch.clear();
    put(undefined, () => writeBatchBegin(batch));
    if (!run.isTableMade) put(undefined, () => this.prepareTable(run.context));
    // Members leave before others come: intervals of one set must not overlap even inside a transaction.
    await each((item) => {
      if (item.type === 'create') this.createSet(item.set);
    });
    await members('delete');
    await members('add');
    await each((item) => {
      if (item.type === 'create-map') this.createMap(item.name, item.map);
    });
    await each((item) => {
      if (!isSetItem(item)) declare(batch, item);
    });
    await each((item) => {
      if (!isSetItem(item)) flush(batch, item);
    });
    await each((item) => {
      if (item.type === 'map') changeMap(batch, item);
    });
    await each((item) => {
      if (!isSetItem(item)) this.fill(item);
    });
    await each((item) => {
      if (item.type === 'delete-map') writeSetDeletion(batch, item.name);
    });
    await each((item) => {
      if (item.type === 'delete' && !isSetItem(item)) writeChainDeletion(batch, item.name);
    });
    await each((item) => {
      if (item.type === 'destroy') writeSetDeletion(batch, item.name);
    });
    put(undefined, () => writeBatchEnd(batch));
    return owners;
  }

  private prepareTable({ rebuild, tableExists }: WriteContext): void {
    if (rebuild && tableExists) writeTableDeletion(this.batch);
    writeTable(this.batch);
  }

  private createSet({ name, type, family, timeoutSeconds }: NewSet): void {
    writeSet(this.batch, { name, id: this.next(), ...describeSet(type, family, timeoutSeconds) });
  }

  private writeMembers(
    action: 'add' | 'delete',
    { name, type, family }: Pick<NewSet, 'name' | 'type' | 'family'>,
    members: readonly string[],
  ): void {
    const elements = members.flatMap((member) => elementsOf(type, parseMember(type, family, member)));
    writeMany(this.batch, action, name, elements);
  }

  private createMap(name: string, map: MapHead): void {
    writeSet(this.batch, { name, id: this.next(), flags: SetFlag.Map, ...describeMapKey(map) });
  }

  private fill(item: NftChange): void {
    if (item.type === 'close')
      writeVerdictRule(
        this.batch,
        item.name,
        `tortie:${CLOSED_HASH}`,
        item.name.startsWith('nat-') ? 'return' : 'drop',
      );
    if (item.type === 'write') this.fillChain(item.chain);
  }

  private fillChain({ name, hashes, content }: WantedChain): void {
    const comment = (index: number): string => `tortie:${hashes[index] ?? ''}`;
    switch (content.type) {
      case 'hook':
        return writeVerdictRule(this.batch, name, comment(0), {
          jump: nftChainName({ table: content.hook.table, name: content.hook.chain }),
        });
      case 'lookup':
        writeLookupRule(this.batch, name, content.map, `${name}-map`, comment(0));
        if (content.map.otherwise === 'drop') writeVerdictRule(this.batch, name, comment(1), 'drop');
        return;
      case 'rules': {
        let index = 0;
        const numbers: SetNumbers = { next: () => this.next() };
        for (const rule of content.chain.rules)
          for (const family of familiesOf(rule)) {
            const note = rule.note === undefined ? '' : ` ${rule.note.replace(/[^A-Za-z0-9 ._:/=,()[\]+-]/g, '_')}`;
            writeRule(
              this.batch,
              name,
              content.chain.table,
              rule,
              family,
              `${comment(index++)}${note}`.slice(0, 120),
              numbers,
            );
          }
        if (index !== hashes.length) throw new Error(`Chain "${name}" has ${index} rules and ${hashes.length} hashes`);
      }
    }
  }

  private next(): number {
    this.numbers = (this.numbers + 1) & 0x7fffffff;
    return this.numbers;
  }
}

interface Run extends NftWritten {
  readonly context: WriteContext;
  readonly all: readonly NftItem[];
  readonly done: NftItem[];
  readonly refused: { readonly item: NftItem; readonly message: string }[];
  attempts: number;
  isTableMade: boolean;
}

/** New chains outside the group that its rules may go to. */
function closings(run: Run, group: readonly NftItem[]): readonly NftChange[] {
  if (group.length === run.all.length) return [];
  const inside = new Set(group);
  return closingsOf(
    run,
    run.all.filter((item) => !inside.has(item)),
  );
}

function closingsOf(run: Run, items: readonly NftItem[]): readonly NftChange[] {
  const made = new Set(
    run.done.map((item) => (item.type === 'write' ? item.chain.name : item.type === 'close' ? item.name : '')),
  );
  return items.flatMap((item): readonly NftChange[] => {
    if (
      item.type !== 'write' ||
      item.chain.content.type === 'hook' ||
      made.has(item.chain.name) ||
      run.context.isInKernel(item.chain.name)
    )
      return [];
    return [{ type: 'close', name: item.chain.name }];
  });
}

function declare(batch: NetlinkBatch, item: NftChange): void {
  if (item.type === 'close') writeChain(batch, item.name);
  if (item.type !== 'write') return;
  const { name, content } = item.chain;
  if (content.type !== 'hook') return writeChain(batch, name);
  writeChain(batch, name, {
    type: content.hook.table === 'nat' ? 'nat' : 'filter',
    hook: HOOKS[content.hook.builtin],
    priority: nftPriority(content.hook),
  });
}

function flush(batch: NetlinkBatch, item: NftChange): void {
  if (item.type === 'write') writeFlush(batch, item.chain.name);
  if (item.type === 'close' || item.type === 'delete') writeFlush(batch, item.name);
}

function changeMap(batch: NetlinkBatch, item: NftChange & { readonly type: 'map' }): void {
  writeMany(
    batch,
    'delete',
    item.name,
    item.removed.map((key) => ({ key: mapKeyBytes(item.map.key, key) })),
  );
  writeMany(
    batch,
    'add',
    item.name,
    [...item.added].map(([key, chain]) => ({ key: mapKeyBytes(item.map.key, key), goto: chain })),
  );
}

function writeMany(batch: NetlinkBatch, action: 'add' | 'delete', set: string, elements: readonly Element[]): void {
  for (let at = 0; at < elements.length; at += ELEMENTS_PER_MESSAGE)
    writeElements(batch, action, set, elements.slice(at, at + ELEMENTS_PER_MESSAGE));
}
