/**
 * The speakers of a whole cluster as its agents would configure them (`topologyOf`, node by node), and which of them talk to whom.
 *
 * What only a node itself knows is taken as it is on most: its links are not known, so every router is taken to be on one of them, and its
 * loopback interface has no address of its own.
 */
import { createHash } from 'node:crypto';
import type { SpeakerConfig } from 'node-bgp/config';
import { peerSettings } from 'node-bgp/speaker/config-diff';
import { peerAddressText, type PeerSettings } from 'node-bgp/speaker/peer-settings';
import type { EndpointSlice } from '../api/core.js';
import { selectorMatches } from '../agent/node-selector.js';
import { configurationOf } from '../topology/configuration.js';
import { identityOf } from '../topology/node-identity.js';
import { Problems, type Place, type TopologyProblem } from '../topology/problems.js';
import { SERVICE_LABEL, serviceAddressesOf, type ServiceAddress } from '../topology/service-addresses.js';
import { readsServices } from '../topology/service-routes.js';
import { topologyOf } from '../topology/speaker-config.js';
import { ofKind, type World } from './world.js';

export interface Session {
  readonly node: string;
  /** Canonical, with the interface of a link-local one: with the port, who it is on this node, whatever its name. */
  readonly address: string;
  readonly settings: PeerSettings;
  /** Who asks for it. */
  readonly place: Place;
  /** The node at its other end; undefined: a router, or whatever else is no node. */
  readonly peerNode: string | undefined;
}

export interface Speaker {
  readonly node: string;
  /** Undefined: this node has no BGP. */
  readonly config: SpeakerConfig | undefined;
  readonly problems: readonly TopologyProblem[];
  /** By address and port. */
  readonly sessions: ReadonlyMap<string, Session>;
  /** By the node at the other end. */
  readonly withNodes: ReadonlyMap<string, readonly Session[]>;
  /** Of all that the sessions follow from: speakers of equal digests have the very same ones. */
  readonly digest: string;
}

/** By node. */
export type Network = ReadonlyMap<string, Speaker>;

const digest = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('base64');

export interface NetworkOptions {
  /** Where agents look for BGP passwords: their own namespace. */
  readonly secretNamespace: string;
  /** What the nodes' speakers hold when this comes to them. */
  readonly before?: Network;
}

export function networkOf(world: World, { secretNamespace, before }: NetworkOptions): Network {
  const nodes = ofKind(world, 'nodes');
  const bgpConfigurations = ofKind(world, 'bgpConfigurations');
  const shared = {
    nodes,
    bgpConfigurations,
    bgpPeers: ofKind(world, 'bgpPeers'),
    bgpFilters: ofKind(world, 'bgpFilters'),
    ipPools: ofKind(world, 'ipPools'),
    loopbackAddresses: new Set<string>(),
    secretNamespace,
    secret: secretsOf(world, secretNamespace),
    matches: remembering(selectorMatches),
  };
  const blocks = grouped(ofKind(world, 'ipamBlocks'), ({ spec }) => spec.node);
  const owners = new Map(
    nodes.flatMap((node) => {
      const { name, addresses } = identityOf(node);
      return [...addresses.values()].map((address) => [address, name] as const);
    }),
  );
  const ownersText = createHash('sha256')
    .update(JSON.stringify([...owners]))
    .digest('base64');
  const services = servicesOf(world);
  return new Map(
    nodes.map(({ metadata: { name: nodeName } }) => {
      const held = before?.get(nodeName)?.config?.filters;
      const { spec } = configurationOf(nodeName, bgpConfigurations, new Problems());
      const { config, problems, places } = topologyOf({
        ...shared,
        nodeName,
        blocks: (blocks.get(nodeName) ?? []).map(({ spec: { cidr, pool } }) => ({ cidr, pool })),
        services: readsServices(spec) ? services(nodeName) : [],
        ...(held === undefined ? {} : { heldFilters: held }),
      });
      const ownDigest = digest([config, [...places], ownersText]);
      const old = before?.get(nodeName);
      if (old?.digest === ownDigest) return [nodeName, { ...old, problems }];
      const sessions = sessionsOf(nodeName, config, places, owners);
      const withNodes = grouped([...sessions.values()], ({ peerNode }) => peerNode);
      return [nodeName, { node: nodeName, config, problems, sessions, withNodes, digest: ownDigest }];
    }),
  );
}

