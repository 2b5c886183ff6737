/** `tortie connectivity test`, and what it runs in its pods. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { VERSION } from '../version.js';

interface TestFlags {
  readonly kubeconfig?: string;
  readonly image: string;
  readonly nodes: string;
  readonly timeout: string;
  readonly keep?: boolean;
  readonly output: 'text' | 'json';
}

export function registerConnectivityCommand(program: Command): void {
  const connectivity = program
    .command('connectivity')
    .description('whether pods, nodes and Services of a cluster reach one another, and policy holds');
  connectivity
    .command('test')
    .description('make pods, try everything, take them away again')
    .option('--kubeconfig <file>', 'which cluster (default: KUBECONFIG)')
    .option('--image <name:tag>', 'what the pods run: an image of Tortie', `tortie.dev/tortie:${VERSION}`)
    .option('--nodes <count>', 'most nodes that take part', '3')
    .option('--timeout <seconds>', 'for pods to start, and again for clients to end', '120')
    .option('--keep', 'leave the namespace and its pods there')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
On each node: a server that nobody guards, one that a NetworkPolicy opens for friends alone, and three clients: a stranger, a friend, and
the node itself. They try, in each family that pods have: pods on the same and on other nodes, nodes, a Service, and what policy allows
and denies. Everything is in one namespace (tortie-connectivity-...), which is deleted whatever happens, Ctrl-C included.
Who runs it needs to be allowed to make namespaces, pods, Services and NetworkPolicies. Progress goes to standard error.

Examples:
  tortie connectivity test
  tortie connectivity test --nodes 10 -o json | jq '.failures'

Exit codes: 0 everything is as it should be, 1 something is not, or it could not be tried, 2 wrong options.`,
    )
    .action(test);
  connectivity
    .command('serve', { hidden: true })
    .description('in a pod: say a name to whoever connects')
    .requiredOption('--name <name>', 'what to say')
    .requiredOption('--port <port>', 'where to listen')
    .action(async ({ name, port }: { readonly name: string; readonly port: string }) => {
      const { serveName } = await import('../connectivity/probe.js');
      await serveName(name, wholeNumber('port', port, 65_535));
    });
  connectivity
    .command('probe', { hidden: true })
    .description('in a pod: try targets, and say what came of it')
    .requiredOption('--targets <json>', 'what to try')
    .option('--message-file <file>', 'where the result goes beside standard output', '/dev/termination-log')
    .option('--within <ms>', 'in which each has to be as it should be', '15000')
    .option('--attempt <ms>', 'that one attempt waits', '2000')
    .action(probe);
}

async function test(flags: TestFlags): Promise<void> {
  const { testConnectivity } = await import('../connectivity/test-run.js');
  const { formatReport } = await import('../connectivity/report.js');
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const abort = new AbortController();
  const stop = (): void => abort.abort(new UserError('Stopped; everything is taken away again'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    const report = await testConnectivity({
      client: KubernetesClient.load(flags.kubeconfig ?? process.env['KUBECONFIG']),
      image: flags.image,
      nodes: wholeNumber('nodes', flags.nodes, 1_000),
      timeout: wholeNumber('timeout', flags.timeout, 3_600) * 1000,
      keep: flags.keep === true,
      progress: (line) => printError(`${line}\n`),
      signal: abort.signal,
    });
    print(flags.output === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : `${formatReport(report)}\n`);
    process.exitCode = report.isWell ? 0 : 1;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
  }
}

interface ProbeFlags {
  readonly targets: string;
  readonly messageFile: string;
  readonly within: string;
  readonly attempt: string;
}

async function probe({ targets, messageFile, within, attempt }: ProbeFlags): Promise<void> {
  const { existsSync, writeFileSync } = await import('node:fs');
  const { probeAll } = await import('../connectivity/probe.js');
  const { readTargets, resultText } = await import('../connectivity/targets.js');
  const result = await probeAll(readTargets(targets), {
    within: wholeNumber('within', within, 600_000),
    attempt: wholeNumber('attempt', attempt, 600_000),
  });
  const text = resultText(result);
  // A runtime makes the file; whoever runs this by hand reads standard output.
  if (existsSync(messageFile)) writeFileSync(messageFile, text);
  print(`${text}\n`);
}

function wholeNumber(name: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UserError(`Cannot use --${name} "${text}": expected a whole number from 1 to ${most}`, 2);
}
