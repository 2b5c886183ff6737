/** `tortie apply`, `tortie get` and `tortie delete`: the objects of a datastore, for fleets without kubectl. */
import { Option, type Command } from 'commander';
import type { KubeObject } from '../api/meta.js';
import { messageOf, UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { datastoreOption, withDatastore, type DatastoreFlags } from './datastore-option.js';

interface ObjectFlags extends DatastoreFlags {
  readonly filename?: readonly string[];
  readonly namespace: string;
}

interface GetFlags extends DatastoreFlags {
  readonly namespace?: string;
  readonly output: 'text' | 'json' | 'yaml' | 'name';
}

const MANAGER = 'tortie-apply';
const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

const FILES = 'YAML or JSON, as for kubectl; - for standard input; may be repeated';

export function registerApplyCommand(program: Command): void {
  datastoreOption(program.command('apply'))
    .description('write objects (pools, peers, policies, nodes) into a datastore')
    .requiredOption('-f, --filename <file>', FILES, many)
    .option('-n, --namespace <name>', 'of objects that name none', 'default')
    .addHelpText(
      'after',
      `
Each object is checked by the same rules as on an API server, and told with every faulty field; a bad one does not stop the others.
What an earlier apply said of an object and this one does not, goes.

  tortie apply --datastore redis://db1?wait=1 -f pools.yaml

Exit codes: 0 all were written, 1 some were not, 2 the command line is wrong.`,
    )
    .action((flags: ObjectFlags) => withDatastore(flags, ({ store }) => apply(store, flags)));
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
      const after = await store.apply(kind, object as never, MANAGER);
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
