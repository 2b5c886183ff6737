/**
 * Tracked connections that changed rules have made wrong: noted as the rules go out, forgotten once they stand. Sooner, the next packet
 * would make the same entry again by the old rules. A walk of the kernel's table that fails is repeated.
 */
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

const RETRY = 2_000;

export interface StaleConnectionsOptions<Value> {
  /** One walk for all of these; answers how many connections it forgot. */
  readonly forget: (stale: ReadonlyMap<string, Value>) => Promise<number>;
  readonly onForgotten?: (count: number) => void;
  readonly log: Logger;
  /** Milliseconds until a walk that failed is repeated; default 2 s. */
  readonly retry?: number;
}

export class StaleConnections<Value> {
  /** Of rules that are being written. BOUNDED by the keys there are: addresses and ports of the node's rules. */
  private readonly noted = new Map<string, Value>();
  /** Of rules that stand. BOUNDED likewise. */
  private readonly due = new Map<string, Value>();
  private isWalking = false;
  private isStopped = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: StaleConnectionsOptions<Value>) {}

  /** The rules that make these wrong are about to be written. What is noted last of a key counts. */
  note(key: string, value: Value): void {
    this.noted.set(key, value);
  }

  /** All rules whose connections were noted stand. */
  stand(): void {
    for (const [key, value] of this.noted) this.due.set(key, value);
    this.noted.clear();
    void this.walk();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private async walk(): Promise<void> {
    if (this.isWalking) return;
    this.isWalking = true;
    clearTimeout(this.timer);
    while (this.due.size > 0 && !this.isStopped) {
      const stale = new Map(this.due);
      this.due.clear();
      try {
        const count = await this.options.forget(stale);
        this.options.onForgotten?.(count);
      } catch (error) {
        this.failed(stale, error);
        break;
      }
    }
    this.isWalking = false;
  }

  private failed(stale: ReadonlyMap<string, Value>, error: unknown): void {
    for (const [key, value] of stale) if (!this.due.has(key)) this.due.set(key, value);
    if (this.isStopped) return;
    this.options.log.warn({ problem: messageOf(error) }, 'Cannot forget stale tracked connections; trying again');
    this.timer = setTimeout(() => void this.walk(), this.options.retry ?? RETRY).unref();
  }
}
