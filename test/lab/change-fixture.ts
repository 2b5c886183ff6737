/** `tortie apply --confirm` and its kin on a rack, and packets counted meanwhile. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Change } from '../../src/api/change.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { startStream, type StreamResult, type StreamSpec } from '../../src/lab/stream.js';
import { ipOf, type LabView } from '../../src/lab/tour/lab-view.js';

/** RFC 862: what every pod of a lab answers. */
const ECHO_PORT = 7;

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

export interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `tortie ...` as somebody on this machine would run it. */
export function tortie(view: LabView, argv: readonly string[], input = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...argv], {
      env: { ...process.env, KUBECONFIG: labPaths(view.record.name).kubeconfig },
    });
    const [out, err]: [string[], string[]] = [[], []];
    child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout: out.join(''), stderr: err.join('') }));
    child.stdin.end(input);
  });
}

export const listOf = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

export const changeNamed = async (view: LabView, name: string): Promise<Change> =>
  JSON.parse(await view.kubectl(['get', 'changes', name, '-o', 'json'])) as Change;

/** Datagrams between the pods of other nodes, both families, while `work` is done. */
export async function whileOthersTalk(
  view: LabView,
  but: string,
  work: () => Promise<void>,
): Promise<readonly StreamResult[]> {
  const nodes = view.rack.nodes.map(({ name }) => name).filter((name) => name !== but);
  const [from, to] = await Promise.all(nodes.slice(0, 2).map((name) => view.pod(({ node }) => node === name)));
  if (from === undefined || to === undefined) throw new Error('Cannot send: expected pods on two other nodes');
  const specs = ([4, 6] as const).flatMap((family): readonly StreamSpec[] =>
    [
      [from, to],
      [to, from],
    ].map(([a = from, b = to]) => ({
      label: `${a.name} -> ${b.name}, IPv${family}`,
      netns: a.netns,
      to: ipOf(b, family),
      port: ECHO_PORT,
      protocol: 'udp' as const,
      isFresh: false,
    })),
  );
  const streams = [];
  try {
    for (const spec of specs) streams.push(await startStream(spec));
    await work();
  } catch (error) {
    await Promise.all(streams.map((stream) => stream.stop()));
    throw error;
  }
  return Promise.all(streams.map((stream) => stream.stop()));
}
