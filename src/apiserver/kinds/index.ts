/** All built-in kinds. */
import type { ResourceType } from '../resource-type.js';
import { namespaces, nodes } from './cluster-scope.js';
import { customResourceDefinitions } from './custom-resource-definitions.js';
import { networkPolicies } from './network-policies.js';
import { plainTypes } from './plain.js';
import { pods } from './pods.js';
import { events, eventsOfGroup } from './events.js';
import { endpoints, endpointSlices, leases, services } from './services.js';

export const builtInTypes: readonly ResourceType[] = [
  pods,
  nodes,
  namespaces,
  services,
  endpoints,
  events,
  ...plainTypes,
  endpointSlices,
  leases,
  eventsOfGroup,
  networkPolicies,
  customResourceDefinitions,
];
