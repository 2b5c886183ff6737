/**
 * Ends a Change: by writing its objects as plain ones, or by sending the nodes back. Each step can be done again after it was cut short:
 * while the objects are being written every node sees all of them through the Change.
 */
import type { Change, ChangeEntry, ChangeStatus } from '../api/change.js';
import { kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import { ApiError, type ObjectStore } from '../datastore/datastore.js';
import { messageOf, UserError } from '../errors.js';
import { displayName } from '../objects/files.js';
import { kindOfEntry } from './overlay.js';
import { now } from './rollout.js';

type Store = Pick<ObjectStore, 'get' | 'apply' | 'replace' | 'replaceStatus' | 'delete'>;

const MOST_TRIES = 10;

/** @param say is told of each object that was written @throws UserError when it cannot be confirmed, or not now */
export async function confirmChange(
  store: Store,
  name: string,
  {
    manager,
    isForced,
    say,
  }: { readonly manager: string; readonly isForced: boolean; readonly say: (what: string) => void },
): Promise<void> {
  const change = await changeNamed(store, name);
  expectOpen(change, 'confirm');
  if (change.status?.phase !== 'Confirming') {
    if (!isForced) expectWell(change);
    for (const entry of change.spec.objects ?? []) await writeEntry(store, entry, manager, true);
    await setPhase(store, change, ['Trial'], { phase: 'Confirming', message: 'its objects are being written' });
  }
  for (const entry of change.spec.objects ?? []) say(await writeEntry(store, entry, manager, false));
  await setPhase(store, change, ['Confirming'], { phase: 'Confirmed', message: 'its objects are plain ones' });
}

/** The nodes go back. @throws UserError when it is over, or being confirmed */
export async function revertChange(store: Store, name: string): Promise<void> {
  const change = await changeNamed(store, name);
  expectOpen(change, 'revert');
  if (change.status?.phase === 'Confirming')
    throw new UserError(
      `Cannot revert Change "${name}": its objects are being written; repeat tortie confirm ${name}, then apply what shall stand instead`,
    );
  // One that no node has begun is over at once.
  const phase = change.status?.phase === 'Trial' || change.status?.phase === 'Reverting' ? 'Reverting' : 'Reverted';
  await setPhase(store, change, [undefined, 'Waiting', 'Trial', 'Reverting'], {
    phase,
    message: 'somebody reverted it',
  });
}

async function changeNamed(store: Pick<Store, 'get'>, name: string): Promise<Change> {
  const change = await store.get('changes', name);
  if (change === undefined) throw new UserError(`There is no Change "${name}": tortie change list has them all`);
  return change;
}

function expectOpen({ metadata: { name }, status }: Change, verb: string): void {
  if (status?.phase === 'Confirmed' || status?.phase === 'Reverted')
    throw new UserError(`Cannot ${verb} Change "${name}": it is ${status.phase} already (${status.message ?? ''})`);
}

function expectWell({ metadata: { name }, status }: Change): void {
  const nodes = status?.nodes ?? [];
  const waited = nodes.filter(({ state }) => state !== 'Well' && state !== 'Absent');
  if (status?.phase === 'Trial' && waited.length === 0) return;
  throw new UserError(
    `Cannot confirm Change "${name}" yet: ${status?.message ?? 'no node has taken it'}; --force confirms it for all nodes at once`,
  );
}

/** @throws UserError when it has come to another phase meanwhile */
async function setPhase(
  store: Store,
  { metadata: { name, uid } }: Change,
  from: readonly ChangeStatus['phase'][],
  wish: Pick<ChangeStatus, 'phase' | 'message'>,
): Promise<void> {
  await untilWritten(async () => {
    const change = await changeNamed(store, name);
    const { status } = change;
    if (change.metadata.uid !== uid || !from.includes(status?.phase))
      throw new UserError(
        `Change "${name}" has become ${status?.phase ?? 'another one'} meanwhile: ${status?.message ?? ''}`,
      );
    await store.replaceStatus('changes', { ...change, status: { ...status, ...wish, since: now() } });
  });
}

/** @returns what was done, in words */
async function writeEntry(store: Store, entry: ChangeEntry, manager: string, isDryRun: boolean): Promise<string> {
  const kind = kindOfEntry(entry);
  if (kind === undefined)
    throw new UserError(`Cannot write ${entry.kind}/${entry.name}: expected a kind that a Change carries`);
  const shown = displayName(kind, entry);
  try {
    return `${shown} ${await written(store, kind, entry, manager, isDryRun)}`;
  } catch (error) {
    throw new UserError(`Cannot write ${shown}: ${messageOf(error)}`, 1, { cause: error });
  }
}

async function written(
  store: Store,
  kind: KindName,
  entry: ChangeEntry,
  manager: string,
  isDryRun: boolean,
): Promise<string> {
  const { name, namespace } = entry;
  if (entry.remove === true) {
    if (!isDryRun) await store.delete(kind, name, namespace === undefined ? {} : { namespace });
    return 'deleted';
  }
  if (entry.object === undefined) {
    if (!isDryRun) await untilWritten(() => relabel(store, kind, entry));
    return 'labeled';
  }
  const object = (entry.given ?? entry.object) as unknown as ObjectOf[typeof kind];
  await store.apply(kind, object, manager, { isDryRun });
  return 'configured';
}

async function relabel(store: Store, kind: KindName, { name, labels, removedLabels = [] }: ChangeEntry): Promise<void> {
  const object = await store.get(kind, name);
  if (object === undefined) throw new Error(`there is no ${kinds[kind].kind} of that name any more`);
  const kept = Object.entries(object.metadata.labels ?? {}).filter(([key]) => !removedLabels.includes(key));
  const metadata = { ...object.metadata, labels: { ...Object.fromEntries(kept), ...labels } };
  await store.replace(kind, { ...object, metadata } as ObjectOf[typeof kind]);
}

/** What was written by somebody else in between is read anew. */
async function untilWritten(write: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++)
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409) || attempt === MOST_TRIES) throw error;
    }
}
