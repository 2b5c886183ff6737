export * from './ruleset.js';
export * from './objects.js';
export * from './problem.js';
export * from './engine.js';
export * from './verdict/flow.js';
export * from './render/iptables.js';
export * from './render/ipset.js';
