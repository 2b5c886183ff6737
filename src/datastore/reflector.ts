/**
 * Keeps one kind in step with the API server: list, then watch from there, for ever.
 *
 *   list (pages) --> deliver what is new or changed, delete what is gone --> synced --> watch from its resourceVersion
 *     ^                                                                                    |
 *     +---- 410 Gone (history too short) <-------------------------------------------------+---- ended or broken: watch again
 *
 * Losses of the server are ridden out with growing, jittered pauses; the sink keeps the last state meanwhile. A kind that the
 * server does not know (its CRD is not installed yet) counts as empty and is asked for again.
 */
import { resourcePath, kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeList, KubeObject } from '../api/meta.js';
import { breathe } from '../breathe.js';
import { messageOf } from '../errors.js';
import { ApiError, type Watch, type WatchOptions, type WatchSink } from './datastore.js';
import { KnownObjects, SinkFault } from './known-objects.js';
import type { KubernetesClient } from './kubernetes-client.js';

const PAGE = 500;
const SHORTEST_PAUSE = 250;
const LONGEST_PAUSE = 15_000;
/** A kind that is not served appears when somebody installs its CRD; nobody waits for that longer than this. */
const ABSENT_KIND_PAUSE = 5_000;
const WATCH_SECONDS = 300;

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubeObject & { readonly code?: number; readonly message?: string; readonly reason?: string };
}

/** The server no longer has the history since our resourceVersion. */
class GoneError extends Error {}

export class Reflector<K extends KindName> implements Watch {
  private readonly abort = new AbortController();
  private readonly known: KnownObjects<K>;
  private resourceVersion: string | undefined;
  private failures = 0;

  constructor(
    private readonly client: KubernetesClient,
    private readonly kind: K,
    private readonly sink: WatchSink<K>,
    private readonly options: WatchOptions,
  ) {
    this.known = new KnownObjects(kind, sink, options);
  }

  /** Runs until stopped. Rejects only when the sink threw. */
  async run(): Promise<void> {
    while (!this.abort.signal.aborted) {
      try {
        if (this.resourceVersion === undefined) await this.list();
        await this.watch();
        this.failures = 0;
      } catch (error) {
        if (error instanceof SinkFault) throw error.cause;
        if (this.abort.signal.aborted) return;
        await this.recover(error);
      }
    }
  }

  stop(): void {
    this.abort.abort();
  }

  private async recover(error: unknown): Promise<void> {
    if (error instanceof GoneError || (error instanceof ApiError && error.status === 410)) {
      this.resourceVersion = undefined;
      return;
    }
    const isAbsent = error instanceof ApiError && error.status === 404;
    if (isAbsent) this.known.listed([]);
    this.resourceVersion = isAbsent ? undefined : this.resourceVersion;
    this.sink.health(this.kind, isAbsent ? undefined : messageOf(error));
    const pause = isAbsent
      ? ABSENT_KIND_PAUSE
      : Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(this.failures++, 10));
    await this.sleep(pause * (0.75 + Math.random() / 2));
  }

  private async list(): Promise<void> {
    const items: ObjectOf[K][] = [];
    let next: string | undefined;
    let version = '';
    do {
      const query = this.query({ limit: String(PAGE), ...(next === undefined ? {} : { continue: next }) });
      const page = await this.client.request<KubeList<ObjectOf[K]>>('GET', `${this.path()}?${query}`);
      for (const item of page.items) {
        await breathe();
        items.push(this.known.kept(item));
      }
      next = page.metadata.continue === '' ? undefined : page.metadata.continue;
      version = page.metadata.resourceVersion ?? '';
    } while (next !== undefined);
    const steps = this.known.listing(items);
    while (steps.next().done !== true) await breathe();
    this.resourceVersion = version;
    this.failures = 0;
    this.sink.health(this.kind, undefined);
  }

  private async watch(): Promise<void> {
    const query = this.query({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.resourceVersion ?? '',
      timeoutSeconds: String(Math.round(WATCH_SECONDS * (1 + Math.random()))),
    });
    const started = Date.now();
    let isHealthy = false;
    await this.client.stream(
      `${this.path()}?${query}`,
      (line) => {
        if (!isHealthy) this.sink.health(this.kind, undefined);
        isHealthy = true;
        this.failures = 0;
        this.handle(JSON.parse(line) as WatchEvent);
      },
      this.abort.signal,
    );
    // A server that ends every watch at once must not be asked in a tight loop.
    if (Date.now() - started < SHORTEST_PAUSE) await this.sleep(SHORTEST_PAUSE);
  }

  private handle(event: WatchEvent): void {
    if (event.type === 'ERROR') {
      if (event.object.code === 410) throw new GoneError();
      throw new ApiError(
        event.object.message ?? 'the watch ended with an error',
        event.object.code ?? 500,
        event.object.reason ?? '',
      );
    }
    this.resourceVersion = event.object.metadata.resourceVersion ?? this.resourceVersion;
    if (event.type === 'BOOKMARK') return;
    if (event.type === 'DELETED') this.known.deleted(event.object);
    else this.known.upsert(this.known.kept(event.object as ObjectOf[K]));
  }

  private path(): string {
    return resourcePath(kinds[this.kind], this.options.namespace);
  }

  private query(parameters: Readonly<Record<string, string>>): URLSearchParams {
    const query = new URLSearchParams(parameters);
    if (this.options.fieldSelector !== undefined) query.set('fieldSelector', this.options.fieldSelector);
    return query;
  }

  private sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.abort.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.abort.signal.addEventListener('abort', done, { once: true });
    });
  }
}
