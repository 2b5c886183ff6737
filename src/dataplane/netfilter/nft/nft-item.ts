/** What a transaction consists of: changes of chains and maps, and operations on address sets. */
import type { SetOperation } from '../set-transport.js';
import type { NftChange } from './nft-state.js';

export type NftItem = NftChange | SetItem;

/** A set operation; "delete" of members is told from that of a chain by its set. */
export type SetItem = SetOperation;

export const isSetItem = (item: NftItem): item is SetItem =>
  item.type === 'create' ||
  item.type === 'add' ||
  item.type === 'swap' ||
  item.type === 'destroy' ||
  (item.type === 'delete' && 'set' in item);

/** What failures call it. */
export function subjectOf(item: NftItem): string {
  if (isSetItem(item)) return `inet tortie set ${'set' in item ? item.set.name : item.name}`;
  return `inet tortie ${item.type === 'write' ? item.chain.name : item.name}`;
}

/** Short identity of what it would write. */
export function contentOf(item: NftItem): string {
  if (isSetItem(item) || item.type !== 'write') return item.type;
  return `${item.chain.hashes.length} ${item.chain.hashes[item.chain.hashes.length - 1] ?? ''}`;
}
