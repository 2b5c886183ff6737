/** The RIB: Adj-RIB-In, decision, Loc-RIB, Adj-RIB-Out and the forwarding table (RFC 4271 section 3.2). */
export * from './answers.js';
export * from './contract.js';
export * from './forwarding-entry.js';
export * from './rib-peer.js';
export * from './policy.js';
export { createRib } from './rib.js';
