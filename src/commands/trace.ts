/** `tortie trace`: the way of a first packet through the cluster, hop by hop, and whose object ends it. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import type { World } from '../plan/world.js';
import { print, printError } from '../print.js';

interface TraceFlags {
  readonly from: string;
  readonly to: string;
  readonly port?: string;
  readonly family?: string;
  readonly live?: boolean;
  readonly filename: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly runDir: string;
  readonly output: 'text' | 'json';
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerTraceCommand(program: Command): void {
  program
    .command('trace')
    .description(
      'the way of a first packet, hop by hop: policy, Service, translation, route; where it ends, and by whose object',
    )
    .requiredOption('--from <end>', 'NAMESPACE/POD, node:NAME or an address')
    .requiredOption('--to <end>', 'the same, or NAMESPACE/SERVICE:PORT')
    .option('--port <port>', 'such as 80 or 53/UDP (default: the first that a pod declares, else 80)')
    .option('--family <4|6>', 'address family (default: that of an address, else 4)')
    .option('--live', 'on a node: its kernel and bgpd too, of the hops there')
    .option(
      '-f, --filename <file>',
      'instead of the live cluster: objects as kubectl get -o json or yaml prints them; may be repeated',
      many,
      [],
    )
    .option('--kubeconfig <file>', 'which cluster (default: KUBECONFIG)')
    .option('--namespace <name>', 'where agents look for BGP passwords', 'tortie-system')
    .option('--run-dir <dir>', "with --live: where bgpd's socket is", process.env['TORTIE_RUN_DIR'] ?? '/run/tortie')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
Exit code: 0 it arrives, 1 it does not, 2 it cannot be said, or wrong options.

  tortie trace --from shop/cart --to shop/web
  tortie trace --from shop/cart --to shop/web:http        through a Service: every endpoint it may choose
  tortie trace --from 203.0.113.1 --to 198.51.100.1 --port 80
  tortie trace --from shop/cart --to 203.0.113.1 --live   on the node of shop/cart

No packet is sent. Every endpoint of a Service has to be reached. What routers and networks outside do is not known, so that a way out of
the cluster can only be said with --live, up to the router.`,
    )
    .action(trace);
}

async function trace(flags: TraceFlags): Promise<void> {
  if (flags.live === true && flags.filename.length > 0)
    throw new UserError('Cannot trace: --live looks at this node, -f at files; expected one of them', 2);
  const { questionOf } = await import('../trace/question.js');
  const { Tracer } = await import('../trace/trace.js');
  const { exitCodeOf, formatTrace } = await import('../trace/trace-result.js');
  const world = await readWorldFor(flags);
  const question = questionOf(world, { from: flags.from, to: flags.to, port: flags.port, family: flags.family });
  const traced = new Tracer(world, { secretNamespace: flags.namespace }).trace(question);
  const { LiveNode, shownTrace } = await import('../trace/live.js');
  const answer =
    flags.live === true ? await (await LiveNode.here(world, flags.runDir)).look(traced) : shownTrace(traced);
  print(flags.output === 'json' ? `${JSON.stringify(answer, undefined, 2)}\n` : `${formatTrace(answer)}\n`);
  process.exitCode = exitCodeOf(answer);
}

async function readWorldFor({ filename, kubeconfig, namespace }: TraceFlags): Promise<World> {
  if (filename.length > 0) {
    const { readObjects } = await import('../object-files.js');
    const { worldOf } = await import('../plan/world.js');
    return worldOf(await readObjects(filename, process.stdin));
  }
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const { KubernetesDatastore } = await import('../datastore/kubernetes-datastore.js');
  const { readWorld, readKind } = await import('../plan/live.js');
  const { worldOf } = await import('../plan/world.js');
  const datastore = new KubernetesDatastore(KubernetesClient.load(kubeconfig ?? process.env['KUBECONFIG']));
  const [world, statuses] = await Promise.all([readWorld(datastore, namespace), readKind(datastore, 'nodeStatuses')]);
  if (!world.has('secrets'))
    printError(`Secrets of ${namespace} may not be read: BGP passwords are taken to be there\n`);
  return new Map([...world, ...worldOf(statuses)]);
}
