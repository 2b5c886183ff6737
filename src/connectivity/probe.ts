/**
 * What runs in the pods of a connectivity test: a server that says its name to whoever connects, and a client that tries targets until each
 * is as it shall be, or its time is over. TCP alone.
 */
import { createServer, Socket, type Server } from 'node:net';
import type { ProbeResult, Target } from './targets.js';

export interface ProbeOptions {
  /** Milliseconds in which a target has to become as it shall be. */
  readonly within: number;
  /** Milliseconds that one attempt waits for an answer. */
  readonly attempt: number;
}

const PAUSE = 250;
const MOST_NAME = 512;

/** What one attempt met: a name, or why there was none. */
type Met = { readonly name: string } | { readonly refused: true } | { readonly problem: string };

export async function probeAll(targets: readonly Target[], options: ProbeOptions): Promise<ProbeResult> {
  const outcomes = await Promise.all(targets.map((target) => settle(target, options)));
  return {
    tried: targets.length,
    failures: outcomes.flatMap((text, index) => (text === undefined ? [] : [[index, text] as const])),
  };
}

/** Undefined when it is as it shall be; else what was met last. */
async function settle(target: Target, { within, attempt }: ProbeOptions): Promise<string | undefined> {
  const until = performance.now() + within;
  for (;;) {
    const problem = problemOf(target, await tryOnce(target, attempt));
    if (problem === undefined || performance.now() >= until) return problem;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

function problemOf({ expect, names = [] }: Target, met: Met): string | undefined {
  const text = 'name' in met ? `"${met.name}" answered` : 'refused' in met ? 'the connection was refused' : met.problem;
  switch (expect) {
    case 'answer':
      return 'name' in met && names.includes(met.name) ? undefined : text;
    case 'silence':
      // A policy drops. What is refused has come through.
      return 'problem' in met && met.problem === SILENCE ? undefined : text;
    case 'reach':
      return 'problem' in met ? text : undefined;
  }
}

const SILENCE = 'nothing came back';

function tryOnce({ address, port, expect }: Target, timeout: number): Promise<Met> {
  return new Promise((resolve) => {
    const socket = new Socket();
    let text = '';
    const end = (met: Met): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(met);
    };
    const timer = setTimeout(() => end({ problem: text === '' ? SILENCE : `no whole name: "${text}"` }), timeout);
    socket.setEncoding('utf8');
    // Of a node's own service it is enough that it took the connection.
    socket.on('connect', () => (expect === 'reach' ? end({ name: '' }) : undefined));
    socket.on('data', (chunk: string) => {
      text = (text + chunk).slice(0, MOST_NAME);
      const line = /^(.*)\n/.exec(text)?.[1];
      if (line !== undefined) end({ name: line });
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end(
        error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET' ? { refused: true } : { problem: error.message },
      ),
    );
    socket.on('close', () => end({ problem: text === '' ? 'the connection was closed' : `no whole name: "${text}"` }));
    socket.connect({ host: address, port });
  });
}

/** Says `name` to whoever connects, over both families; resolves when it listens. */
export async function serveName(name: string, port: number): Promise<Server> {
  const server = createServer((socket) => {
    // A client that goes at once is no fault of ours.
    socket.on('error', () => socket.destroy());
    socket.end(`${name}\n`);
  });
  // A kernel without IPv6 has no "::".
  const listen = (host: string): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  await listen('::').catch(() => listen('0.0.0.0'));
  return server;
}
