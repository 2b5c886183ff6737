#!/usr/bin/env node
/**
 * The lab's API server as a process: `main.js [--listen HOST:PORT] [--listen-unix PATH] [--token-file PATH]
 * [--crds PATH] [--history N]`.
 *
 * Prints one line of JSON when it is ready, `{"ready":true,"url":"http://…"}`, and ends on SIGTERM or SIGINT. State is in
 * memory: a new process starts empty, but for --crds.
 */
import { parseArgs } from 'node:util';
import { readFileSync, rmSync } from 'node:fs';
import { createLogger } from '../log.js';
import { messageOf, UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { loadManifests } from './manifests.js';
import { startApiServer } from './server.js';

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      listen: { type: 'string' },
      'listen-unix': { type: 'string' },
      'token-file': { type: 'string' },
      crds: { type: 'string' },
      history: { type: 'string' },
    },
  });
  const log = createLogger('apiserver');
  const unixPath = values['listen-unix'];
  if (unixPath !== undefined) rmSync(unixPath, { force: true });
  const server = await startApiServer({
    ...(values.listen === undefined ? {} : { listen: parseListen(values.listen) }),
    ...(unixPath === undefined ? {} : { listenUnix: unixPath }),
    ...(values.history === undefined ? {} : { historyLength: Number(values.history) }),
    ...(values['token-file'] === undefined ? {} : { token: readFileSync(values['token-file'], 'utf8').trim() }),
    crds: values.crds === undefined ? [] : loadManifests(values.crds),
    onError: (error) => log.error({ err: error }, 'A request failed inside the server'),
  });
  print(`${JSON.stringify({ ready: true, url: server.url, unix: unixPath })}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      server.close().then(
        () => {
          if (unixPath !== undefined) rmSync(unixPath, { force: true });
          process.exit(0);
        },
        (error: unknown) => {
          log.error({ err: error }, 'Cannot stop cleanly');
          process.exit(1);
        },
      );
    });
}

function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):([0-9]{1,5})$/.exec(text);
  const [, bracketed, plain, port] = match ?? [];
  if (port === undefined || Number(port) > 65535)
    throw new UserError(`Cannot listen on "${text}": expected HOST:PORT, for example 127.0.0.1:6443 or [::1]:6443`, 2);
  return { host: bracketed ?? (plain === undefined || plain === '' ? '0.0.0.0' : plain), port: Number(port) };
}

main(process.argv.slice(2)).catch((error: unknown) => {
  printError(`${messageOf(error)}\n`);
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
});
