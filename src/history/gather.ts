/** The journals of other nodes, asked of `tortie history` there: by kubectl exec in the agent's pod, or by a command of the operator's. */
import { runChild } from '../dataplane/netfilter/child.js';
import { messageOf } from '../errors.js';
import { parseEntry } from './entry.js';
import type { TimelineEntry } from './timeline.js';

export interface GatherOptions {
  readonly nodes: readonly string[];
  /** What runs a command on a node: argv that goes before it. @throws Error where there is no way there */
  readonly wayTo: (node: string) => readonly string[];
  /** Of `tortie history`: since when, of what. */
  readonly question: readonly string[];
  /** Told of each node, when it has answered or not. */
  readonly onNode: (node: string, problem: string | undefined, count: number) => void;
}

export interface Gathered {
  readonly entries: readonly TimelineEntry[];
  readonly failed: readonly string[];
}

const AT_ONCE = 8;
const WITHIN = 60_000;

/** Never rejects: a node that does not answer is named, and the others' entries stand. */
export async function gather({ nodes, wayTo, question, onNode }: GatherOptions): Promise<Gathered> {
  const [entries, failed]: [TimelineEntry[][], string[]] = [[], []];
  const queue = [...nodes];
  const worker = async (): Promise<void> => {
    for (let node = queue.shift(); node !== undefined; node = queue.shift())
      try {
        const found = await ask(node, [...wayTo(node), 'tortie', 'history', ...question, '-o', 'json']);
        entries.push(found);
        onNode(node, undefined, found.length);
      } catch (error) {
        failed.push(node);
        onNode(node, messageOf(error), 0);
      }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, nodes.length) }, worker));
  return { entries: entries.flat(), failed };
}

async function ask(node: string, [program = '', ...args]: readonly string[]): Promise<TimelineEntry[]> {
  const { status, stdout, stderr } = await runChild(program, args, { timeout: WITHIN });
  if (status !== 0)
    throw new Error(stderr.trim().split('\n').at(-1) || `"${program}" ended with status ${status ?? 'none'}`);
  const answer: unknown = JSON.parse(stdout);
  if (!Array.isArray(answer)) throw new Error(`it answered with something else than a list`);
  return answer.flatMap((each: unknown) => {
    const entry = parseEntry(JSON.stringify(each));
    return entry === undefined ? [] : [{ node, entry }];
  });
}
