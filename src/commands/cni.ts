/** `tortie cni`: what a node's runtime needs to call Tortie. */
import type { Command } from 'commander';
import { print } from '../print.js';

export function registerCniCommand(program: Command): void {
  const cni = program.command('cni').description("the CNI plugin in a node's file system");
  cni
    .command('install')
    .description('put the plugin, and "loopback" where there is none, into the folder in which the runtime looks')
    .requiredOption('--bin-dir <dir>', 'where the runtime looks for plugins, usually /opt/cni/bin')
    .addHelpText(
      'after',
      `
The conflist is the agent's: it appears once the node can serve pods. Every file appears whole or not at all.

Exit codes: 0 all is there, 1 it cannot be written, 2 wrong options.`,
    )
    .action(async ({ binDir }: { readonly binDir: string }) => {
      const { installPlugins } = await import('../cni/install.js');
      for (const line of installPlugins(binDir)) print(`${line}\n`);
    });
}
