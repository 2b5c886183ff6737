/** What is wrong with users' policy objects: a log line when it begins or changes, sentences for the node status. */
import type { ObjectKind, Problem } from '@tortie/policy';
import type { Logger } from '../log.js';
import { userText } from '../user-text.js';

/** Of one object in the node status. */
const MOST_SENTENCE = 1_024;

export class ObjectProblemLog {
  /** Sentence by object. BOUNDED by the cluster's objects; only those with problems. */
  private readonly current = new Map<string, string>();

  constructor(private readonly log: Logger) {}

  /** Returns whether anything about the object changed. */
  update(kind: ObjectKind, namespace: string, name: string, problems: readonly Problem[]): boolean {
    const object = `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
    const sentence =
      problems.length === 0
        ? undefined
        : userText(`${object}: ${problems.map((problem) => problem.message).join('; ')}`, MOST_SENTENCE);
    if (this.current.get(object) === sentence) return false;
    if (sentence === undefined) this.current.delete(object);
    else {
      this.current.set(object, sentence);
      this.log.warn(
        {
          kind,
          namespace,
          object: name,
          problems: problems.map(({ field, message }) => ({ field: userText(field), message: userText(message) })),
        },
        `Parts of ${object} cannot be used; the rest is enforced`,
      );
    }
    return true;
  }

  sentences(): readonly string[] {
    return [...this.current.values()];
  }
}
