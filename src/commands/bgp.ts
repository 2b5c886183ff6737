/** `tortie bgp ...`: questions to a running bgpd, and `clear`. */
import { Option, type Command } from 'commander';
import { comparePrefixes, parsePrefix } from 'node-bgp/address';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { BgpdClient } from '../bgpd/client.js';
import type { RouteJson, WhyJson } from '../bgpd/route-view.js';
import { formatHistory, type HistoryLine } from '../bgpd/show/history-text.js';
import { formatNeighbor } from '../bgpd/show/neighbor-text.js';
import { formatRouteDetails, formatRoutes, formatWhy } from '../bgpd/show/route-text.js';
import { formatSummary, type SummaryAnswer } from '../bgpd/show/summary-text.js';
import { UserError } from '../errors.js';

interface ShowFlags {
  readonly runDir: string;
  readonly output: 'table' | 'json';
  /** Seconds; true: one. */
  readonly watch?: string | true;
}

interface RouteFlags extends ShowFlags {
  readonly received?: string;
  readonly advertised?: string;
  readonly family?: string;
  readonly beforePolicy?: boolean;
}

export function registerBgpCommand(program: Command): void {
  const bgp = program.command('bgp').description('ask a running bgpd about sessions and routes');
  const show = (command: Command): Command => socketOption(command)
    .addOption(new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table'))
    .option('-w, --watch [seconds]', 'again and again, until Ctrl-C');

  show(bgp.command('summary')).description('all sessions at a glance')
    .action((flags: ShowFlags) => present(flags, (client) => client.get<SummaryAnswer>('/v1/summary'), formatSummary));
  show(bgp.command('neighbor [peer]')).description('everything about a session, or about all')
    .action((peer: string | undefined, flags: ShowFlags) => present(flags, (client) => neighborsOf(client, peer), (peers) => peers.map(formatNeighbor).join('\n\n')));
  show(bgp.command('routes [prefix]')).description('the routing table, or one prefix or address of it')
    .option('--received <peer>', 'what a peer has sent us, after import filters')
    .option('--before-policy', 'with --received: as it came')
    .option('--advertised <peer>', 'what we send a peer')
    .addOption(new Option('--family <family>', 'only this one').choices(['ipv4', 'ipv6']))
    .action((prefix: string | undefined, flags: RouteFlags) => present(flags, (client) => routesOf(client, prefix, flags),
      (routes) => (prefix === undefined ? formatRoutes(routes) : routes.length === 0 ? `No route to ${prefix}` : formatRouteDetails(routes))));
  show(bgp.command('why <prefix>')).description('all candidates for a prefix, which step decided, and who hears of it')
    .action((prefix: string, flags: ShowFlags) => present(flags, (client) => client.get<WhyJson>('/v1/why', { prefix }), formatWhy));
  show(bgp.command('history [peer]')).description('what happened, oldest first')
    .action((peer: string | undefined, flags: ShowFlags) => present(flags,
      async (client) => (await client.get<{ readonly events: readonly HistoryLine[] }>('/v1/history', { peer })).events, formatHistory));
  socketOption(bgp.command('clear <peer>')).description('reset a session; lifts a hold after too many prefixes')
    .option('--soft', 'keep the session, only ask for and send all routes again')
    .action(async (peer: string, flags: { readonly runDir: string; readonly soft?: boolean }) => {
      await new BgpdClient(flags.runDir).post('/v1/clear', { peer, soft: flags.soft === true });
      process.stdout.write(`${peer}: ${flags.soft === true ? 'routes are exchanged again' : 'session was reset'}\n`);
    });
}

const socketOption = (command: Command): Command =>
  command.option('--run-dir <dir>', 'where bgpd.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie');

async function neighborsOf(client: BgpdClient, peer: string | undefined): Promise<readonly PeerDetail[]> {
  if (peer !== undefined) return [await client.get<PeerDetail>(`/v1/neighbors/${encodeURIComponent(peer)}`)];
  return (await client.get<{ readonly neighbors: readonly PeerDetail[] }>('/v1/neighbors')).neighbors;
}

async function routesOf(client: BgpdClient, prefix: string | undefined, flags: RouteFlags): Promise<readonly RouteJson[]> {
  if (flags.received !== undefined && flags.advertised !== undefined) throw new UserError('Cannot show routes: give --received or --advertised, not both', 2);
  const { received, advertised, family } = flags;
  const policy = flags.beforePolicy === true ? 'before' : undefined;
  const { routes } = await client.get<{ readonly routes: readonly RouteJson[] }>('/v1/routes', { prefix, received, advertised, family, policy });
  return sortByPrefix(routes);
}

/** The daemon's tables are hashed; people read them in order. Paths of one prefix stay in theirs, best first. */
function sortByPrefix(routes: readonly RouteJson[]): readonly RouteJson[] {
  const keyed = routes.map((route) => ({ route, prefix: parsePrefix(route.prefix) }));
  return keyed.sort((a, b) => comparePrefixes(a.prefix, b.prefix)).map(({ route }) => route);
}

async function present<T>(flags: ShowFlags, ask: (client: BgpdClient) => Promise<T>, format: (answer: T) => string): Promise<void> {
  const client = new BgpdClient(flags.runDir);
  const seconds = flags.watch === undefined ? undefined : flags.watch === true ? 1 : Number(flags.watch);
  if (seconds !== undefined && !(seconds > 0)) throw new UserError(`Cannot watch every "${String(flags.watch)}" seconds: expected a number above 0`, 2);
  for (;;) {
    const answer = await ask(client);
    const text = flags.output === 'json' ? JSON.stringify(answer, undefined, 2) : format(answer);
    // Clear the screen only where there is one: output that is piped stays a log.
    const clear = seconds !== undefined && flags.output === 'table' && process.stdout.isTTY ? '\x1b[H\x1b[2J' : '';
    process.stdout.write(`${clear}${text}\n`);
    if (seconds === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}
