/**
 * `tortie bgp ...`: questions to a running bgpd, and `clear`.
 *
 * `--watch` asks again and again: on a terminal it redraws one screen, cut to its width, and outlives a restart of the daemon; into a
 * pipe it is a log, and as JSON one line per answer.
 */
import { constants, createWriteStream, openSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { comparePrefixes, parsePrefix } from 'node-bgp/address';
import type { BfdStatus } from 'node-bgp/bfd/contract';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { BgpdClient } from '../bgpd/client.js';
import type { RouteJson, WhyJson } from '../bgpd/route-view.js';
import { formatBfd } from '../bgpd/show/bfd-text.js';
import { formatHistory, type HistoryLine } from '../bgpd/show/history-text.js';
import { formatNeighbor } from '../bgpd/show/neighbor-text.js';
import { formatRouteDetails, formatRoutes, formatWhy } from '../bgpd/show/route-text.js';
import { fitted } from '../bgpd/show/text-table.js';
import { formatSummary, type SummaryAnswer } from '../bgpd/show/summary-text.js';
import { messageOf, UserError } from '../errors.js';
import { print, printError, printScreen } from '../print.js';

interface ShowFlags {
  readonly runDir: string;
  readonly output: 'table' | 'json';
  /** Seconds; true: one. */
  readonly watch?: string | true;
}

interface SummaryFlags extends ShowFlags {
  readonly node?: string;
  readonly allNodes?: boolean;
  readonly kubeconfig?: string;
}

interface RouteFlags extends ShowFlags {
  readonly received?: string;
  readonly advertised?: string;
  readonly family?: string;
  readonly beforePolicy?: boolean;
}

interface HistoryFlags extends ShowFlags {
  /** A prefix; true: all. */
  readonly routes?: string | true;
}

export function registerBgpCommand(program: Command): void {
  const bgp = program
    .command('bgp')
    .description('ask a running bgpd about sessions and routes')
    .addHelpText(
      'after',
      `
Examples:
  tortie bgp summary --watch              # all sessions, once a second
  tortie bgp neighbor spine1              # timers, counters, what was agreed, the last errors in words
  tortie bgp routes 10.65.0.7             # the route to an address
  tortie bgp routes --received spine1     # what a peer sent, after import filters
  tortie bgp why 10.65.0.0/24             # which path won, at which step, and who hears of it
  tortie bgp clear spine1 --soft          # ask for and send all routes again, without a reset
A PEER is a name or an address that "summary" shows; a PREFIX may be an address: then the longest prefix that holds it.
${EXIT_CODES}`,
    );
  const show = (command: Command): Command =>
    socketOption(command)
      .addOption(outputOption())
      .option('-w, --watch [seconds]', 'again and again (default: each second), until Ctrl-C');
  const examples = (command: Command, ...lines: readonly string[]): Command =>
    command.addHelpText(
      'after',
      `\nExamples:\n${lines.map((line) => `  tortie bgp ${line}`).join('\n')}\n${EXIT_CODES}`,
    );

  examples(
    show(bgp.command('summary')).addHelpText('after', SUMMARY_COLUMNS),
    'summary',
    'summary --watch 5',
    'summary --all-nodes                     # from anywhere, through the API server',
    "summary -o json | jq '.peers[] | select(.isEstablished | not)'",
  )
    .description('all sessions at a glance')
    .addOption(
      new Option('--node <name>', 'of this node, as its agent reports them to the API server').conflicts('watch'),
    )
    .addOption(new Option('--all-nodes', 'of every node, as agents report them').conflicts(['watch', 'node']))
    .option('--kubeconfig <file>', 'with --node or --all-nodes: which cluster (default: KUBECONFIG)')
    .action((flags: SummaryFlags) =>
      flags.node !== undefined || flags.allNodes === true
        ? presentReported(flags)
        : present(flags, (client) => client.get<SummaryAnswer>('/v1/summary'), formatSummary),
    );
  examples(show(bgp.command('neighbor [peer]')), 'neighbor spine1', 'neighbor 192.0.2.1', 'neighbor -o json')
    .description('everything about a session, or about all')
    .action((peer: string | undefined, flags: ShowFlags) =>
      present(
        flags,
        (client) => neighborsOf(client, peer),
        (peers) => peers.map(formatNeighbor).join('\n\n'),
      ),
    );
  examples(
    show(bgp.command('routes [prefix]')),
    'routes --family ipv6',
    'routes 10.65.0.0/24',
    'routes 10.65.0.7',
    'routes --received spine1 --before-policy',
    'routes 0.0.0.0/0 --advertised spine1',
  )
    .description('the routing table, or one prefix or address of it')
    .option('--received <peer>', 'what a peer has sent us, after import filters')
    .option('--before-policy', 'with --received: as it came')
    .option('--advertised <peer>', 'what we send a peer')
    .addOption(new Option('--family <family>', 'only this one').choices(['ipv4', 'ipv6']))
    .action((prefix: string | undefined, flags: RouteFlags) =>
      present(
        flags,
        (client) => routesOf(client, prefix, flags),
        (routes) =>
          prefix === undefined
            ? formatRoutes(routes)
            : routes.length === 0
              ? `No route to ${prefix}`
              : formatRouteDetails(routes),
        (routes) => prefix === undefined || routes.length > 0,
      ),
    );
  examples(show(bgp.command('why <prefix>')), 'why 10.65.0.0/24', 'why fd00:65::7')
    .alias('explain')
    .description('all candidates for a prefix, which step decided, and who hears of it')
    .action((prefix: string, flags: ShowFlags) =>
      present(
        flags,
        (client) => client.get<WhyJson>('/v1/why', { prefix }),
        formatWhy,
        ({ isKnown }) => isKnown,
      ),
    );
  examples(
    show(bgp.command('history [peer]')),
    'history',
    'history spine1',
    'history --routes',
    'history --routes 10.65.0.0/24',
    'history -o json',
  )
    .description('what happened to sessions, or to routes, oldest first')
    .option('--routes [prefix]', 'changes of best paths, of all or of one prefix; with a peer, those that it caused')
    .action((peer: string | undefined, flags: HistoryFlags) =>
      present(flags, (client) => historyOf(client, peer, flags), formatHistory),
    );
  examples(show(bgp.command('bfd')), 'bfd', 'bfd --watch', 'bfd -o json | jq \'.[] | select(.state != "up")\'')
    .description('all BFD sessions: their state, timers and failures')
    .action((flags: ShowFlags) =>
      present(
        flags,
        async (client) => (await client.get<{ readonly sessions: readonly BfdStatus[] }>('/v1/bfd')).sessions,
        (sessions) => formatBfd(sessions, Date.now()),
      ),
    );
  examples(socketOption(bgp.command('dump <file>')), 'dump table.mrt', 'dump - | bgpdump -m -')
    .description('write the whole table to a file in MRT, "-": to standard output')
    .action(
      async (file: string, flags: { readonly runDir: string }) =>
        await new BgpdClient(flags.runDir).download('/v1/mrt', () =>
          file === '-' ? process.stdout : createWriteStream(file, { fd: openDump(file) }),
        ),
    );
  examples(socketOption(bgp.command('clear <peer>')), 'clear spine1', 'clear 192.0.2.1 --soft')
    .description('reset a session; lifts a hold after too many prefixes')
    .option('--soft', 'keep the session, only ask for and send all routes again')
    .addOption(outputOption())
    .action(async (peer: string, flags: Pick<ShowFlags, 'runDir' | 'output'> & { readonly soft?: boolean }) => {
      const answer = await new BgpdClient(flags.runDir).post('/v1/clear', { peer, soft: flags.soft === true });
      const words = flags.soft === true ? 'routes are exchanged again' : 'session was reset';
      print(flags.output === 'json' ? `${JSON.stringify(answer, undefined, 2)}\n` : `${peer}: ${words}\n`);
    });
}

/** Not through a link that somebody else has put there; those of /dev are the system's. @throws UserError */
function openDump(file: string): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  try {
    return openSync(file, O_WRONLY | O_CREAT | O_TRUNC | (file.startsWith('/dev/') ? 0 : O_NOFOLLOW), 0o644);
  } catch (error) {
    const isLink = error instanceof Error && 'code' in error && error.code === 'ELOOP';
    throw new UserError(
      `Cannot write "${file}": ${isLink ? 'it is a symbolic link; expected a file' : messageOf(error)}`,
    );
  }
}

