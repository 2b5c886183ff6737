/** Follows a Change at the terminal: says what is new until it has come to one of some phases. */
import type { ChangePhase, ChangeStatus } from '../api/change.js';
import type { ObjectStore } from '../datastore/datastore.js';
import { UserError } from '../errors.js';

const INTERVAL = 1_000;

/**
 * @param isDone more that ends it
 * @throws UserError when the Change is deleted meanwhile
 */
export async function follow(
  store: Pick<ObjectStore, 'get'>,
  name: string,
  phases: readonly ChangePhase[],
  say: (sentence: string) => void,
  isDone: (status: ChangeStatus) => boolean = () => false,
): Promise<ChangeStatus> {
  let told = '';
  for (;;) {
    const change = await store.get('changes', name);
    if (change === undefined) throw new UserError(`Change "${name}" was deleted meanwhile`);
    const { status = {} } = change;
    const text = `${status.phase ?? 'New'}: ${status.message ?? 'waits for the agents'}`;
    if (text !== told) say(text);
    told = text;
    if ((status.phase !== undefined && phases.includes(status.phase)) || isDone(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}
