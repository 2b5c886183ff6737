/** `tortie flows`: what connections pods have, and what policy denied them. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import type { Connection, Flow, FlowLine } from '../flows/flow.js';
import type { FlowQuery } from '../flows/query.js';
import { print, printError } from '../print.js';

interface FlowsFlags extends FlowQuery {
  readonly follow?: boolean;
  readonly file?: string;
  readonly runDir: string;
  readonly output: 'table' | 'compact' | 'json';
}

export function registerFlowsCommand(program: Command): void {
  program
    .command('flows')
    .description('what connections the pods of this node have, and what policy denied them')
    .option('-f, --follow', 'connections as they begin, end or are denied, until interrupted')
    .option('--from <end>', 'NAMESPACE, NAMESPACE/NAME (a pod or its owner), node:NAME, an address or a prefix')
    .option('--to <end>', 'likewise')
    .option('--with <end>', 'either end')
    .option('--verdict <verdict>', 'allowed or denied')
    .option('--policy <policy>', 'that decided: NAME, NAMESPACE/NAME or KIND/NAMESPACE/NAME; staged ones too')
    .option('--port <port>', 'such as 80, 53/UDP or ICMP')
    .option('--since <time>', '15m, 24h, 7d or a time as 2026-12-01T10:00:00Z (default: 1h)')
    .option('--until <time>', 'likewise (default: now)')
    .option('--limit <number>', 'the newest so many (default: 10000)')
    .option('--file <file>', 'of a file that -o json wrote, - for standard input, instead of the agent')
    .option('--run-dir <dir>', 'where agent.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie')
    .addOption(
      new Option(
        '-o, --output <format>',
        'table (sums), compact (a line each), or json (a line each, for --file and replay)',
      )
        .choices(['table', 'compact', 'json'])
        .default('table'),
    )
    .addHelpText(
      'after',
      `
Examples:
  tortie flows --verdict denied --since 15m
  tortie flows -f --with shop/web
  tortie flows --since 24h --limit 1000000 -o json > flows.json
BEGUN: connections that began; of denied ones, attempts. SENT and ANSWERED: octets of connections that have ended.
DECIDED: at the ends that are pods of this node; the other end's node tells the rest.

Exit codes: 0 answered, 1 the agent does not answer or records no flows (tortie agent --flows on), 2 wrong options.`,
    )
    .action(show);
}

async function show({ follow, file, runDir, output, ...query }: FlowsFlags): Promise<void> {
  const { isWithin, parseQuery } = await import('../flows/query.js');
  const { askAgent, readFlowFile } = await import('../flows/flow-client.js');
  if (follow === true && file !== undefined)
    throw new UserError('Cannot follow a file: give -f or --file, not both', 2);
  // Wrong options are said before anybody is asked; what is in a file, is of any time.
  const parsed = parseQuery(file === undefined ? query : { since: '1970-01-01T00:00:00Z', ...query }, Date.now());
  const lines = file === undefined ? askAgent(runDir, query, follow === true) : readFlowFile(file, process.stdin);
  const isWanted = (line: FlowLine): boolean =>
    (line.type !== 'flow' && line.type !== 'connection') || (parsed.matches(line) && isWithin(line, parsed));
  if (follow === true || output !== 'table') return await printLines(lines, output, isWanted);
  await printTable(lines, isWanted);
}

async function printLines(
  lines: AsyncIterable<FlowLine>,
  output: FlowsFlags['output'],
  isWanted: (line: FlowLine) => boolean,
): Promise<void> {
  const { formatHappening } = await import('../flows/show.js');
  for await (const line of lines) {
    if (output === 'json') {
      if (isWanted(line)) print(`${JSON.stringify(line)}\n`);
    } else if (line.type === 'flow' || line.type === 'connection') {
      if (isWanted(line)) print(`${formatHappening(line)}\n`);
    } else await sayLosses(line);
  }
}

async function printTable(lines: AsyncIterable<FlowLine>, isWanted: (line: FlowLine) => boolean): Promise<void> {
  const { formatFlows, formatHappening, mergeFlows } = await import('../flows/show.js');
  const flows: Flow[] = [];
  const connections: Connection[] = [];
  const rest: FlowLine[] = [];
  for await (const line of lines) {
    if (line.type === 'flow' && isWanted(line)) flows.push(line);
    else if (line.type === 'connection' && isWanted(line)) connections.push(line);
    else if (line.type === 'lost') rest.push(line);
  }
  for (const connection of connections) print(`${formatHappening(connection)}\n`);
  if (flows.length > 0 || connections.length === 0)
    print(`${formatFlows(mergeFlows(flows), new Set(flows.map(({ node }) => node)).size > 1)}\n`);
  for (const line of rest) await sayLosses(line);
}

async function sayLosses(line: FlowLine): Promise<void> {
  const { formatLosses } = await import('../flows/show.js');
  if (line.type === 'missed') printError(`${line.connections} connections of ${line.node} came too fast to be shown\n`);
  const sentence = line.type === 'lost' ? formatLosses(line.node, line) : undefined;
  if (sentence !== undefined) printError(`${sentence}\n`);
}
