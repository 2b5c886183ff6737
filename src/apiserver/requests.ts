/**
 * One request, from its parts to a reply: which route, which verb, which operation. No sockets here, so a reply can be
 * tested without any; the one stream there is (a watch) is handed back as a function that starts it.
 */
import { badRequest, methodNotAllowed, pathNotFound, unsupportedMediaType } from './api-error.js';
import { requireEntry, targetOf, type Cluster, type Target, type WriteOptions } from './cluster.js';
import { aggregatedDiscovery, coreVersions, groupDocument, groupList, resourceList, REVIEWS } from './discovery.js';
import type { Json, JsonObject } from './json.js';
import { openApiV3, openApiV3Index } from './openapi.js';
import type { ApiReply } from './api-reply.js';
import { OpenApiCache } from './openapi-cache.js';
import { parseJson, parseYamlBody, patchObject } from './patch.js';
import { decodeProtobuf, PROTOBUF } from './protobuf.js';
import { listObjects, parseSelection } from './read.js';
import { deletedStatus, deleteObject, parseDeleteOptions } from './remove.js';
import { chooseRepresentation, type Representation } from './representation.js';
import { apiVersionOf, type ResourceType } from './resource-type.js';
import { answerReview } from './reviews.js';
import { parseRoute, type ResourceRoute } from './route.js';
import type { Entry } from './store.js';
import { finalizeNamespace, postSubresource } from './subresources.js';
import { createObject, updateObject } from './write.js';
import { isTrue, parseWatchOptions, startWatch } from './watch.js';

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly contentType: string;
  readonly userAgent: string;
  readonly body: Buffer;
}

const VERSION: JsonObject = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.0-tortie.lab',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'node',
  platform: 'linux/amd64',
};

export class Requests {
  readonly #openApi: OpenApiCache;

  constructor(private readonly cluster: Cluster) {
    this.#openApi = new OpenApiCache(cluster.registry);
  }

  /** Throws ApiError for everything that is answered with a Status. */
  answer(request: ApiRequest): ApiReply {
    const { registry } = this.cluster;
    const route = parseRoute(request.path);
    switch (route.type) {
      case 'health':
        return { type: 'text', code: 200, text: 'ok', contentType: 'text/plain; charset=utf-8' };
      case 'version':
        return json(VERSION);
      case 'root':
        return json({
          paths: [
            '/api',
            '/api/v1',
            '/apis',
            '/healthz',
            '/livez',
            '/openapi/v2',
            '/openapi/v3',
            '/readyz',
            '/version',
          ],
        });
      case 'coreVersions':
        return discovery(request, this.cluster, true, coreVersions());
      case 'groupList':
        return discovery(request, this.cluster, false, groupList(registry));
      case 'group':
        return json(known(groupDocument(registry, route.group)));
      case 'resourceList':
        return json(known(resourceList(registry, route.group, route.version)));
      case 'openApiV2':
        return this.#openApi.version2(request.accept);
      case 'openApiV3Index':
        return json(openApiV3Index(registry));
      case 'openApiV3':
        return json(known(openApiV3(registry, route.group, route.version)));
      case 'resource':
        return this.#resource(request, route);
      case 'unknown':
        throw pathNotFound();
    }
  }

