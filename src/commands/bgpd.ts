/** `tortie bgpd`: the routing daemon. */
import type { Command } from 'commander';
import type { BgpdFlags } from '../bgpd/main.js';

export function registerBgpdCommand(program: Command): void {
  program
    .command('bgpd')
    .description('speak BGP: tell peers our prefixes, learn theirs, write them into the kernel')
    .option(
      '--config <file>',
      'YAML or JSON; read again on SIGHUP (default: the last configuration given over the socket)',
    )
    .option('--check', 'only check the file, and say which sessions of a running bgpd it would reset')
    .option('--schema', 'print the JSON Schema of the configuration')
    .option('--run-dir <dir>', 'where bgpd.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie')
    .option('--state-dir <dir>', 'what survives a restart', process.env['TORTIE_STATE_DIR'] ?? '/var/lib/tortie')
    .option('--graceful-stop', 'on SIGTERM leave routes and peers as they are, for the process that follows')
    .option(
      '--health-address <address:port>',
      'answer /livez and /readyz there over HTTP',
      process.env['TORTIE_HEALTH_ADDRESS'],
    )
    .option('--log-format <format>', 'json or text')
    .option('--log-level <level>', 'trace, debug, info, warn or error')
    .addHelpText(
      'after',
      `
Without Kubernetes all it needs is a file:

    localAs: 64512
    routerId: 10.0.0.1
    installRoutes: true
    peers:
      - address: 192.0.2.1
        remoteAs: 65001
    originate:
      - prefix: 10.65.0.0/26

Port 179 and routes in the kernel need root (CAP_NET_BIND_SERVICE, CAP_NET_ADMIN); a high port and no installRoutes need nothing.

Exit codes: 0 stopped by a signal or the file is good, 1 cannot start or the file is bad, 2 wrong options.`,
    )
    .action(async (flags: BgpdFlags) => {
      const { runBgpd } = await import('../bgpd/main.js');
      await runBgpd(flags);
    });
}
