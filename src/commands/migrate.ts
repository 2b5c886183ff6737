/** `tortie migrate`: from another network to this one. */
import type { Command } from 'commander';
import type { MigrateFlags } from '../migrate/report.js';
import { print } from '../print.js';

export function registerMigrateCommand(program: Command): void {
  const migrate = program.command('migrate').description("what becomes of another network's resources");
  migrate
    .command('calico')
    .description("read Calico's resources, in either of its API groups, and say what of them will act")
    .option('--kubeconfig <file>', 'the cluster (default: $KUBECONFIG)')
    .option('--print', 'print them as Tortie takes them, blocks with their owners; nothing is written to the cluster')
    .addHelpText(
      'after',
      `
Reads only. Pods keep their addresses where their node keeps its blocks; the nodes are not handed over by this command.

Exit codes: 0 all is said, 1 the cluster does not answer, 2 wrong options.`,
    )
    .action(async (flags: MigrateFlags) => {
      const { migrateCalicoText } = await import('../migrate/report.js');
      print(await migrateCalicoText(flags));
    });
}
