/** `tortie policy ...`: what policy allows, why, what a change would do, and what a node's packet filter would hold. */
import { Option, type Command } from 'commander';
import type { Family } from 'node-bgp/address';
import type { Flow, FlowEnd, PolicyEvent } from '@tortie/policy';
import type { LoadedObject } from '../policy/objects.js';
import { UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { registerPolicyFlowCommands } from './policy-flows.js';

interface SourceFlags {
  readonly filename?: readonly string[];
  readonly live?: boolean;
  readonly kubeconfig?: string;
  readonly output: 'text' | 'json';
}

interface MatrixFlags extends SourceFlags {
  readonly port: readonly string[];
  readonly family?: string;
  readonly namespace: readonly string[];
  readonly nodes?: boolean;
  readonly outside: readonly string[];
}

interface ExplainFlags extends SourceFlags {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly family?: string;
}

interface DiffFlags extends MatrixFlags {
  readonly base?: readonly string[];
  readonly delete?: boolean;
}

interface RenderFlags extends SourceFlags {
  readonly node: string;
  readonly format: 'iptables' | 'nft';
  readonly family: string;
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerPolicyCommand(program: Command): void {
  const policy = program.command('policy').description('what network policy allows, and why');
  const ends = (command: Command): Command =>
    command
      .option('--port <port>', 'such as 80 or 53/UDP; may be repeated', many, [])
      .option('--family <4|6>', 'address family (default: both)')
      .option('-n, --namespace <name>', 'only pods of this namespace; may be repeated', many, [])
      .option('--nodes', 'nodes too')
      .option('--outside <address>', 'an address outside the cluster too; may be repeated', many, []);

  ends(source(policy.command('matrix')))
    .description('who reaches whom on a port')
    .action(showMatrix);
  source(policy.command('explain'))
    .description('tier by tier, why a flow is allowed or denied')
    .requiredOption('--from <end>', 'NAMESPACE/POD, node:NAME or an address')
    .requiredOption('--to <end>', 'likewise')
    .requiredOption('--port <port>', 'such as 80 or 53/UDP')
    .option('--family <4|6>', 'address family (default: what the ends say, else 4)')
    .action(explainFlow);
  ends(source(policy.command('diff')))
    .description('which pairs a change would allow or deny; exits 1 when any')
    .option('--base <file>', 'the objects before the change, instead of the live cluster; may be repeated', many)
    .option('--delete', 'the objects of -f go instead of coming')
    .action(showDiff);
  source(policy.command('render'))
    .description("a node's packet filter rules")
    .requiredOption('--node <name>', 'whose')
    .addOption(new Option('--format <format>', 'which packet filter').choices(['iptables', 'nft']).default('iptables'))
    .option('--family <4|6>', 'with iptables', '4')
    .action(renderNode);
  registerPolicyFlowCommands(policy);
}

const source = (command: Command): Command =>
  command
    .option(
      '-f, --filename <file>',
      'objects as kubectl get -o json or yaml prints them, - for standard input; may be repeated',
      many,
    )
    .option('--live', 'the objects of the live cluster')
    .option('--kubeconfig <file>', 'with --live (default: KUBECONFIG)')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'));

async function showMatrix(flags: MatrixFlags): Promise<void> {
  const { computeMatrix, formatMatrix, matrixJson } = await import('../policy/matrix.js');
  const { engineOf, eventsOf } = await import('../policy/objects.js');
  const { parseProbe } = await import('../policy/question.js');
  const objects = await loadSource(flags);
  const engine = engineOf(eventsOf(objects));
  const ends = await endsOf(objects, flags);
  const probes = (flags.port.length > 0 ? flags.port : ['80/TCP']).map(parseProbe);
  const families = await familiesOf(flags.family);
  const matrices = probes.flatMap((probe) => families.map((family) => computeMatrix(engine, ends, probe, family)));
  printAnswer(flags.output, matrices.map(matrixJson), () => matrices.map(formatMatrix).join('\n\n'));
}

async function explainFlow(flags: ExplainFlags): Promise<void> {
  const { engineOf, eventsOf } = await import('../policy/objects.js');
  const { familyOf, parseEnd, parseFamily, parseProbe } = await import('../policy/question.js');
  const { formatExplanation } = await import('../policy/explain.js');
  const engine = engineOf(eventsOf(await loadSource(flags)));
  const [from, to] = [parseEnd(flags.from), parseEnd(flags.to)];
  const family = flags.family === undefined ? (familyOf([from, to]) ?? 4) : parseFamily(flags.family);
  const flow: Flow = { from, to, family, ...parseProbe(flags.port) };
  const explanation = engine.explain(flow);
  const kernel =
    flags.live === true ? await (await import('../policy/kernel-rules.js')).readKernelRules(explanation, family) : [];
  printAnswer(flags.output, { flow, ...explanation, kernel }, () => formatExplanation(flow, explanation, kernel));
}

async function showDiff(flags: DiffFlags): Promise<void> {
  const { changedVerdicts, changesJson, formatChanges } = await import('../policy/diff.js');
  const { deletionsOf, engineOf, eventsOf, podsOf, readObjects } = await import('../policy/objects.js');
  const { parseProbe } = await import('../policy/question.js');
  if (flags.filename === undefined) throw new UserError('Cannot compare: -f is missing; it names the change', 2);
  const base = await loadSource({
    ...flags,
    filename: flags.base,
    live: flags.live === true || flags.base === undefined,
  });
  const changed = await readObjects(flags.filename, process.stdin);
  const after: readonly PolicyEvent[] = [
    ...eventsOf(base),
    ...(flags.delete === true ? deletionsOf(changed) : eventsOf(changed)),
  ];
  const ends = await endsOf(base, flags);
  const families = await familiesOf(flags.family);
  const changes = changedVerdicts(
    engineOf(eventsOf(base)),
    engineOf(after),
    ends,
    podsOf(base),
    flags.port.map(parseProbe),
    families,
  );
  printAnswer(flags.output, changesJson(changes), () => formatChanges(changes));
  process.exitCode = changes.length > 0 ? 1 : 0;
}

async function renderNode(flags: RenderFlags): Promise<void> {
  const { renderIptables, renderNftables, renderSet } = await import('@tortie/policy');
  const { engineOf, eventsOf, podsOf } = await import('../policy/objects.js');
  const { parseFamily } = await import('../policy/question.js');
  const { hostInterfaceName } = await import('../dataplane/endpoint-name.js');
  const objects = await loadSource(flags);
  const endpoints = podsOf(objects)
    .filter(
      (pod) =>
        pod.spec?.nodeName === flags.node &&
        pod.spec.hostNetwork !== true &&
        pod.status?.phase !== 'Succeeded' &&
        pod.status?.phase !== 'Failed',
    )
    .map((pod): PolicyEvent => {
      const [namespace, name] = [pod.metadata?.namespace ?? '', pod.metadata?.name ?? ''];
      const addresses = (pod.status?.podIPs ?? []).map((entry) => entry.ip ?? '').filter((ip) => ip !== '');
      return {
        type: 'endpoint-upsert',
        endpoint: { namespace, name, interface: hostInterfaceName(namespace, name), addresses },
      };
    });
  const engine = engineOf([...eventsOf(objects), ...endpoints]);
  engine.flush();
  const ruleset = engine.ruleset();
  if (flags.format === 'nft') return void print(renderNftables(ruleset));
  const family = parseFamily(flags.family);
  const sets = [...ruleset.sets.values()]
    .filter((set) => set.family === family)
    .flatMap((set) => [`# ${set.note}`, ...renderSet(set).map((line) => `# ${line}`)]);
  print(`${sets.map((line) => `${line}\n`).join('')}${renderIptables(ruleset, family)}`);
}

/** What -f or --live names. Refused parts of objects, and namespaces that had to be made up, are told on standard error. */
async function loadSource(flags: SourceFlags): Promise<readonly LoadedObject[]> {
  const { engineOf, eventsOf, missingNamespaces, readObjects } = await import('../policy/objects.js');
  if ((flags.filename === undefined) === (flags.live !== true))
    throw new UserError('Cannot choose where objects come from: give either -f FILE or --live', 2);
  const given =
    flags.live === true
      ? await (await import('../policy/live.js')).readLiveObjects(flags.kubeconfig ?? process.env['KUBECONFIG'])
      : await readObjects(flags.filename ?? [], process.stdin);
  const added = missingNamespaces(given);
  for (const { object } of added)
    printError(`Namespace ${object.metadata?.name} was not given: taken to have no labels of its own\n`);
  const objects = [...added, ...given];
  for (const { kind, namespace, name, problems } of engineOf(eventsOf(objects)).problems())
    for (const { message } of problems)
      printError(`${kind} ${namespace === '' ? '' : `${namespace}/`}${name}: ${message}\n`);
  return objects;
}

async function endsOf(
  objects: readonly LoadedObject[],
  flags: Pick<MatrixFlags, 'namespace' | 'nodes' | 'outside'>,
): Promise<readonly FlowEnd[]> {
  const { podEnds } = await import('../policy/matrix.js');
  const { podsOf } = await import('../policy/objects.js');
  const { parseEnd } = await import('../policy/question.js');
  const nodes =
    flags.nodes === true
      ? objects
          .filter((one) => one.kind === 'Node')
          .map((one): FlowEnd => ({ type: 'node', name: one.object.metadata?.name ?? '' }))
      : [];
  return [...podEnds(podsOf(objects), flags.namespace), ...nodes, ...flags.outside.map(parseEnd)];
}

async function familiesOf(text: string | undefined): Promise<readonly Family[]> {
  const { parseFamily } = await import('../policy/question.js');
  return text === undefined ? [4, 6] : [parseFamily(text)];
}

function printAnswer(output: 'text' | 'json', json: unknown, text: () => string): void {
  print(`${output === 'json' ? JSON.stringify(json, undefined, 2) : text()}\n`);
}
