/** `tortie cases`: runs a file of reachability cases against the engine or the kernel. */
import type { Command } from 'commander';
import type { RunOptions } from '../cases/run.js';

export function registerCasesCommand(program: Command): void {
  program
    .command('cases')
    .description(
      'run a file of NetworkPolicy cases (schema netpol-acceptance/v1); exits 1 if any cell comes out otherwise',
    )
    .argument('<file>', 'the cases, JSON')
    .option('--engine', 'ask the policy engine for every cell (the default)')
    .option('--kernel', 'build the world in network namespaces and send a packet for every cell (root)')
    .option('--filter <regexp>', 'only cases and validation objects whose id or title matches')
    .option('--family <4|6>', 'only cells of one address family')
    .option('--backend <name>', 'with --kernel: auto, legacy, nft (both iptables) or nftables', 'auto')
    .option('-o, --output <format>', 'text or json', 'text')
    .action(async (file: string, options: RunOptions) => {
      const { runCases } = await import('../cases/run.js');
      process.exitCode = (await runCases(file, options)) ? 0 : 1;
    });
}
