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
  migrate
    .command('flannel')
    .description("read flannel's configuration and the nodes' podCIDRs, and say what becomes of them")
    .option('--kubeconfig <file>', 'the cluster (default: $KUBECONFIG)')
    .option('--print', 'print the pool, and blocks with their owners; nothing is written to the cluster')
    .addHelpText(
      'after',
      `
Reads only. Each node's podCIDR becomes its block, so that routes of both networks lead to the same node; the nodes are not handed
over by this command. It says what pods of the two reach meanwhile.

Exit codes: 0 all is said, 1 the cluster does not answer or has no flannel, 2 wrong options.`,
    )
    .action(async (flags: MigrateFlags) => {
      const { migrateFlannelText } = await import('../migrate/report.js');
      print(await migrateFlannelText(flags));
    });
}
