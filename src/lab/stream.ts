/** A steady flow of packets between two places of the lab, counted: what an interruption really costs. */
import { spawn } from 'node:child_process';
import { PROBER } from './tortie-argv.js';

export interface StreamSpec {
  /** "shop/cart -> shop/web, IPv4". */
  readonly label: string;
  readonly netns: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
  /** Every datagram from a port of its own, so that all equal paths are in use. */
  readonly isFresh: boolean;
  readonly source?: string;
}

export interface StreamResult {
  readonly label: string;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly longestGapMs: number;
  /** Empty when the stream ran to its end. */
  readonly error: string;
}

export interface Stream {
  /** Ends the stream; what is under way is still waited for. */
  stop(): Promise<StreamResult>;
}

const INTERVAL = 10;

/** Settles when the first packet has been answered. */
export async function startStream(spec: StreamSpec): Promise<Stream> {
  const argv = [
    'stream',
    '--netns',
    spec.netns,
    '--to',
    spec.to,
    '--port',
    String(spec.port),
    '--protocol',
    spec.protocol,
    '--interval',
    String(INTERVAL),
    ...(spec.source === undefined ? [] : ['--source', spec.source]),
    ...(spec.isFresh ? ['--fresh'] : []),
  ];
  const child = spawn(PROBER, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.includes('started')) resolve();
    });
    void closed.then(() =>
      reject(
        new Error(`Cannot start the stream ${spec.label}: ${stderr.trim() || stdout.trim() || 'the prober ended'}`),
      ),
    );
  });
  return {
    stop: async () => {
      child.kill('SIGTERM');
      await closed;
      const line = stdout.split('\n').find((text) => text.startsWith('{'));
      if (line === undefined)
        throw new Error(
          `Cannot read the result of the stream ${spec.label}: ${stderr.trim() || 'the prober printed none'}`,
        );
      return { label: spec.label, ...(JSON.parse(line) as Omit<StreamResult, 'label'>) };
    },
  };
}

/** "shop/cart -> shop/web, IPv4: 412 sent, 0 lost, longest gap 10 ms". */
export const describeStream = (result: StreamResult): string =>
  `${result.label}: ${result.sent} sent, ${result.lost} lost, longest gap ${result.longestGapMs} ` +
  `ms${result.error === '' ? '' : `, ${result.error}`}`;
