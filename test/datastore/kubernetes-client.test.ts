/** The client's connections: how many it makes for what it asks. */
import { expect } from 'chai';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';

describe('KubernetesClient', () => {
  let directory: string;
  let server: Server;
  let client: KubernetesClient;
  let connections: Socket[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), `tortie-client-${process.pid}-`));
    connections = [];
    server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.url?.includes('watch') === true) response.write('{"type":"BOOKMARK"}\n');
      else response.end('{}');
    });
    server.on('connection', (socket) => connections.push(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
    const config = {
      'current-context': 'c',
      clusters: [{ name: 'c', cluster }],
      contexts: [{ name: 'c', context: { cluster: 'c' } }],
    };
    writeFileSync(join(directory, 'config'), JSON.stringify(config));
    client = KubernetesClient.load(join(directory, 'config'));
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });

  it('asks again over the connection that it has', async () => {
    for (let i = 0; i < 5; i++) await client.request('GET', '/api');
    expect(connections).to.have.length(1);
  });

  it('keeps two of the many that it asked over at once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => client.request('GET', '/api')));
    await Promise.all(Array.from({ length: 8 }, () => client.request('GET', '/api')));
    expect(connections).to.have.length(14);
  });

  it('makes another one where the server has ended it', async () => {
    await client.request('GET', '/api');
    const [first] = connections;
    first?.destroy();
    if (first?.closed === false) await once(first, 'close');
    // Its end takes a turn to come here.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await client.request('GET', '/api');
    expect(connections).to.have.length(2);
  });
});