function sessionsOf(
  node: string,
  config: SpeakerConfig | undefined,
  places: ReadonlyMap<string, Place>,
  owners: ReadonlyMap<string, string>,
): ReadonlyMap<string, Session> {
  if (config === undefined) return new Map();
  return new Map(
    [...peerSettings(config).values()].map((settings) => {
      const address = peerAddressText(settings);
      const place = places.get(settings.name) ?? { resource: `Node/${node}` };
      return [`${address} ${settings.port}`, { node, address, settings, place, peerNode: owners.get(address) }];
    }),
  );
}

/** Between two nodes there is a session when both ask for it, with the AS numbers that both have; a router is taken to agree. */
export function isTwoSided(network: Network, { node, peerNode, settings }: Session): boolean {
  if (peerNode === undefined) return true;
  const isBack = (session: Session): boolean =>
    session.settings.address?.family === settings.address?.family &&
    acceptsAs(session.settings, settings.localAs) &&
    acceptsAs(settings, session.settings.localAs);
  return network.get(peerNode)?.withNodes.get(node)?.some(isBack) === true;
}

const acceptsAs = ({ remoteAs, localAs }: PeerSettings, asNumber: number): boolean =>
  remoteAs === 'external' ? asNumber !== localAs : remoteAs.includes(asNumber);

export const isRouter = ({ peerNode }: Session): boolean => peerNode === undefined;

/**
 * Where no Secret has been read, which takes rights that few have, keys are taken to be there: what is missing among those that were read
 * is told.
 */
function secretsOf(world: World, namespace: string): (name: string, key: string) => string | undefined {
  const secrets = ofKind(world, 'secrets');
  if (!world.has('secrets')) return () => 'not read';
  const own = new Map(
    secrets.filter(({ metadata }) => metadata.namespace === namespace).map((s) => [s.metadata.name, s]),
  );
  return (name, key) => {
    const value = own.get(name)?.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  };
}

/** The addresses of Services that a node may announce one by one: most are alike on all nodes without an endpoint. */
function servicesOf(world: World): (node: string) => readonly ServiceAddress[] {
  const slices = grouped(ofKind(world, 'endpointSlices'), ({ metadata: { namespace = '', labels } }) => {
    const service = labels?.[SERVICE_LABEL];
    return service === undefined ? undefined : `${namespace}/${service}`;
  });
  const anywhere: ServiceAddress[] = [];
  const here = new Map<string, ServiceAddress[]>();
  for (const service of ofKind(world, 'services')) {
    const own = slices.get(`${service.metadata.namespace ?? ''}/${service.metadata.name}`) ?? [];
    const common = serviceAddressesOf(service, own, '').filter(({ policy }) => policy === 'Cluster');
    anywhere.push(...common);
    for (const node of homesOf(own)) {
      const local = serviceAddressesOf(service, own, node).filter(({ policy }) => policy === 'Local');
      if (local.length > 0) here.set(node, [...(here.get(node) ?? []), ...local]);
    }
  }
  return (node) => [...anywhere, ...(here.get(node) ?? [])];
}

const homesOf = (slices: readonly EndpointSlice[]): ReadonlySet<string> =>
  new Set(slices.flatMap(({ endpoints }) => endpoints.flatMap(({ nodeName }) => nodeName ?? [])));

function grouped<T>(all: readonly T[], groupOf: (one: T) => string | undefined): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const group = groupOf(one);
    if (group === undefined) continue;
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [one]);
    else members.push(one);
  }
  return groups;
}

type Matches = (selector: string, labels: ReadonlyMap<string, string>) => boolean;

/** Every node asks the same of the same labels. */
function remembering(matches: Matches): Matches {
  const answers = new Map<string, WeakMap<ReadonlyMap<string, string>, boolean>>();
  return (selector, labels) => {
    const ofSelector = answers.get(selector) ?? new WeakMap<ReadonlyMap<string, string>, boolean>();
    answers.set(selector, ofSelector);
    const known = ofSelector.get(labels);
    if (known !== undefined) return known;
    const answer = matches(selector, labels);
    ofSelector.set(labels, answer);
    return answer;
  };
}
