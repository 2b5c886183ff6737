/** `tortie policy replay` and `tortie policy suggest`: policies against flows that agents recorded. */
import { Option, type Command } from 'commander';
import type { PolicyEvent } from '@tortie/policy';
import { UserError } from '../errors.js';
import type { Flow, LabelSet } from '../flows/flow.js';
import { print, printError } from '../print.js';
import type { LoadedObject } from '../policy/objects.js';

/** Where flows come from. */
interface FlowSourceFlags {
  readonly flows?: readonly string[];
  readonly since?: string;
  readonly runDir: string;
}

interface ReplayFlags extends FlowSourceFlags {
  readonly filename: readonly string[];
  readonly delete?: boolean;
  readonly base?: readonly string[];
  readonly kubeconfig?: string;
  readonly output: 'text' | 'json';
}

interface SuggestFlags extends FlowSourceFlags {
  readonly output: 'yaml' | 'json';
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

const flowSource = (command: Command): Command =>
  command
    .option(
      '--flows <file>',
      'flows as tortie flows -o json wrote them, one file a node; may be repeated (default: the agent of this node)',
      many,
    )
    .option('--since <time>', '24h, 7d or a time as 2026-12-01T10:00:00Z (default: 24h; of files: all)')
    .option('--run-dir <dir>', 'where agent.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie');

export function registerPolicyFlowCommands(policy: Command): void {
  flowSource(policy.command('replay'))
    .description('how a change would have judged recorded flows; exits 1 when any would be otherwise')
    .requiredOption(
      '-f, --filename <file>',
      'the change: policies that come, - for standard input; may be repeated',
      many,
    )
    .option('--delete', 'the objects of -f go instead of coming')
    .option('--base <file>', 'the objects before the change, instead of the live cluster; may be repeated', many)
    .option('--kubeconfig <file>', 'without --base: which cluster (default: KUBECONFIG)')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .action(replay);
  flowSource(policy.command('suggest'))
    .description(
      'the least NetworkPolicies that cover what was recorded of a namespace, to be read before they are used',
    )
    .argument('<namespace>', 'whose pods')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['yaml', 'json']).default('yaml'))
    .action(suggest);
}

async function replay(flags: ReplayFlags): Promise<void> {
  const { deletionsOf, engineOf, eventsOf, missingNamespaces, podsOf, readObjects } = await import(
    '../policy/objects.js'
  );
  const { formatReplay, replayFlows } = await import('../flows/replay.js');
  const changed = await readObjects(flags.filename, process.stdin);
  const { flows, labels } = await readFlows(flags);
  const given =
    flags.base === undefined
      ? await (await import('../policy/live.js')).readLiveObjects(flags.kubeconfig ?? process.env['KUBECONFIG'])
      : await readObjects(flags.base, process.stdin);
  const recorded = recordedNamespaces(flows);
  const base: readonly LoadedObject[] = [...missingNamespaces([...given, ...recorded]), ...given];
  const after: readonly PolicyEvent[] = [
    ...eventsOf(base),
    ...(flags.delete === true ? deletionsOf(changed) : eventsOf(changed)),
  ];
  const engine = engineOf(after);
  for (const { kind, namespace, name, problems } of engine.problems())
    for (const { message } of problems)
      printError(`${kind} ${namespace === '' ? '' : `${namespace}/`}${name}: ${message}\n`);
  const answer = replayFlows(flows, labels, podsOf(base), engineOf(eventsOf(base)), engine);
  print(`${flags.output === 'json' ? JSON.stringify(answer, undefined, 2) : formatReplay(answer)}\n`);
  process.exitCode = answer.changes.length > 0 ? 1 : 0;
}

async function suggest(namespace: string, flags: SuggestFlags): Promise<void> {
  const { suggestPolicies } = await import('../flows/suggest.js');
  const { stringify } = await import('yaml');
  const { flows, labels } = await readFlows(flags);
  const { policies, uncovered } = suggestPolicies(namespace, flows, labels);
  if (policies.length === 0)
    throw new UserError(
      `Cannot suggest policies for namespace "${namespace}": no allowed flow of its pods was recorded`,
    );
  for (const sentence of uncovered) printError(`Not covered: ${sentence}\n`);
  print(
    flags.output === 'json'
      ? `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: policies }, undefined, 2)}\n`
      : policies.map((policy) => `---\n${stringify(policy)}`).join(''),
  );
}

/** Pods that stand for recorded namespaces alone, so that none is missing. */
const recordedNamespaces = (flows: readonly Flow[]): readonly LoadedObject[] =>
  [...new Set(flows.flatMap(({ from, to }) => [from, to].map((end) => end.namespace)))]
    .filter((namespace) => namespace !== undefined)
    .map((namespace) => ({ kind: 'Pod', object: { metadata: { namespace, name: 'recorded' } } }));

async function readFlows(
  flags: FlowSourceFlags,
): Promise<{ readonly flows: readonly Flow[]; readonly labels: ReadonlyMap<string, LabelSet['labels']> }> {
  const { askAgent, readFlowFile } = await import('../flows/flow-client.js');
  const { isWithin, MOST_LIMIT, parseQuery } = await import('../flows/query.js');
  const since = flags.since ?? (flags.flows === undefined ? '24h' : '1970-01-01T00:00:00Z');
  const query = { since, limit: String(MOST_LIMIT) };
  const parsed = parseQuery(query, Date.now());
  const flows: Flow[] = [];
  const labels = new Map<string, LabelSet['labels']>();
  const sources =
    flags.flows === undefined
      ? [askAgent(flags.runDir, query, false)]
      : flags.flows.map((file) => readFlowFile(file, process.stdin));
  for (const lines of sources)
    for await (const line of lines) {
      if (line.type === 'labels') labels.set(line.id, line.labels);
      else if (line.type === 'flow' && isWithin(line, parsed)) flows.push(line);
      else if (line.type === 'connection')
        throw new UserError('Cannot judge connections: expected flows, as tortie flows -o json without -f writes them');
    }
  return { flows, labels };
}
