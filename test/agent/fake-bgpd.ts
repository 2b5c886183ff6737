/** What the agent sees of a bgpd: takes configurations, answers with digests; tests say how it fails. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { SpeakerConfig } from 'node-bgp/config';

export class FakeBgpd {
  /** Every configuration that was given, in order. */
  readonly told: SpeakerConfig[] = [];
  held: SpeakerConfig | undefined;
  /** Answer of the next PUTs; undefined: accept. */
  refusal: { readonly status: number; readonly error: string } | undefined;
  /** Peers of the summary. */
  peers: readonly object[] = [];
  private server: Server | undefined;

  listen(path: string): Promise<void> {
    const server = createServer((request, response) => void this.answer(request, response));
    this.server = server;
    return new Promise((resolve) => server.listen(path, resolve));
  }

  close(): Promise<void> {
    const { server } = this;
    if (server === undefined) return Promise.resolve();
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const send = (status: number, body: unknown): void => {
      response.statusCode = status;
      response.end(JSON.stringify(body));
    };
    if (request.method === 'PUT') {
      const config = JSON.parse(Buffer.concat(chunks).toString('utf8')) as SpeakerConfig;
      this.told.push(config);
      if (this.refusal !== undefined) return send(this.refusal.status, { error: this.refusal.error });
      this.held = config;
      return send(200, { digest: digestOf(config) });
    }
    if (request.url === '/v1/config') return send(200, this.held ?? {});
    if (this.held === undefined) return send(200, { isConfigured: false, peers: [] });
    return send(200, {
      isConfigured: true,
      configDigest: digestOf(this.held),
      localAs: this.held.localAs,
      routerId: this.held.routerId,
      listen: [],
      peers: this.peers,
    });
  }
}

const digestOf = (config: SpeakerConfig): string => Buffer.from(JSON.stringify(config)).toString('base64');
