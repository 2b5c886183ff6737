/** One Service with its slices made into frontends, chains and sets: everything of it that does not depend on other Services. */
import { formatPrefix, type Family } from 'node-bgp/address';
import { networksOf, unionNetworks } from '@tortie/policy/model/networks';
import { setName, type AddressSet, type Chain } from '@tortie/policy/ruleset';
import { backendId, clientSet, firewallSet } from '../compile/names.js';
import { backendNote, choiceChains, externalRules, firewallRules } from '../compile/service-chains.js';
import { chooseEndpoints, type Choice, type NodeView } from '../model/choice.js';
import type { Endpoint } from '../model/endpoint.js';
import { frontendsOf, type Backend, type Frontend, type FrontendSettings } from '../model/frontend.js';
import { isExternallyAccessible, type ServiceFamily, type ServiceModel, type ServicePort } from '../model/service.js';
import { endpointsOf, type ServiceEntry } from './service-store.js';

/** One port in one family: who could serve it and who does. */
export interface BuiltPort {
  readonly port: ServicePort;
  readonly family: Family;
  /** All that slices name. */
  readonly endpoints: readonly Endpoint[];
  readonly choice: Choice;
  readonly backend: Backend;
}

export interface BuiltService {
  readonly service: ServiceModel;
  readonly ports: readonly BuiltPort[];
  readonly frontends: readonly Frontend[];
  readonly chains: readonly Chain[];
  readonly sets: readonly AddressSet[];
}

export function buildService(
  service: ServiceModel,
  entry: ServiceEntry,
  node: NodeView,
  settings: FrontendSettings,
): BuiltService {
  const ports = service.families.flatMap((family) =>
    service.ports.map((port) => buildPort(service, family, port, entry, node)),
  );
  const frontends = frontendsOf(service, (port, family) => builtFor(ports, port, family), settings);
  const chains = ports.flatMap(({ backend }) => choiceChains(backend));
  const sets = ports.flatMap(({ backend }) => clientSets(backend));
  const seen = new Set<Backend>();
  for (const frontend of frontends) {
    const isFirst = frontend.kind !== 'cluster-ip' && !seen.has(frontend.backend);
    const external = isFirst ? externalRules(frontend, settings.knowsPods) : undefined;
    if (isFirst) seen.add(frontend.backend);
    if (external !== undefined) chains.push(external);
  }
  const limited = new Set<Backend>();
  for (const frontend of frontends)
    if (frontend.sources !== undefined && !limited.has(frontend.backend)) {
      limited.add(frontend.backend);
      chains.push(firewallRules(frontend));
      sets.push(sourceSet(frontend));
    }
  return { service, ports, frontends, chains, sets };
}

function builtFor(
  ports: readonly BuiltPort[],
  port: ServicePort,
  family: Family,
): { readonly backend: Backend; readonly hasAny: boolean } {
  const built = ports.find((one) => one.port === port && one.family === family);
  if (built === undefined) throw new Error(`Port ${port.protocol}:${port.port} has not been built for IPv${family}`);
  return { backend: built.backend, hasAny: built.choice.hasAny };
}

function buildPort(
  service: ServiceModel,
  serviceFamily: ServiceFamily,
  port: ServicePort,
  entry: ServiceEntry,
  node: NodeView,
): BuiltPort {
  const { family } = serviceFamily;
  const isExternal = isExternallyAccessible(serviceFamily, port);
  const endpoints = endpointsOf(entry, port, family);
  const choice = chooseEndpoints(
    endpoints,
    {
      cluster: !service.isInternalLocal || isExternal,
      local: service.isInternalLocal || (service.isExternalLocal && isExternal),
    },
    node,
  );
  const backend: Backend = {
    id: backendId(service, port, family),
    service: { namespace: service.namespace, name: service.name },
    port,
    family,
    cluster: choice.cluster,
    local: choice.local,
    ...(service.affinitySeconds === undefined ? {} : { affinitySeconds: service.affinitySeconds }),
  };
  return { port, family, endpoints, choice, backend };
}

/** The kernel fills them. */
function clientSets(backend: Backend): readonly AddressSet[] {
  const { affinitySeconds, family } = backend;
  if (affinitySeconds === undefined) return [];
  const { id } = backend;
  const ids = new Map(
    [...backend.cluster, ...backend.local].map((endpoint) => [clientSet(id, endpoint, affinitySeconds), endpoint]),
  );
  return [...ids].map(([setId, endpoint]) => ({
    name: setName(family, setId),
    id: setId,
    family,
    type: 'address',
    members: new Set<string>(),
    timeoutSeconds: affinitySeconds,
    note: `clients of ${endpoint.address} for ${backendNote(backend)}`,
  }));
}

function sourceSet({ backend, sources = [] }: Frontend): AddressSet {
  const { family } = backend;
  const id = firewallSet(backend.id);
  return {
    name: setName(family, id),
    id,
    family,
    type: 'network',
    members: new Set(networksOf(unionNetworks(sources), family).map(formatPrefix)),
    note: `loadBalancerSourceRanges of ${backendNote(backend)}`,
  };
}
