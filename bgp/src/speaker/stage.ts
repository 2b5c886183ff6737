/**
 * A stage for rehearsals (warm-up.ts): time that does not pass and connections that lead nowhere, so that a whole
 * Speaker can run inside one call without a socket or timer. Tests have a fuller network of their own, with latency and
 * two ends; here the far end is the caller.
 */
import type { Clock } from '../session/clock.js';
import type { Connection, ConnectionEvents, Endpoint, Transport } from '../transport/transport.js';

/** What was asked to run "soon" runs when the caller says so. Timers never fire. */
export class StageClock implements Clock {
  private soonList: (() => void)[] = [];

  // Of the kind that real clocks give: V8 keeps small integers apart from all other numbers, and so the code that handles them.
  now(): number {
    return 1000.5;
  }
  wallTime(): number {
    return 1_700_000_000_000;
  }
  random(): number {
    return 0;
  }
  after(): { cancel(): void } {
    return { cancel: () => undefined };
  }
  soon(run: () => void): void {
    this.soonList.push(run);
  }
  afterPoll(run: () => void): void {
    this.soon(run);
  }

  /** Until nothing is left: turns of the event loop. */
  settle(): void {
    while (this.soonList.length > 0) {
      const turn = this.soonList;
      this.soonList = [];
      for (const run of turn) run();
    }
  }
}

/** Takes everything at once and counts it; the caller speaks for the far end by `receive`. */
export class StageConnection implements Connection {
  readonly direction = 'incoming';
  readonly queuedBytes = 0;
  /** Octets written to the far end. */
  written = 0;
  private events: ConnectionEvents | undefined;

  constructor(
    readonly local: Endpoint,
    readonly remote: Endpoint,
  ) {}

  open(events: ConnectionEvents): void {
    this.events = events;
  }
  receive(bytes: Uint8Array): void {
    this.events?.onBytes(bytes);
  }

  write(buffers: readonly Uint8Array[]): boolean {
    for (const { length } of buffers) this.written += length;
    return true;
  }

  /** The far end closes. */
  hangUp(): void {
    const { events } = this;
    this.events = undefined;
    events?.onClosed('The peer closed the connection');
  }

  setReading(): void {}
  setHopLimits(): void {}
  setPassword(): void {}
  end(): void {
    this.events = undefined;
  }
  destroy(): void {
    this.events = undefined;
  }
}

export class StageTransport implements Transport {
  private acceptor: ((connection: Connection) => void) | undefined;

  constructor(private readonly endpoint: Endpoint) {}

  connect(): { cancel(): void } {
    return { cancel: () => undefined };
  }

  listen(endpoint: Endpoint, accept: (connection: Connection) => void): ReturnType<Transport['listen']> {
    this.acceptor = accept;
    return Promise.resolve({ endpoint, setKeys: () => undefined, close: () => Promise.resolve() });
  }

  /** Somebody at this address connects. */
  dial(address: string): StageConnection {
    const connection = new StageConnection(this.endpoint, { address, port: 40_000 });
    this.acceptor?.(connection);
    return connection;
  }
}
