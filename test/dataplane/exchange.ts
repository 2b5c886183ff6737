/**
 * One TCP exchange between two namespaces, while the test stays outside of both.
 */
import { createServer, Socket } from 'node:net';
import { AF_INET, AF_INET6 } from '../../src/dataplane/libc.js';
import { listenInNamespace, type Namespace, socketInNamespace } from '../../src/dataplane/netns.js';

/** What a server at `address` in `to` says to a client in `from`; rejects if the client is not answered in five seconds. */
export async function exchange(from: Namespace, to: Namespace, address: string): Promise<string> {
  const server = createServer((connection) => connection.end('hello'));
  await new Promise<void>((resolve) => server.listen({ fd: listenInNamespace(to, address, 0) }, resolve));
  try {
    const bound = server.address();
    if (bound === null || typeof bound === 'string') throw new Error('The server has no port');
    const fd = socketInNamespace(from, address.includes(':') ? AF_INET6 : AF_INET);
    return await read(
      new Socket({ fd, manualStart: true } as ConstructorParameters<typeof Socket>[0]),
      address,
      bound.port,
    );
  } finally {
    server.close();
  }
}

function read(socket: Socket, host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setTimeout(5_000, () => socket.destroy(new Error(`No answer from ${host}`)));
    socket
      .setEncoding('utf8')
      .on('data', (chunk) => (text += chunk))
      .on('end', () => resolve(text))
      .on('error', reject);
    socket.connect({ host, port });
  });
}
