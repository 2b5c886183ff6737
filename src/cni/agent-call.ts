/** One CNI command by a program of ours: what the plugin (client.c) posts to the agent, posted without the plugin. */
import { request } from 'node:http';
import { encodeCall } from './exchange.js';
import { LATEST_CNI_VERSION } from './version.js';

export interface AgentCall {
  readonly command: 'ADD' | 'DEL';
  readonly containerId: string;
  readonly netns: string;
  readonly interfaceName: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
}

const CALL_PATH = '/v1/cni';
/** An agent that starts keeps callers waiting. */
const TIMEOUT = 60_000;
const MOST_BYTES = 1024 * 1024;

/** What the agent answers, parsed. @throws Error with its sentence */
export async function callAgent(socketPath: string, call: AgentCall): Promise<Readonly<Record<string, unknown>>> {
  const environment = new Map([
    ['CNI_COMMAND', call.command],
    ['CNI_CONTAINERID', call.containerId],
    ['CNI_NETNS', call.netns],
    ['CNI_IFNAME', call.interfaceName],
    ['CNI_PATH', ''],
    ['CNI_ARGS', `K8S_POD_NAMESPACE=${call.namespace};K8S_POD_NAME=${call.pod};K8S_POD_UID=${call.uid}`],
  ]);
  const stdin = JSON.stringify({ cniVersion: LATEST_CNI_VERSION, name: 'tortie', type: 'tortie' });
  const { isDone, text } = await post(socketPath, encodeCall({ environment, stdin }));
  const answer = (text === '' ? {} : JSON.parse(text)) as Readonly<Record<string, unknown>>;
  if (isDone) return answer;
  throw new Error(
    [answer['msg'], answer['details']].filter((part) => typeof part === 'string' && part !== '').join(': '),
  );
}

function post(socketPath: string, body: Uint8Array): Promise<{ readonly isDone: boolean; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new Error(`Cannot ask the agent at "${socketPath}": ${error.message}`));
    const headers = { 'content-length': body.length };
    const signal = AbortSignal.timeout(TIMEOUT);
    const outgoing = request({ socketPath, method: 'POST', path: CALL_PATH, headers, signal }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MOST_BYTES) response.destroy(new Error(`the answer is longer than ${MOST_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () =>
        resolve({ isDone: response.statusCode === 200, text: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.on('error', fail);
    outgoing.end(body);
  });
}
