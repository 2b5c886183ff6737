export * from './pool.js';
export * from './block-store.js';
export * from './journal.js';
export * from './allocator.js';
export * from './claim.js';
export * from './taken-blocks.js';
export type { HeldBack, OwnBlock } from './block-state.js';
