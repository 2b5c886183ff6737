/** `tortie apply`, `tortie get` and `tortie delete`: the objects of a datastore, for fleets without kubectl. */
import { Option, type Command } from 'commander';
import type { ChangeStatus } from '../api/change.js';
import type { TrialFlags, TrialWish } from '../change/trial-flags.js';
import type { KubeObject } from '../api/meta.js';
import { messageOf, UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { datastoreOption, withDatastore, type DatastoreFlags } from './datastore-option.js';

interface ObjectFlags extends DatastoreFlags {
  readonly filename?: readonly string[];
  readonly namespace: string;
}

interface ApplyFlags extends ObjectFlags, TrialFlags {}

interface GetFlags extends DatastoreFlags {
  readonly namespace?: string;
  readonly output: 'text' | 'json' | 'yaml' | 'name';
}

/** Of fields, in server-side apply. */
export const APPLY_MANAGER = 'tortie-apply';
const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

const FILES = 'YAML or JSON, as for kubectl; - for standard input; may be repeated';

export function registerApplyCommand(program: Command): void {
  datastoreOption(program.command('apply'))
    .description('write objects (pools, peers, policies, nodes) into a datastore')
    .option('-f, --filename <file>', FILES, many)
    .option('-n, --namespace <name>', 'of objects that name none', 'default')
    .option(
      '--confirm <time>',
      'on trial: nodes go back by themselves unless it is confirmed within this time (30s, 5m, 1h)',
    )
    .option('--canary <nodes>', 'with --confirm: these nodes first, as node1,node2')
    .option('--step <count>', 'with --confirm: so many nodes at a time, by name')
    .option('--min-sessions <count>', 'with --confirm: sessions that a node must keep (default: as many as it has)')
    .option('--probe <pod>', 'with --confirm: NAMESPACE/POD:PORT that nodes must go on reaching; may be repeated', many)
    .option('--delete', 'with --confirm: the objects of -f go instead of coming')
    .option(
      '--label <words...>',
      'with --confirm: NODE KEY=VALUE, or NODE KEY- to take a label away; may be repeated',
      (word: string, before: readonly string[] = []) => [...before, word],
    )
    .option('--name <name>', 'with --confirm: what the Change is called (default: of the time)')
    .option('--no-wait', 'with --confirm: do not wait until all nodes are well with it')
    .addHelpText(
      'after',
      `
Each object is checked by the same rules as on an API server, and told with every faulty field; a bad one does not stop the others.
What an earlier apply said of an object and this one does not, goes.

  tortie apply --datastore redis://db1?wait=1 -f pools.yaml
  tortie apply -f peers.yaml --confirm 5m --canary node1    on trial (docs/change.md); then tortie confirm NAME

Exit codes: 0 all were written (or are on trial), 1 some were not, 2 the command line is wrong, 3 the Change went back.`,
    )
    .action(async (flags: ApplyFlags) => {
      const { parseTrialFlags } = await import('../change/trial-flags.js');
      const trial = parseTrialFlags(flags);
      await withDatastore(flags, ({ store }) =>
        trial === undefined ? apply(store, flags) : tryOut(store, flags, trial),
      );
    });
}

export function registerGetCommand(program: Command): void {
  datastoreOption(program.command('get'))
    .description('show objects of a datastore')
    .argument('<kind>', 'such as ippools, bgppeers, nodes, pods, networkpolicies.projectcalico.org')
    .argument('[name...]', 'default: all of them')
    .option('-n, --namespace <name>', 'only of this one; with names: default')
    .addOption(
      new Option('-o, --output <format>', 'output format').choices(['text', 'json', 'yaml', 'name']).default('text'),
    )
    .addHelpText('after', '\nExit codes: 0 all that were named are there, 1 some are not, 2 the command line is wrong.')
    .action((kind: string, names: readonly string[], flags: GetFlags) =>
      withDatastore(flags, ({ store }) => get(store, kind, names, flags)),
    );
}

export function registerDeleteCommand(program: Command): void {
  datastoreOption(program.command('delete'))
    .description('delete objects of a datastore')
    .argument('[kind]', 'such as ippool')
    .argument('[name...]')
    .option('-f, --filename <file>', `${FILES}; instead of kind and names`, many)
    .option('-n, --namespace <name>', 'of objects that name none', 'default')
    .addHelpText(
      'after',
      '\nExit codes: 0 all are gone, 1 some are not or were not there, 2 the command line is wrong.',
    )
    .action((kind: string | undefined, names: readonly string[], flags: ObjectFlags) =>
      withDatastore(flags, ({ store }) => remove(store, kind, names, flags)),
    );
}

type Store = Parameters<Parameters<typeof withDatastore>[1]>[0]['store'];

async function apply(store: Store, flags: ObjectFlags): Promise<void> {
  const { displayName, readObjects } = await import('../objects/files.js');
  const given = await readObjects(flags.filename ?? [], process.stdin, flags.namespace, problem);
  for (const { kind, object, from } of given) {
    const { name, namespace } = object.metadata;
    try {
      const before = await store.get(kind, name, namespace);
      const after = await store.apply(kind, object as never, APPLY_MANAGER);
      const outcome =
        before === undefined
          ? 'created'
          : before.metadata.resourceVersion === after.metadata.resourceVersion
            ? 'unchanged'
            : 'configured';
      print(`${displayName(kind, object.metadata)} ${outcome}\n`);
    } catch (error) {
      problem(`Cannot apply ${displayName(kind, object.metadata)} of ${from}: ${messageOf(error)}`);
    }
  }
}

/** Makes a Change, and follows it until all nodes are well with it or it has gone back. */
async function tryOut(
  store: Store,
  flags: ApplyFlags,
  { labels, name, spec, isRemoval, isWaiting }: TrialWish,
): Promise<void> {
  const { readObjects } = await import('../objects/files.js');
  const { compose, MOST_BYTES } = await import('../change/compose.js');
  const given = await readObjects(flags.filename ?? [], process.stdin, flags.namespace, problem);
  const { entries, problems } = await compose(store, given, { isRemoval, labels, manager: APPLY_MANAGER });
  for (const sentence of problems) problem(sentence);
  if (process.exitCode === 1) throw new UserError('Nothing is on trial: expected every object to be usable');
  if (entries.length === 0) return print('Nothing changes: all stands already\n');
  const bytes = Buffer.byteLength(JSON.stringify(entries));
  if (bytes > MOST_BYTES)
    throw new UserError(
      `Cannot put ${entries.length} objects on trial: they are ${bytes} bytes; expected ${MOST_BYTES} at most`,
    );
  await store.create('changes', { metadata: { name }, spec: { ...spec, objects: entries } });
  print(`change.tortie.dev/${name} created with ${entries.length} object${entries.length === 1 ? '' : 's'}\n`);
  if (!isWaiting) return;
  const { follow } = await import('../change/follow.js');
  const isWell = (status: ChangeStatus): boolean =>
    status.phase === 'Trial' && status.nodes?.every(({ state }) => state === 'Well' || state === 'Absent') === true;
  const { phase, message = '' } = await follow(
    store,
    name,
    ['Reverted', 'Confirmed'],
    (text) => printError(`${text}\n`),
    isWell,
  );
  if (phase === 'Trial') return print(`All nodes are well with it. Keep it: tortie confirm ${name}\n`);
  print(`change.tortie.dev/${name} ${phase ?? ''}: ${message}\n`);
  if (phase === 'Reverted') process.exitCode = 3;
}

async function get(store: Store, kindText: string, names: readonly string[], flags: GetFlags): Promise<void> {
  const { displayName, kindOf } = await import('../objects/files.js');
  const { kinds } = await import('../api/kinds.js');
  const kind = kindOf(kindText);
  const inside = kinds[kind].namespaced ? (flags.namespace ?? (names.length > 0 ? 'default' : undefined)) : undefined;
  const listed: readonly KubeObject[] = names.length > 0 ? [] : await store.list(kind);
  const found = listed.filter(({ metadata }) => inside === undefined || metadata.namespace === inside);
  for (const name of names) {
    const object = await store.get(kind, name, inside);
    if (object === undefined)
      problem(`There is no ${displayName(kind, { name, ...(inside && { namespace: inside }) })}`);
    else found.push(object);
  }
  const bare = found.map((object) => withoutManagers(object));
  const shown = names.length === 1 ? bare[0] : { apiVersion: 'v1', kind: 'List', metadata: {}, items: bare };
  if (flags.output === 'json') print(`${JSON.stringify(shown ?? {}, undefined, 2)}\n`);
  else if (flags.output === 'yaml') print((await import('yaml')).stringify(shown ?? {}));
  else if (flags.output === 'name')
    for (const { metadata } of found) print(`${displayName(kind, { name: metadata.name })}\n`);
  else if (found.length > 0) print(`${(await import('../objects/table.js')).formatObjects(kind, found, Date.now())}\n`);
  else if (names.length === 0) printError(`No ${kinds[kind].plural} found\n`);
}

/** Who owns which field is of interest to appliers alone. */
function withoutManagers(object: KubeObject): KubeObject {
  const { managedFields, ...metadata } = object.metadata;
  const { apiVersion = '', kind = '', ...rest } = object;
  return { apiVersion, kind, ...rest, metadata };
}

async function remove(
  store: Store,
  kindText: string | undefined,
  names: readonly string[],
  flags: ObjectFlags,
): Promise<void> {
  const { displayName, kindOf, readObjects } = await import('../objects/files.js');
  const { kinds } = await import('../api/kinds.js');
  if ((kindText === undefined) === (flags.filename === undefined) || (kindText !== undefined && names.length === 0))
    throw new UserError('Cannot delete: expected a kind and names, or -f FILE', 2);
  const kind = kindText === undefined ? undefined : kindOf(kindText);
  const wanted =
    kind === undefined
      ? (await readObjects(flags.filename ?? [], process.stdin, flags.namespace, problem)).map((given) => ({
          kind: given.kind,
          ...given.object.metadata,
        }))
      : names.map((name) => ({ kind, name, ...(kinds[kind].namespaced ? { namespace: flags.namespace } : {}) }));
  for (const each of wanted) {
    const where = each.namespace === undefined ? {} : { namespace: each.namespace };
    const shown = displayName(each.kind, { name: each.name, ...where });
    try {
      if ((await store.get(each.kind, each.name, each.namespace)) === undefined) {
        problem(`There is no ${shown}`);
        continue;
      }
      await store.delete(each.kind, each.name, where);
      print(`${shown} deleted\n`);
    } catch (error) {
      problem(`Cannot delete ${shown}: ${messageOf(error)}`);
    }
  }
}

/** Told, and no reason to leave the rest undone. */
function problem(sentence: string): void {
  printError(`${sentence}\n`);
  process.exitCode = 1;
}
