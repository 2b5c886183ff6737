/** Flows of an agent, or of a file that holds what one has answered, line by line. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { messageOf, UserError } from '../errors.js';
import type { FlowLine } from './flow.js';
import { QUERY_KEYS, type FlowQuery } from './query.js';

/** BOUNDED: octets of a line. */
const MOST_LINE = 1024 * 1024;

/** As the agent of this node tells them. With `follows` it ends only with the agent. @throws UserError */
export async function* askAgent(runDir: string, query: FlowQuery, follows: boolean): AsyncGenerator<FlowLine> {
  const socketPath = join(runDir, 'agent.sock');
  const parameters = new URLSearchParams();
  for (const key of QUERY_KEYS) if (query[key] !== undefined) parameters.set(key, query[key]);
  if (follows) parameters.set('follow', '1');
  let response: IncomingMessage;
  try {
    const outgoing = request({ socketPath, path: `/v1/flows?${parameters.toString()}`, agent: false }).end();
    [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  } catch (error) {
    throw new UserError(
      `Cannot ask "${socketPath}": ${messageOf(error)}; is the agent running? (another place: --run-dir or TORTIE_RUN_DIR)`,
    );
  }
  if (response.statusCode !== 200) throw new UserError(await refusalOf(response));
  yield* linesOf(response, `the answer of "${socketPath}"`);
}

async function refusalOf(response: IncomingMessage): Promise<string> {
  const body = await text(response);
  try {
    const { error } = JSON.parse(body) as { readonly error?: string };
    if (typeof error === 'string') return error;
  } catch {
    // Not ours: its status is all there is to say.
  }
  return `The agent answers with status ${response.statusCode ?? 0}`;
}

/** `-` is standard input. @throws UserError */
export function readFlowFile(file: string, stdin: NodeJS.ReadableStream): AsyncGenerator<FlowLine> {
  return linesOf(file === '-' ? stdin : createReadStream(file), file === '-' ? 'standard input' : `"${file}"`);
}

async function* linesOf(stream: NodeJS.ReadableStream, from: string): AsyncGenerator<FlowLine> {
  let number = 0;
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  // Of its input's errors readline hands on some, and swallows others.
  let failure: unknown;
  stream.on('error', (error) => {
    failure = error;
    lines.close();
  });
  const reading = lines[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await reading.next().catch((error: unknown) => {
      failure = error;
      return { done: true, value: '' } as const;
    });
    if (done === true) break;
    number++;
    if (value.trim() !== '') yield parseLine(value, `line ${number} of ${from}`);
  }
  if (failure !== undefined) throw new UserError(`Cannot read on from ${from}: ${messageOf(failure)}`);
}

const TYPES = ['flow', 'connection', 'labels', 'lost', 'missed'];

function parseLine(line: string, where: string): FlowLine {
  if (line.length > MOST_LINE) throw new UserError(`Cannot read ${where}: expected at most ${MOST_LINE} characters`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new UserError(`Cannot read ${where}: expected a line of JSON, as tortie flows -o json writes it`);
  }
  if (!isFlowLine(value))
    throw new UserError(
      `Cannot read ${where}: expected an object of type ${TYPES.join(', ')}, as tortie flows -o json writes it`,
    );
  return value;
}

function isFlowLine(value: unknown): value is FlowLine {
  if (typeof value !== 'object' || value === null || !('type' in value) || !TYPES.includes(String(value.type)))
    return false;
  if (value.type === 'flow' || value.type === 'connection') {
    const { from, to, verdict, sent, answered } = value as Readonly<Record<string, unknown>>;
    return (
      [from, to, sent, answered].every((part) => typeof part === 'object' && part !== null) && verdict !== undefined
    );
  }
  return value.type !== 'labels' || ('id' in value && 'labels' in value);
}