/** What NodeStatus has of sessions; who wants more asks the node's own bgpd. */
async function presentReported({ node, kubeconfig, output }: SummaryFlags): Promise<void> {
  const { readNodeStatuses } = await import('../node-view/read.js');
  const { formatSessions, isSessionUp, sessionRows } = await import('../node-view/nodes.js');
  const { statuses } = await readNodeStatuses(kubeconfig);
  if (node !== undefined && !statuses.some(({ metadata }) => metadata.name === node))
    throw new UserError(`No agent has reported for node "${node}"`);
  const rows = sessionRows(statuses, node);
  print(`${output === 'json' ? JSON.stringify(rows, undefined, 2) : formatSessions(rows, Date.now())}\n`);
  process.exitCode = rows.every(isSessionUp) ? 0 : 1;
}

const EXIT_CODES =
  '\nExit codes: 0 answered, 1 no (no such peer or prefix, bgpd does not answer, ...), 2 wrong options.';

const SUMMARY_COLUMNS = `
Acc/Rcvd: prefixes that import filters let in, of those that came. Sent: prefixes the peer has from us. OutQ: octets it has not read yet.
Up/Down: since when the session is in this state. Info: why it is down, in words.`;

const outputOption = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table');

const socketOption = (command: Command): Command =>
  command.option('--run-dir <dir>', 'where bgpd.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie');

