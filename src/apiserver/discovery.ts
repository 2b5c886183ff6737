/**
 * Discovery: which groups, versions and resources there are, in the old form (/api, /apis, /apis/GROUP/VERSION) and the
 * aggregated one (apidiscovery.k8s.io, one document for everything), which current kubectl asks for first.
 */
import type { JsonObject } from './json.js';
import type { Registry } from './registry.js';
import type { ResourceType } from './resource-type.js';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;
const STATUS_VERBS = ['get', 'patch', 'update'] as const;

interface Review {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Reviews: kinds one posts a question to and that keep nothing. */
export const REVIEWS: readonly Review[] = [
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
    namespaced: false,
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    kind: 'SelfSubjectRulesReview',
    plural: 'selfsubjectrulesreviews',
    namespaced: false,
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    kind: 'SubjectAccessReview',
    plural: 'subjectaccessreviews',
    namespaced: false,
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    kind: 'SelfSubjectReview',
    plural: 'selfsubjectreviews',
    namespaced: false,
  },
  { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenReview', plural: 'tokenreviews', namespaced: false },
];

/** Groups with their versions, preferred first; "" is the core group. */
function servedGroups(registry: Registry): ReadonlyMap<string, readonly string[]> {
  const groups = new Map(registry.groups());
  for (const review of REVIEWS) if (!groups.has(review.group)) groups.set(review.group, [review.version]);
  return groups;
}

/** GET /api */
export const coreVersions = (): JsonObject => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [],
});

/** GET /apis */
export const groupList = (registry: Registry): JsonObject => ({
  kind: 'APIGroupList',
  apiVersion: 'v1',
  groups: [...servedGroups(registry)]
    .filter(([group]) => group !== '')
    .map(([group, versions]) => groupObject(group, versions)),
});

/** GET /apis/GROUP; undefined when nothing of the group is served. */
export function groupDocument(registry: Registry, group: string): JsonObject | undefined {
  const versions = servedGroups(registry).get(group);
  return versions === undefined || group === ''
    ? undefined
    : { kind: 'APIGroup', apiVersion: 'v1', ...groupObject(group, versions) };
}

function groupObject(group: string, versions: readonly string[]): JsonObject {
  const entries = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: entries, preferredVersion: entries[0] ?? {} };
}

/** GET /api/v1 or /apis/GROUP/VERSION; undefined when it is not served. */
export function resourceList(registry: Registry, group: string, version: string): JsonObject | undefined {
  const types = registry.ofVersion(group, version);
  const reviews = REVIEWS.filter((review) => review.group === group && review.version === version);
  if (types.length === 0 && reviews.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources: [
      ...types.flatMap(resources),
      ...reviews.map(({ plural, kind, namespaced }) => ({
        name: plural,
        singularName: kind.toLowerCase(),
        namespaced,
        kind,
        verbs: ['create'],
      })),
    ],
  };
}

const verbsOf = (subresource: string): readonly string[] => (subresource === 'finalize' ? ['update'] : ['create']);

function resources(type: ResourceType): readonly JsonObject[] {
  const { plural, kind, namespaced } = type;
  const main: JsonObject = {
    name: plural,
    singularName: type.singular,
    namespaced,
    kind,
    verbs: [...VERBS],
    ...(type.shortNames.length === 0 ? {} : { shortNames: type.shortNames }),
    ...(type.categories.length === 0 ? {} : { categories: type.categories }),
  };
  const status = type.hasStatus
    ? [{ name: `${plural}/status`, singularName: '', namespaced, kind, verbs: [...STATUS_VERBS] }]
    : [];
  const others = Object.entries(type.subresources).map(([name, body]) => ({
    name: `${plural}/${name}`,
    singularName: '',
    namespaced,
    ...body,
    verbs: verbsOf(name),
  }));
  return [main, ...others, ...status];
}

/** GET /api and /apis as apidiscovery.k8s.io v2 or v2beta1. */
export function aggregatedDiscovery(registry: Registry, isCore: boolean, version: string): JsonObject {
  const groups = [...servedGroups(registry)].filter(([group]) => (group === '') === isCore);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(([group, versions]) => ({
      metadata: { name: group, creationTimestamp: null },
      versions: versions.map((name) => ({
        version: name,
        freshness: 'Current',
        resources: aggregatedResources(registry, group, name),
      })),
    })),
  };
}

function aggregatedResources(registry: Registry, group: string, version: string): readonly JsonObject[] {
  const reviews = REVIEWS.filter((review) => review.group === group && review.version === version).map((review) => ({
    resource: review.plural,
    responseKind: { group, version, kind: review.kind },
    scope: review.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: review.kind.toLowerCase(),
    verbs: ['create'],
  }));
  return [...registry.ofVersion(group, version).map(aggregatedResource), ...reviews];
}

function aggregatedResource(type: ResourceType): JsonObject {
  const responseKind = { group: type.group, version: type.version, kind: type.kind };
  const status = type.hasStatus ? [{ subresource: 'status', responseKind, verbs: [...STATUS_VERBS] }] : [];
  const others = Object.entries(type.subresources).map(([subresource, body]) => ({
    subresource,
    responseKind: { ...body },
    verbs: verbsOf(subresource),
  }));
  return {
    resource: type.plural,
    responseKind,
    scope: type.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: type.singular,
    verbs: [...VERBS],
    ...(type.shortNames.length === 0 ? {} : { shortNames: type.shortNames }),
    ...(type.categories.length === 0 ? {} : { categories: type.categories }),
    subresources: [...status, ...others],
  };
}
