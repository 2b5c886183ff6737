/** `tortie drain`: marks a Node as being taken out of service, and waits for what its agent reports of it. */
import type { Node } from '../api/core.js';
import type { NodeDrainStatus } from '../api/node-status.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { UserError } from '../errors.js';
import { DRAIN_ANNOTATION } from '../topology/drain.js';

export interface DrainAnswer {
  readonly node: string;
  /** Has it come to what was asked? */
  readonly isDone: boolean;
  /** Undefined: the node is in service. */
  readonly drain: NodeDrainStatus | undefined;
  readonly message: string;
}

export interface DrainWish {
  readonly node: string;
  readonly isUndo: boolean;
  /** Milliseconds; 0: does not wait. */
  readonly timeout: number;
  /** Told of every step, once. */
  readonly onProgress: (message: string) => void;
}

const POLL = 500;
/** Writers of one Node: kubelet, controllers. */
const MOST_CONFLICTS = 10;

/** @throws UserError where there is no such Node, ApiError */
export async function drainNode(
  datastore: Pick<Datastore, 'get' | 'replace'>,
  { node, isUndo, timeout, onProgress }: DrainWish,
): Promise<DrainAnswer> {
  const isNew = await annotate(datastore, node, isUndo);
  onProgress(
    isUndo
      ? `Node ${node} ${isNew ? 'is asked back into service' : 'was not drained by tortie drain'}`
      : `Node ${node} ${isNew ? 'is asked to drain' : 'was asked to drain before'}`,
  );
  const until = performance.now() + timeout;
  let told = '';
  for (;;) {
    const drain = (await datastore.get('nodeStatuses', node))?.status?.drain;
    const message =
      drain?.message ?? (isUndo ? 'The node is in service' : 'The agent of the node has not answered yet');
    const isOver = isUndo ? drain?.cause !== 'Requested' : drain !== undefined && drain.phase !== 'Marked';
    if (isOver) {
      const isDone = isUndo ? drain === undefined : (drain?.kept ?? []).length === 0;
      // More of it may be left to others in a moment: who asked waits for that too.
      if (isDone || isUndo || performance.now() >= until) return { node, isDone, drain, message };
    }
    if (timeout === 0) return { node, isDone: false, drain, message: 'Not waited for' };
    if (performance.now() >= until) return { node, isDone: false, drain, message: `${message}; waited in vain` };
    if (message !== told) onProgress(message);
    told = message;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

/** True when the Node was not so before. */
async function annotate(
  datastore: Pick<Datastore, 'get' | 'replace'>,
  name: string,
  isUndo: boolean,
): Promise<boolean> {
  for (let conflicts = 0; ; conflicts++) {
    const node = await datastore.get('nodes', name);
    if (node === undefined) throw new UserError(`Cannot drain: there is no node "${name}"`);
    if ((node.metadata.annotations?.[DRAIN_ANNOTATION] === undefined) === isUndo) return false;
    try {
      await datastore.replace('nodes', annotated(node, isUndo));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409) || conflicts >= MOST_CONFLICTS) throw error;
    }
  }
}

function annotated(node: Node, isUndo: boolean): Node {
  const { [DRAIN_ANNOTATION]: _before, ...others } = node.metadata.annotations ?? {};
  const since = new Date().toISOString().replace(/\.\d+Z/, 'Z');
  const annotations = isUndo ? others : { ...others, [DRAIN_ANNOTATION]: since };
  return { ...node, metadata: { ...node.metadata, annotations } };
}