  #resource(request: ApiRequest, route: ResourceRoute): ApiReply {
    const review = REVIEWS.find(
      (row) => row.group === route.group && row.version === route.version && row.plural === route.plural,
    );
    if (review !== undefined) {
      if (request.method !== 'POST') throw methodNotAllowed(request.method);
      return json(answerReview(review.kind, apiVersionOf(review), readBody(request)), 201);
    }
    const type = this.cluster.registry.find(route.group, route.version, route.plural);
    if (type === undefined || (route.namespace !== undefined && !type.namespaced)) throw pathNotFound();
    if (!hasSubresource(type, route.subresource)) throw pathNotFound();
    const target: Target = {
      type,
      namespace: type.namespaced ? route.namespace : undefined,
      name: route.name,
      subresource: route.subresource,
    };
    if (type.namespaced && target.namespace === undefined && (route.name !== '' || request.method !== 'GET'))
      throw pathNotFound();
    const representation = chooseRepresentation(request.accept, request.query, this.cluster.now);
    return route.name === ''
      ? this.#collection(request, target, representation)
      : this.#object(request, target, representation);
  }

  #collection(request: ApiRequest, target: Target, representation: Representation): ApiReply {
    const { cluster } = this;
    switch (request.method) {
      case 'GET': {
        if (isTrue(request.query.get('watch'))) {
          const options = parseWatchOptions(target, request.query);
          return { type: 'watch', start: (sink) => startWatch(cluster, target, options, representation, sink) };
        }
        return this.#list(request, target, representation);
      }
      case 'POST': {
        const options = writeOptions(request);
        return written(target, representation, createObject(cluster, target, readBody(request), options), 201, options);
      }
      case 'DELETE':
        return this.#deleteCollection(request, target, representation);
      default:
        throw methodNotAllowed(request.method);
    }
  }

  #list(request: ApiRequest, target: Target, representation: Representation): ApiReply {
    const page = listObjects(this.cluster, target, request.query);
    const metadata: JsonObject = {
      resourceVersion: String(page.revision),
      ...(page.continueToken === '' ? {} : { continue: page.continueToken }),
      ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
    };
    return { type: 'text', code: 200, text: representation.list(target.type, page.entries, metadata) };
  }

  #deleteCollection(request: ApiRequest, target: Target, representation: Representation): ApiReply {
    const options = parseDeleteOptions(readBody(request), request.query);
    const selection = parseSelection(target.type, request.query);
    const entries = this.cluster.store
      .list(target.type.bucket, target.namespace)
      .filter((entry) => selection.matches(entry.object));
    for (const entry of entries) deleteObject(this.cluster, targetOf(target.type, entry.object), options);
    return {
      type: 'text',
      code: 200,
      text: representation.list(target.type, entries, { resourceVersion: String(this.cluster.store.revision) }),
    };
  }

  #object(request: ApiRequest, target: Target, representation: Representation): ApiReply {
    const { cluster } = this;
    const isVerb = target.subresource !== '' && target.subresource !== 'status';
    switch (request.method) {
      case 'GET': {
        if (isVerb) throw methodNotAllowed(request.method);
        return { type: 'text', code: 200, text: representation.object(target.type, requireEntry(cluster, target)) };
      }
      case 'POST':
        return json(postSubresource(cluster, target, readBody(request), writeOptions(request)), 201);
      case 'PUT': {
        const options = writeOptions(request);
        const entry = isVerb
          ? finalizeNamespace(cluster, target, readBody(request))
          : updateObject(cluster, target, readBody(request), options);
        return written(target, representation, entry, 200, options);
      }
      case 'PATCH': {
        if (isVerb) throw methodNotAllowed(request.method);
        const options = writeOptions(request);
        const result = patchObject(
          cluster,
          target,
          mediaType(request.contentType),
          request.body.toString('utf8'),
          options,
        );
        return written(target, representation, result.entry, result.isCreated ? 201 : 200, options);
      }
      case 'DELETE': {
        if (target.subresource !== '') throw methodNotAllowed(request.method);
        const { entry, isGone } = deleteObject(cluster, target, parseDeleteOptions(readBody(request), request.query));
        // As upstream: pods answer with themselves even when they are gone.
        const showsStatus = isGone && target.type.kind !== 'Pod';
        return showsStatus
          ? json(deletedStatus(target, entry.object))
          : { type: 'text', code: 200, text: representation.object(target.type, entry) };
      }
      default:
        throw methodNotAllowed(request.method);
    }
  }
}

const hasSubresource = (type: ResourceType, name: string): boolean =>
  name === '' || (name === 'status' && type.hasStatus) || Object.hasOwn(type.subresources, name);

const json = (value: JsonObject, code = 200): ApiReply => ({ type: 'text', code, text: JSON.stringify(value) });

function known(document: JsonObject | undefined): JsonObject {
  if (document === undefined) throw pathNotFound();
  return document;
}

function discovery(request: ApiRequest, cluster: Cluster, isCore: boolean, old: JsonObject): ApiReply {
  const version = /g=apidiscovery\.k8s\.io;v=(v2beta1|v2)\b/.exec(request.accept)?.[1];
  if (version === undefined) return json(old);
  return {
    type: 'text',
    code: 200,
    text: JSON.stringify(aggregatedDiscovery(cluster.registry, isCore, version)),
    contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
  };
}

const written = (
  target: Target,
  representation: Representation,
  entry: Entry,
  code: number,
  options: WriteOptions,
): ApiReply => ({ type: 'text', code, text: representation.object(target.type, entry), warnings: options.warnings });

const mediaType = (contentType: string): string => contentType.split(';')[0]?.trim() ?? '';

/** The body as JSON; undefined when there is none. */
function readBody(request: ApiRequest): Json | undefined {
  if (request.body.length === 0) return undefined;
  switch (mediaType(request.contentType)) {
    case '':
    case 'application/json':
    case '*/*':
      return parseJson(request.body.toString('utf8'));
    case 'application/yaml':
      return parseYamlBody(request.body.toString('utf8'));
    case PROTOBUF:
      return decodeProtobuf(request.body);
    default:
      throw unsupportedMediaType(['application/json', 'application/yaml', PROTOBUF]);
  }
}

function writeOptions(request: ApiRequest): WriteOptions {
  const validation = request.query.get('fieldValidation') ?? '';
  if (validation !== '' && validation !== 'Strict' && validation !== 'Warn' && validation !== 'Ignore')
    throw badRequest(
      `fieldValidation: Unsupported value: "${validation}": supported values: "Ignore", "Strict", "Warn"`,
    );
  const dryRun = request.query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All' && value !== ''))
    throw badRequest(`dryRun: Unsupported value: "${dryRun.join(',')}": supported values: "All"`);
  const manager = request.query.get('fieldManager') ?? '';
  return {
    dryRun: dryRun.includes('All'),
    fieldManager: manager === '' ? managerOf(request.userAgent) : manager,
    fieldValidation: validation === '' ? 'Warn' : validation,
    force: isTrue(request.query.get('force')),
    warnings: [],
  };
}

/** "kubectl/v1.32.4 (linux/amd64) …" writes as "kubectl". */
const managerOf = (userAgent: string): string => userAgent.split('/')[0]?.slice(0, 128) ?? 'unknown';