async function neighborsOf(client: BgpdClient, peer: string | undefined): Promise<readonly PeerDetail[]> {
  if (peer !== undefined) return [await client.get<PeerDetail>(`/v1/neighbors/${encodeURIComponent(peer)}`)];
  return (await client.get<{ readonly neighbors: readonly PeerDetail[] }>('/v1/neighbors')).neighbors;
}

async function routesOf(
  client: BgpdClient,
  prefix: string | undefined,
  flags: RouteFlags,
): Promise<readonly RouteJson[]> {
  if (flags.received !== undefined && flags.advertised !== undefined)
    throw new UserError('Cannot show routes: give --received or --advertised, not both', 2);
  const { received, advertised, family } = flags;
  const policy = flags.beforePolicy === true ? 'before' : undefined;
  const { routes } = await client.get<{ readonly routes: readonly RouteJson[] }>('/v1/routes', {
    prefix,
    received,
    advertised,
    family,
    policy,
  });
  return sortByPrefix(routes);
}

async function historyOf(
  client: BgpdClient,
  peer: string | undefined,
  { routes }: HistoryFlags,
): Promise<readonly HistoryLine[]> {
  if (routes === undefined)
    return (await client.get<{ readonly events: readonly HistoryLine[] }>('/v1/history', { peer })).events;
  return (
    await client.get<{ readonly changes: readonly HistoryLine[] }>('/v1/changes', {
      peer,
      prefix: routes === true ? undefined : routes,
    })
  ).changes;
}

/** The daemon's tables are hashed; people read them in order. Paths of one prefix stay in theirs, best first. */
function sortByPrefix(routes: readonly RouteJson[]): readonly RouteJson[] {
  const keyed = routes.map((route) => ({ route, prefix: parsePrefix(route.prefix) }));
  return keyed.sort((a, b) => comparePrefixes(a.prefix, b.prefix)).map(({ route }) => route);
}

async function present<T>(
  flags: ShowFlags,
  ask: (client: BgpdClient) => Promise<T>,
  format: (answer: T) => string,
  isFound: (answer: T) => boolean = () => true,
): Promise<void> {
  const client = new BgpdClient(flags.runDir);
  if (flags.watch !== undefined)
    return await watch(
      intervalOf(flags.watch),
      async () => {
        const answer = await ask(client);
        return flags.output === 'json' ? JSON.stringify(answer) : format(answer);
      },
      flags.output === 'table' && process.stdout.isTTY,
    );
  const answer = await ask(client);
  print(`${flags.output === 'json' ? JSON.stringify(answer, undefined, 2) : format(answer)}\n`);
  if (!isFound(answer)) process.exitCode = 1;
}

function intervalOf(text: string | true): number {
  const seconds = text === true ? 1 : Number(text);
  if (!(seconds > 0 && seconds <= 86400))
    throw new UserError(`Cannot watch every "${String(text)}" seconds: expected a number above 0, at most 86400`, 2);
  return seconds * 1000;
}

/** Never returns. A daemon that restarts is what people watch for: its silence is shown, not the end. The first answer has to come. */
async function watch(interval: number, ask: () => Promise<string>, isScreen: boolean): Promise<never> {
  const show = (text: string): void =>
    isScreen ? printScreen(`${fitted(text, process.stdout.columns, process.stdout.rows)}\n`) : print(`${text}\n`);
  show(await ask());
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, interval));
    try {
      show(await ask());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const silence = `${new Date().toISOString()}  ${error.message}`;
      if (isScreen) show(silence);
      else printError(`${silence}\n`);
    }
  }
}
