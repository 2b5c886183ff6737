/**
 * Which pod a CNI call is about: names come again (a StatefulSet's, a pod that is deleted and applied anew), the `metadata.uid` does not.
 *
 * The watch may be behind the kubelet that calls. Until it has brought the pod with the UID of the call, that pod's labels
 * are not known and another's must not stand for them. The API server is asked once, to tell a watch that is late from a call
 * that is: the sandbox of a pod that is gone gets nothing. A server that does not answer decides nothing; then the call fails
 * and the runtime repeats it.
 */
import type { Pod } from '../api/core.js';
import { messageOf } from '../errors.js';

/** Something that will pass: the runtime should call again (CNI error code 11). */
export class TryAgainError extends Error {
  override readonly name = 'TryAgainError';
}

/** The call is about a pod or a sandbox that is no longer the current one: it gets nothing, and repeating it does not help. */
export class FormerPodError extends Error {
  override readonly name = 'FormerPodError';
}

export interface PodIdentityOptions {
  /** The pod of a name as the watch last brought it. */
  readonly pod: (namespace: string, name: string) => Pod | undefined;
  /** The same from the API server itself; undefined when there is none. Rejects when it cannot be asked. */
  readonly fetchPod: (namespace: string, name: string) => Promise<Pod | undefined>;
  /** Resolves at the next change of the cluster copy or after so many milliseconds. */
  readonly nextChange: (timeout: number) => Promise<void>;
}

export interface PodReference {
  readonly namespace: string;
  readonly pod: string;
  /** K8S_POD_UID; runtimes of before do not say it. */
  readonly uid?: string;
}

/** How long a call waits for its pod to appear in the watch. */
const POD_WAIT = 5_000;
/** How long the watch may be late before the API server is asked. */
const PATIENCE = 300;

/** The kubelet's annotation on the object that stands for a static pod: the UID which the pod has for the runtime. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Is this the object of the pod that a runtime knows by this UID? */
export const isPodOf = ({ metadata }: Pod, uid: string | undefined): boolean =>
  uid === undefined ||
  metadata.uid === undefined ||
  metadata.uid === uid ||
  metadata.annotations?.[MIRROR_ANNOTATION] === uid;

/**
 * The object of the pod that a call is about.
 * @throws FormerPodError when it is gone; TryAgainError when the watch has not brought it in time
 */
export async function awaitPod(reference: PodReference, options: PodIdentityOptions): Promise<Pod> {
  const { namespace, pod: name, uid } = reference;
  const until = Date.now() + POD_WAIT;
  let question: Promise<void> | undefined;
  let answer: Answer | undefined;
  const ask = async (): Promise<void> => {
    answer = await answerOf(options.fetchPod(namespace, name), uid);
  };
  for (let isFirst = true; ; isFirst = false) {
    const found = options.pod(namespace, name);
    if (found !== undefined && isPodOf(found, uid)) return found;
    if (answer?.type === 'gone')
      throw new FormerPodError(
        `Cannot attach pod "${namespace}/${name}"${uid === undefined ? '' : ` with UID ${uid}`}: ${answer.why}`,
      );
    const left = until - Date.now();
    if (left <= 0) throw late(reference, found, answer);
    if (!isFirst) question ??= ask();
    const pauses = [options.nextChange(isFirst ? Math.min(PATIENCE, left) : left)];
    if (question !== undefined && answer === undefined) pauses.push(question);
    await Promise.race(pauses);
  }
}

type Answer =
  | { readonly type: 'gone'; readonly why: string }
  | { readonly type: 'there' }
  | { readonly type: 'unknown'; readonly why: string };

async function answerOf(fetched: Promise<Pod | undefined>, uid: string | undefined): Promise<Answer> {
  try {
    const pod = await fetched;
    if (pod === undefined) return { type: 'gone', why: 'the API server has no such pod any more' };
    if (isPodOf(pod, uid)) return { type: 'there' };
    return { type: 'gone', why: `the pod of that name is now another, with UID ${pod.metadata.uid ?? 'unknown'}` };
  } catch (error) {
    return { type: 'unknown', why: messageOf(error) };
  }
}

function late(
  { namespace, pod, uid }: PodReference,
  found: Pod | undefined,
  answer: Answer | undefined,
): TryAgainError {
  const which = uid === undefined ? '' : ` with UID ${uid}`;
  const instead = found === undefined ? '' : ` (it knows one with UID ${found.metadata.uid ?? 'unknown'})`;
  const asked = answer?.type === 'unknown' ? `; asked for it, ${answer.why}` : '';
  return new TryAgainError(
    `Cannot attach pod "${namespace}/${pod}"${which}: the API server has not told this node of it ` +
      `within ${POD_WAIT / 1000} s${instead}, so its policy is unknown${asked}`,
  );
}
