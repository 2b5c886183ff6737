export * from './engine.js';
export * from './objects.js';
export * from './model/choice.js';
export * from './model/endpoint.js';
export * from './model/frontend.js';
export * from './model/service.js';
export type { BuiltPort, BuiltService } from './resolve/service-builder.js';
export * from './verdict/oracle.js';
export { isStale, type AllowedServers, type Datagrams, type StaleDatagrams } from './resolve/datagrams.js';
