/**
 * Ports that programs of this network namespace listen on, from /proc: TCP sockets in state LISTEN, and UDP sockets that are not
 * connected to one peer (proc(5), net/tcp). Reads the namespace of the calling thread.
 */
import { readFileSync } from 'node:fs';

const LISTEN = '0A';
const FILES = [
  ['tcp', 'tcp'],
  ['tcp', 'tcp6'],
  ['udp', 'udp'],
  ['udp', 'udp6'],
] as const;

/** "tcp:30080" of each. */
export function listeningPorts(): ReadonlySet<string> {
  const ports = new Set<string>();
  for (const [protocol, file] of FILES)
    for (const port of portsIn(protocol, readTable(`/proc/thread-self/net/${file}`))) ports.add(port);
  return ports;
}

/** Of one table's text. Exported for its test. */
export function portsIn(protocol: 'tcp' | 'udp', text: string): readonly string[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, , local = '', remote = '', state] = ` ${line.trim()}`.split(/\s+/);
      const isOpen = protocol === 'tcp' ? state === LISTEN : remote.endsWith(':0000');
      const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16);
      return isOpen && port > 0 ? [`${protocol}:${port}`] : [];
    });
}

/** A kernel without IPv6 has no such file. */
function readTable(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
