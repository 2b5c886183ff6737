/**
 * One BFD speaker as a process, to be run inside a network namespace: JSON commands in, one a line; events and answers out.
 *   {"set": [BfdSessionConfig]}   {"status": true}   {"busy": milliseconds}   {"kill": true}   {"close": true}
 */
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Worker } from 'node:worker_threads';
import type { BfdSessionConfig } from 'node-bgp/bfd/contract';
import { BfdService, startBfdThread } from 'node-bgp/bfd/service';

interface Command {
  readonly set?: readonly BfdSessionConfig[];
  readonly status?: boolean;
  /** Keeps the main thread from doing anything else: a full table, or worse. */
  readonly busy?: number;
  /** Ends the BFD thread as a crash would: it does not get to do anything. */
  readonly kill?: boolean;
  readonly close?: boolean;
}

const tell = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
let thread: Worker | undefined;
const service = new BfdService(
  (event) => tell({ event }),
  () => {
    thread = startBfdThread();
    return thread;
  },
);

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line) as Command;
  if (command.set !== undefined) service.set('test', command.set);
  if (command.busy !== undefined) {
    const end = performance.now() + command.busy;
    let garbage: unknown[] = [];
    while (performance.now() < end) garbage = Array.from({ length: 1000 }, (_, i) => ({ i, garbage: garbage.length }));
    tell({ idle: true });
  }
  if (command.status === true)
    void service.status().then((status) => tell({ status, descriptors: readdirSync('/proc/self/fd').length }));
  if (command.kill === true) void thread?.terminate();
  if (command.close === true) void service.close().then(() => process.exit(0));
});
tell({ ready: true });
