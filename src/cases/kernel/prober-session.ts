/**
 * A running `tortie-prober session`: serves and probes in any namespace (its protocol stands at the head of
 * src/lab/prober/prober.c). One request at a time; answers come line by line.
 */
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../errors.js';
import type { Protocol } from '../case-file.js';

export interface Probe {
  readonly id: string;
  readonly namespace: string;
  readonly protocol: Protocol;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  /** What is expected: a drop that is expected need not be waited for as long as an answer. */
  readonly allow: boolean;
}

export type ProbeResult =
  | { readonly type: 'allow'; readonly name: string; readonly microseconds: number }
  | { readonly type: 'drop' | 'refused' }
  | { readonly type: 'unreachable' | 'error'; readonly text: string };

const PROGRAM = fileURLToPath(new URL('../../../bin/tortie-prober', import.meta.url));
const BUILD = fileURLToPath(new URL('../../../../scripts/build-prober.mjs', import.meta.url));
const TIMEOUT = 4_000;
const QUIET = 200;

export class ProberSession {
  private readonly lines: AsyncIterator<string>;
  private tag = 0;
  private stderr = '';

  private constructor(private readonly child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr.on('data', (chunk: Buffer) => (this.stderr = (this.stderr + chunk.toString('utf8')).slice(-1000)));
    child.stdin.on('error', () => undefined); // the end of its output says why
  }

  static start(): ProberSession {
    if (!existsSync(PROGRAM) && spawnSync(process.execPath, [BUILD], { stdio: 'inherit' }).status !== 0)
      throw new UserError('Cannot run packets: tortie-prober could not be built');
    return new ProberSession(
      spawn(PROGRAM, ['session', '--timeout', String(TIMEOUT), '--quiet', String(QUIET)], {
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    );
  }

  /** Answers on the ports with the name, IPv4 and IPv6. */
  async serve(namespace: string, name: string, protocol: Protocol, ports: readonly number[]): Promise<void> {
    await this.command(`serve ${namespace} ${name} ${protocol.toLowerCase()} ${ports.join(',')}`);
  }

  /** Closes everything in the namespace. */
  async stop(namespace: string): Promise<void> {
    await this.command(`stop ${namespace}`);
  }

  /** Sends all probes at once; the results by id. */
  async run(probes: readonly Probe[]): Promise<ReadonlyMap<string, ProbeResult>> {
    const tag = String(this.tag++);
    const text = probes.map(
      (probe) =>
        `probe ${probe.id} ${probe.namespace} ${probe.protocol.toLowerCase()} ${probe.source} ${probe.destination} ` +
        `${probe.port} ${probe.allow ? 'allow' : 'drop'}\n`,
    );
    this.child.stdin.write(`${text.join('')}run ${tag}\n`);
    const results = new Map<string, ProbeResult>();
    for (;;) {
      const line = await this.nextLine();
      if (line === `done\t${tag}`) return results;
      const [id = '', word = '', detail = '', time = ''] = line.split('\t');
      results.set(id, resultOf(word, detail, time));
    }
  }

  async close(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.child.once('close', () => resolve()));
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.stdin.end();
    await ended;
  }

  private async command(line: string): Promise<void> {
    this.child.stdin.write(`${line}\n`);
    const answer = await this.nextLine();
    if (answer !== 'ok') throw new Error(`Cannot "${line}": ${answer.replace(/^error\t/, '')}`);
  }

  private async nextLine(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error(`Cannot talk to tortie-prober: it ended: ${this.stderr.trim()}`);
    return value;
  }
}

function resultOf(word: string, detail: string, time: string): ProbeResult {
  switch (word) {
    case 'allow':
      return { type: 'allow', name: detail, microseconds: Number(time) };
    case 'drop':
    case 'refused':
      return { type: word };
    case 'unreachable':
      return { type: 'unreachable', text: detail };
    default:
      return { type: 'error', text: detail === '' ? word : detail };
  }
}
