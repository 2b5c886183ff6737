export * from './pool.js';
export * from './block-store.js';
export * from './journal.js';
export * from './allocator.js';
export * from './claim.js';
export { NODE_NETWORK } from './owner-index.js';
export * from './taken-blocks.js';
export type { HeldBack, Lending, OwnBlock } from './block-state.js';
export type { ServingPool } from './block-table.js';
