/** The Kubernetes adapter: reflectors for reading, plain requests for writing. */
import { apiVersionOf, kinds, resourcePath, type KindName, type ObjectOf, type ResourceKind } from '../api/kinds.js';
import type { Condition, KubeList, KubeObject } from '../api/meta.js';
import { ApiError, type ObjectStore, type Watch, type WatchOptions, type WatchSink } from './datastore.js';
import type { KubernetesClient } from './kubernetes-client.js';
import { Reflector } from './reflector.js';

const JSON_TYPE = 'application/json';
/** JSON is YAML. */
const APPLY_TYPE = 'application/apply-patch+yaml';

export class KubernetesDatastore implements ObjectStore {
  constructor(private readonly client: KubernetesClient) {}

  watch<K extends KindName>(kind: K, sink: WatchSink<K>, options: WatchOptions = {}): Watch {
    const reflector = new Reflector(this.client, kind, sink, options);
    void reflector.run();
    return reflector;
  }

  dial(): Promise<void> {
    return this.client.dial();
  }

  async list<K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]> {
    return (await this.client.request<KubeList<ObjectOf[K]>>('GET', resourcePath(kinds[kind]))).items;
  }

  get<K extends KindName>(kind: K, name: string, namespace?: string): Promise<ObjectOf[K] | undefined> {
    return this.find<ObjectOf[K]>(resourcePath(kinds[kind], namespace, name));
  }

  getForeign(kind: ResourceKind, name: string, namespace: string): Promise<KubeObject | undefined> {
    return this.find<KubeObject>(resourcePath(kind, namespace, name));
  }

  private async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.client.request<T>('GET', path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  create<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]> {
    return this.client.request('POST', resourcePath(kinds[kind], object.metadata.namespace), {
      contentType: JSON_TYPE,
      value: typed(kind, object),
    });
  }

  replaceStatus<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]> {
    const path = resourcePath(kinds[kind], object.metadata.namespace, object.metadata.name);
    return this.client.request('PUT', `${path}/status`, { contentType: JSON_TYPE, value: typed(kind, object) });
  }

  replace<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]> {
    const path = resourcePath(kinds[kind], object.metadata.namespace, object.metadata.name);
    return this.client.request('PUT', path, { contentType: JSON_TYPE, value: typed(kind, object) });
  }

  applyStatus<K extends KindName>(
    kind: K,
    { name, namespace }: { readonly name: string; readonly namespace?: string },
    status: { readonly conditions: readonly Condition[] } | undefined,
    manager: string,
  ): Promise<ObjectOf[K]> {
    const path = `${resourcePath(kinds[kind], namespace, name)}/status`;
    const value = {
      apiVersion: apiVersionOf(kinds[kind]),
      kind: kinds[kind].kind,
      metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
      ...(status === undefined ? {} : { status }),
    };
    return this.client.request('PATCH', `${path}?fieldManager=${encodeURIComponent(manager)}&force=true`, {
      contentType: APPLY_TYPE,
      value,
    });
  }

  apply<K extends KindName>(
    kind: K,
    object: ObjectOf[K],
    manager: string,
    { isDryRun = false }: { readonly isDryRun?: boolean } = {},
  ): Promise<ObjectOf[K]> {
    const path = resourcePath(kinds[kind], object.metadata.namespace, object.metadata.name);
    const query = `fieldManager=${encodeURIComponent(manager)}&force=true&fieldValidation=Strict${isDryRun ? '&dryRun=All' : ''}`;
    return this.client.request('PATCH', `${path}?${query}`, { contentType: APPLY_TYPE, value: typed(kind, object) });
  }

  /** Every connection is a request's own. */
  async close(): Promise<void> {}

  async delete<K extends KindName>(
    kind: K,
    name: string,
    options: { readonly namespace?: string; readonly uid?: string; readonly resourceVersion?: string } = {},
  ): Promise<void> {
    const { uid, resourceVersion } = options;
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(uid === undefined && resourceVersion === undefined
        ? {}
        : { preconditions: { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) } }),
    };
    try {
      await this.client.request('DELETE', resourcePath(kinds[kind], options.namespace, name), {
        contentType: JSON_TYPE,
        value: body,
      });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }
}

const typed = <K extends KindName>(kind: K, object: ObjectOf[K]): ObjectOf[K] => ({
  ...object,
  apiVersion: apiVersionOf(kinds[kind]),
  kind: kinds[kind].kind,
});
