/** `tortie history`: what happened to objects, sessions and routes in the last days, on one line of time. */
import { Option, type Command } from 'commander';
import { hostname } from 'node:os';
import { UserError } from '../errors.js';
import { HISTORY_TYPES, type HistoryType } from '../history/entry.js';
import type { TimelineEntry } from '../history/timeline.js';
import { print, printError } from '../print.js';

interface HistoryFlags {
  readonly since: string;
  readonly object?: string;
  readonly type: readonly HistoryType[];
  readonly stateDir: string;
  readonly node: readonly string[];
  readonly allNodes?: boolean;
  readonly via?: string;
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly output: 'text' | 'json';
}

export function registerHistoryCommand(program: Command): void {
  program
    .command('history')
    .description('what happened to objects, sessions and routes in the last days, on one line of time')
    .option('--since <time>', '90m, 2h, 3d, or a time in RFC 3339', '24h')
    .option('--object <name>', 'KIND/NAME or NAME: an object, a peer or a prefix')
    .addOption(
      new Option('--type <type>', 'only these; may be repeated')
        .choices(HISTORY_TYPES)
        .argParser((value: string, before: readonly HistoryType[] = []) => [...before, typeOf(value)])
        .default([], 'all'),
    )
    .option(
      '--state-dir <dir>',
      "where this node's daemons keep it",
      process.env['TORTIE_STATE_DIR'] ?? '/var/lib/tortie',
    )
    .option(
      '--node <name>',
      'of this node instead; may be repeated',
      (name, before: readonly string[] = []) => [...before, name],
      [],
    )
    .option('--all-nodes', 'of all Nodes')
    .option(
      '--via <command>',
      'with --node or --all-nodes: what runs a command there, {node} its name (default: kubectl exec)',
    )
    .option('--kubeconfig <file>', 'which cluster (default: KUBECONFIG)')
    .option('--namespace <name>', 'of the pods of agents', 'tortie-system')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
On a node, what its agent and bgpd have noted: at most 14 days and 20 MiB. Changes of objects are those of the cluster, each with the fields
and who wrote it (metadata.managedFields: mostly the program); sessions and routes are the node's own.

  tortie history --since 2h
  tortie history --object BGPPeer/rack
  tortie history --all-nodes --type object --type session
  tortie history --node node1 --via "ssh root@{node}"

Exit codes: 0 answered, 1 a node did not answer, or there is nothing to read; 2 wrong options.`,
    )
    .action(history);
}

function typeOf(text: string): HistoryType {
  const type = HISTORY_TYPES.find((each) => each === text);
  if (type === undefined) throw new UserError(`Cannot use --type "${text}": expected ${HISTORY_TYPES.join(', ')}`, 2);
  return type;
}

async function history(flags: HistoryFlags): Promise<void> {
  const { formatTimeline, parseSince, timelineOf } = await import('../history/timeline.js');
  const since = parseSince(flags.since, Date.now());
  const isRemote = flags.allNodes === true || flags.node.length > 0;
  if (flags.allNodes === true && flags.node.length > 0)
    throw new UserError('Cannot choose nodes: give either --node or --all-nodes', 2);
  if (flags.via !== undefined && !isRemote)
    throw new UserError('Cannot use --via: expected --node or --all-nodes beside it', 2);
  const entries = isRemote ? await remote(flags, since) : await local(flags);
  const timeline = timelineOf(entries, {
    since,
    ...(flags.object === undefined ? {} : { object: flags.object }),
    ...(flags.type.length === 0 ? {} : { types: flags.type }),
  });
  print(
    flags.output === 'json'
      ? `${JSON.stringify(
          timeline.map(({ node, entry }) => ({ node, ...entry })),
          undefined,
          2,
        )}\n`
      : `${formatTimeline(timeline)}\n`,
  );
}

async function local({ stateDir }: HistoryFlags): Promise<readonly TimelineEntry[]> {
  const { readJournals } = await import('../history/read-journals.js');
  const { entries, broken } = readJournals(stateDir);
  if (broken > 0) printError(`${broken} lines could not be read: a daemon was killed while it wrote\n`);
  const node = process.env['NODE_NAME'] ?? hostname();
  return entries.map((entry) => ({ node, entry }));
}

async function remote(flags: HistoryFlags, since: number): Promise<readonly TimelineEntry[]> {
  const { gather } = await import('../history/gather.js');
  const { nodes, wayTo } = await waysOf(flags);
  const question = [
    ...['--since', new Date(since).toISOString()],
    ...(flags.object === undefined ? [] : ['--object', flags.object]),
    ...flags.type.flatMap((type) => ['--type', type]),
  ];
  const { entries, failed } = await gather({
    nodes,
    wayTo,
    question,
    onNode: (node, problem, count) =>
      printError(`${node}: ${problem === undefined ? `${count} entries` : `no answer: ${problem}`}\n`),
  });
  if (failed.length > 0) process.exitCode = 1;
  return entries;
}

async function waysOf({ node, allNodes, via, kubeconfig, namespace }: HistoryFlags): Promise<{
  readonly nodes: readonly string[];
  readonly wayTo: (node: string) => readonly string[];
}> {
  const words = via?.split(/\s+/).filter((word) => word !== '');
  if (words?.length === 0) throw new UserError('Cannot use --via "": expected a command', 2);
  const wordsTo = (name: string): readonly string[] => (words ?? []).map((word) => word.replaceAll('{node}', name));
  if (words !== undefined && allNodes !== true) return { nodes: node, wayTo: wordsTo };
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const { KubernetesDatastore } = await import('../datastore/kubernetes-datastore.js');
  const config = kubeconfig ?? process.env['KUBECONFIG'];
  const store = new KubernetesDatastore(KubernetesClient.load(config));
  const nodes = allNodes === true ? (await store.list('nodes')).map(({ metadata }) => metadata.name).sort() : node;
  if (words !== undefined) return { nodes, wayTo: wordsTo };
  const pods = (await store.list('pods')).filter(
    ({ metadata }) => metadata.namespace === namespace && metadata.labels?.['app.kubernetes.io/name'] === 'tortie-node',
  );
  return {
    nodes,
    wayTo: (name) => {
      const pod = pods.find(({ spec }) => spec.nodeName === name)?.metadata.name;
      if (pod === undefined) throw new Error(`namespace ${namespace} has no pod of Tortie on it`);
      const cluster = config === undefined ? [] : ['--kubeconfig', config];
      return ['kubectl', ...cluster, 'exec', '-n', namespace, pod, '-c', 'agent', '--'];
    },
  };
}
