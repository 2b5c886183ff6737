/**
 * A monitoring station for tests: listens, and reads BMP by its own lights (RFC 7854, 8671, 9069), nothing shared with the writer. It is
 * held against GoBGP's BMP first, so that it is not merely the writer's mirror.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface Heard {
  readonly type: string;
  /** "10.0.0.2 AS65001", or "loc-rib"; empty for messages about no peer. */
  readonly peer: string;
  readonly flags: number;
  readonly identifier: string;
  /** What is left after the headers. */
  readonly body: Buffer;
}

const TYPES = ['route-monitoring', 'statistics', 'peer-down', 'peer-up', 'initiation', 'termination'];

export class Station {
  readonly heard: Heard[] = [];
  readonly sockets: Socket[] = [];
  #rest = Buffer.alloc(0);
  readonly #server: Server = createServer((socket) => {
    this.sockets.push(socket);
    this.#rest = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      this.#read();
    });
    socket.on('error', () => undefined);
  });

  async listen(host = '127.0.0.1', port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, host, resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  of(type: string): Heard[] {
    return this.heard.filter((message) => message.type === type);
  }

  #read(): void {
    while (this.#rest.length >= 6) {
      if (this.#rest[0] !== 3) throw new Error(`BMP version ${this.#rest[0]}`);
      const length = this.#rest.readUInt32BE(1);
      if (this.#rest.length < length) return;
      this.heard.push(parse(this.#rest.subarray(0, length)));
      this.#rest = this.#rest.subarray(length);
    }
  }
}

function parse(message: Buffer): Heard {
  const type = TYPES[message[5] ?? 255] ?? `type ${message[5]}`;
  if (type === 'initiation' || type === 'termination')
    return { type, peer: '', flags: 0, identifier: '', body: message.subarray(6) };
  const [peerType = 0, flags = 0] = message.subarray(6, 8);
  const address = message.subarray(16, 32);
  const text =
    peerType === 3 ? 'loc-rib' : (flags & 0x80) !== 0 ? address.toString('hex') : [...address.subarray(12)].join('.');
  return {
    type,
    peer: `${text} AS${message.readUInt32BE(32)}`,
    flags,
    identifier: [...message.subarray(36, 40)].join('.'),
    body: message.subarray(48),
  };
}

/** Type, length, value. */
export function tlvs(body: Buffer): [number, string][] {
  const list: [number, string][] = [];
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt16BE(at + 2);
    list.push([body.readUInt16BE(at), body.subarray(at + 4, at + 4 + length).toString('latin1')]);
    at += 4 + length;
  }
  return list;
}
