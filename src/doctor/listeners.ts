/**
 * Who listens on a TCP port: from /proc/net/tcp and tcp6 of the calling thread's namespace, and the descriptors of the processes that
 * we may see (proc(5)). In a container without the host's process ids nobody is seen as the owner.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { addressFromBytes, formatAddress } from 'node-bgp/address';
import type { Listener } from './node-facts.js';

const LISTEN = '0A';
const FILES = ['/proc/thread-self/net/tcp', '/proc/thread-self/net/tcp6'];

interface Socket {
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

export function readListeners(ports: ReadonlySet<number>): readonly Listener[] {
  const sockets = FILES.flatMap((file) => socketsIn(orEmpty(() => readFileSync(file, 'utf8')))).filter(({ port }) =>
    ports.has(port),
  );
  const owners = ownersOf(new Set(sockets.map(({ inode }) => `socket:[${inode}]`)));
  return sockets.map(({ address, port, inode }) => {
    const owner = owners.get(`socket:[${inode}]`);
    return { address, port, ...(owner === undefined ? {} : { owner }) };
  });
}

/** Listening sockets of one table's text. Exported for its test. */
export function socketsIn(text: string): readonly Socket[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const [address = '', port = ''] = local.split(':');
      return state === LISTEN ? [{ address: addressIn(address), port: Number.parseInt(port, 16), inode }] : [];
    });
}

/** The kernel prints words of 32 bits as the machine has them: octets of each the other way round (little endian). */
function addressIn(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex')].reverse());
  return formatAddress(addressFromBytes(Uint8Array.from(bytes)));
}

function ownersOf(wanted: ReadonlySet<string>): ReadonlyMap<string, NonNullable<Listener['owner']>> {
  const owners = new Map<string, NonNullable<Listener['owner']>>();
  if (wanted.size === 0) return owners;
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const folder = `/proc/${entry}/fd`;
    for (const fd of orEmpty(() => readdirSync(folder))) {
      const target = orEmpty(() => readlinkSync(`${folder}/${fd}`));
      if (wanted.has(target) && !owners.has(target))
        owners.set(target, {
          pid: Number(entry),
          name: orEmpty(() => readFileSync(`/proc/${entry}/comm`, 'utf8')).trim(),
        });
    }
  }
  return owners;
}

function orEmpty(read: () => string): string;
function orEmpty(read: () => readonly string[]): readonly string[];
/** Processes end while they are looked at, others are not ours to see, and a kernel without IPv6 has no tcp6. */
function orEmpty(read: () => string | readonly string[]): string | readonly string[] {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return '';
    throw error;
  }
}
