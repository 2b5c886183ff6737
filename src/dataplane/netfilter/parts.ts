/**
 * Which parts of the rules have been handed over since the start. What stands in the kernel of one that has not is neither wanted nor
 * nobody's: it stays as its predecessor left it until its maker has said what it should be.
 */
import { PARTS, partOfChain, partOfSet, type Hook, type Part } from '@tortie/policy/ruleset';
import { partOfNftChain } from '@tortie/policy/render/nftables';

export class HandedOver {
  private readonly parts: Set<Part>;

  constructor(parts: Iterable<Part> = []) {
    this.parts = new Set(parts);
  }

  /** Nothing of ours is left to anybody. */
  static everything(): HandedOver {
    return new HandedOver(PARTS);
  }

  add(part: Part): void {
    this.parts.add(part);
  }

  has(part: Part): boolean {
    return this.parts.has(part);
  }

  hasChain(name: string): boolean {
    return this.parts.has(partOfChain(name));
  }

  hasSet(name: string): boolean {
    return this.parts.has(partOfSet(name));
  }

  /** Of nftables' one table: chains, base chains and maps. */
  hasNft(name: string): boolean {
    return this.parts.has(partOfNftChain(name));
  }
}

/** The jumps of all parts, in the order in which they stand in a built-in chain. */
export class PartHooks {
  private readonly byPart = new Map<Part, readonly Hook[]>();

  set(part: Part, hooks: readonly Hook[]): void {
    this.byPart.set(part, hooks);
  }

  of(part: Part): readonly Hook[] {
    return this.byPart.get(part) ?? [];
  }

  all(): readonly Hook[] {
    return PARTS.flatMap((part) => this.of(part));
  }
}
