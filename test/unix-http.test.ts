/** How the agent and the CLI ask bgpd: no request depends on what became of the one before. */
import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requestOverUnixSocket } from '../src/unix-http.js';

describe('unix-http', () => {
  it('asks over a connection of its own each time: one that stands idle may be closed just then', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tortie-unix-http-'));
    const path = join(directory, 'sock');
    const sockets = new Set<Socket>();
    // Answers once on a connection, offers to go on, and is gone when somebody does: as a server whose idle time is over.
    const server = createServer((socket) => {
      sockets.add(socket);
      let asked = 0;
      socket.on('error', () => undefined);
      socket.on('data', () => {
        if (asked++ > 0) socket.destroy();
        else socket.write('HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 4\r\n\r\ntrue');
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      for (let i = 0; i < 3; i++) expect((await requestOverUnixSocket(path, 'GET', '/')).body).to.equal(true);
      expect(sockets.size).to.equal(3);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
