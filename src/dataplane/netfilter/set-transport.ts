/**
 * How address sets reach the kernel: one interface, two implementations (netlink-sets.ts from the process, child-sets.ts
 * through the ipset program). Whole batches go in, refusals come out; nothing here decides what a set should hold.
 */
import type { NewSet, SetHeader } from './set-protocol.js';

/** Every set whose name starts so is ours. */
export const isOurSet = (name: string): boolean => name.startsWith('tortie4-') || name.startsWith('tortie6-');

export type SetOperation =
  | { readonly type: 'create'; readonly set: NewSet }
  | {
      readonly type: 'add' | 'delete';
      readonly set: Pick<NewSet, 'name' | 'type' | 'family'>;
      /** Each a memberKey. */
      readonly members: readonly string[];
    }
  | { readonly type: 'swap'; readonly name: string; readonly other: string }
  | { readonly type: 'destroy'; readonly name: string };

export interface SetRefusal {
  readonly operation: SetOperation;
  /** The one member that was refused, of an add or delete. */
  readonly member?: string;
  readonly cause: 'in-use' | 'exists' | 'missing' | 'full' | 'other';
  /** A sentence with the kernel's words. */
  readonly message: string;
}

export interface SetTransport {
  readonly type: 'netlink' | 'child';
  /** Our sets only. */
  headers(): Promise<readonly SetHeader[]>;
  /** The memberKey of each; undefined when the set does not exist. */
  members(name: string): Promise<ReadonlySet<string> | undefined>;
  /** In order; goes on after a refusal. */
  apply(operations: readonly SetOperation[]): Promise<readonly SetRefusal[]>;
  close(): void;
}
