/** Why a peer is held down; several reasons may hold at once, the one that came first is told. */
export type BlockReason = 'shutdown' | 'max-prefixes' | 'link' | 'neighbour';

export interface Block {
  readonly reason: BlockReason;
  readonly text: string;
}

/** BOUNDED by the reasons there are. */
export class PeerBlocks {
  private readonly texts = new Map<BlockReason, string>();

  get first(): Block | undefined {
    for (const [reason, text] of this.texts) return { reason, text };
    return undefined;
  }
  get isFree(): boolean {
    return this.texts.size === 0;
  }

  /** True: this reason was not there before. The words are the newest. */
  set(reason: BlockReason, text: string): boolean {
    const isNew = !this.texts.has(reason);
    this.texts.set(reason, text);
    return isNew;
  }

  /** True: that was the last. */
  lift(reason: BlockReason): boolean {
    return this.texts.delete(reason) && this.isFree;
  }
}
