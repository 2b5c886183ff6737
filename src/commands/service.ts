/** `tortie service ...`: how a node serves a Service, and what becomes of a connection to it. */
import { Option, type Command } from 'commander';
import type { IPPool } from '../api/ipam.js';
import { UserError } from '../errors.js';
import type { LoadedObject } from '../policy/objects.js';
import { print } from '../print.js';

interface SourceFlags {
  readonly filename?: readonly string[];
  readonly live?: boolean;
  readonly kubeconfig?: string;
  readonly node?: string;
  readonly output: 'text' | 'json';
}

interface ExplainFlags extends SourceFlags {
  readonly from: string;
  readonly to: string;
  readonly family?: string;
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerServiceCommand(program: Command): void {
  const service = program.command('service').description('how a node serves Services, and why');
  source(service.command('show'))
    .description('addresses and ports, the endpoints that are chosen, and why the others are not')
    .argument('[service]', 'NAMESPACE/NAME; all of them in a line each without it')
    .action(show);
  source(service.command('explain'))
    .description('policy, choice, masquerade and route of a connection to a Service, in order')
    .requiredOption('--from <end>', 'NAMESPACE/POD, node:NAME or an address')
    .requiredOption('--to <service>', 'NAMESPACE/NAME:PORT, the port by number or name')
    .option('--family <4|6>', 'address family', '4')
    .action(explain);
}

const source = (command: Command): Command =>
  command
    .option(
      '-f, --filename <file>',
      'objects as kubectl get -o json or yaml prints them, - for standard input; may be repeated',
      many,
    )
    .option('--live', 'the objects of the live cluster (the default without -f)')
    .option('--kubeconfig <file>', 'with --live (default: KUBECONFIG)')
    .option('--node <name>', 'whose view (default: of show the first node, of explain that of --from)')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'));

async function show(name: string | undefined, flags: SourceFlags): Promise<void> {
  const { formatService, formatServices } = await import('../services/show.js');
  const { serviceWorld } = await import('../services/objects.js');
  const { objects, pools } = await load(flags);
  const world = serviceWorld(objects, pools, flags.node);
  if (name === undefined) return printAnswer(flags.output, [...world.engine.services()], () => formatServices(world));
  const [namespace = '', serviceName = ''] = name.includes('/') ? name.split('/') : ['default', name];
  const view = world.engine.service(namespace, serviceName);
  if (view === undefined) throw new UserError(`Cannot show Service "${namespace}/${serviceName}": there is none`);
  const problems = world.engine.problemsOf(namespace, serviceName);
  printAnswer(flags.output, { ...view, problems }, () =>
    formatService(world, `${namespace}/${serviceName}`, view, problems),
  );
}

async function explain(flags: ExplainFlags): Promise<void> {
  const { explainConnection, formatAnswer, nodeOf, parseServiceEnd } = await import('../services/explain.js');
  const { serviceWorld } = await import('../services/objects.js');
  const { podsOf } = await import('../policy/objects.js');
  const { parseEnd, parseFamily } = await import('../policy/question.js');
  const from = parseEnd(flags.from);
  const to = parseServiceEnd(flags.to);
  const { objects, pools } = await load(flags);
  const world = serviceWorld(objects, pools, flags.node ?? nodeOf(from, podsOf(objects)));
  const question = { from, ...to, family: parseFamily(flags.family ?? '4') };
  const answer = explainConnection(world, question);
  printAnswer(flags.output, answer, () => formatAnswer(question, answer));
}

async function load(
  flags: SourceFlags,
): Promise<{ readonly objects: readonly LoadedObject[]; readonly pools: readonly IPPool[] }> {
  if (flags.filename !== undefined && flags.live === true)
    throw new UserError('Cannot choose where objects come from: give either -f FILE or --live', 2);
  if (flags.filename !== undefined) {
    const { readObjects } = await import('../policy/objects.js');
    return { objects: await readObjects(flags.filename, process.stdin), pools: [] };
  }
  const { readLiveServices } = await import('../services/live.js');
  return readLiveServices(flags.kubeconfig ?? process.env['KUBECONFIG']);
}

const bigints = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);

function printAnswer(format: 'text' | 'json', json: unknown, text: () => string): void {
  print(`${format === 'json' ? JSON.stringify(json, bigints, 2) : text()}\n`);
}
