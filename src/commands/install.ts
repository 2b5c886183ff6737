/** `tortie install`: what to apply to a cluster, so that it runs Tortie. */
import type { Command } from 'commander';
import { print } from '../print.js';
import type { InstallFlags } from '../install/print.js';

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerInstallCommand(program: Command): void {
  program
    .command('install')
    .description('print the manifests for a cluster, after a look at it; or write the Helm chart')
    .option('--print', 'print them; nothing is written to the cluster')
    .option(
      '--chart <dir>',
      'write the Helm chart into this folder, which must not be there; no other option goes with it',
    )
    .option('--kubeconfig <file>', 'the cluster to look at (default: $KUBECONFIG)')
    .option('--pod-cidr <cidr>', "addresses of pods; once a family (default: as kubeadm's configuration says)", collect)
    .option('--as-number <as>', 'of all nodes', '64512')
    .option(
      '--peer <address=as>',
      'a router that every node peers with; may be repeated (default: the nodes, with one another)',
      collect,
    )
    .option('--image <name:tag>', 'instead of the image of this version')
    .option('--api-server <host:port>', 'where agents find it when no kube-proxy leads there')
    .option('--kubernetes <version>', 'look at no cluster: print for this version, such as 1.27')
    .addHelpText(
      'after',
      `
    tortie install --print --peer 192.0.2.1=65001 --peer 192.0.2.2=65001 | kubectl apply --server-side -f -

    tortie install --chart ./tortie && helm install tortie ./tortie --values cluster.yaml

Definitions take a moment to count: if kubectl does not know IPPool yet, say it again.

Exit codes: 0 printed, 1 the cluster does not answer or nothing says what pods' addresses are, 2 wrong options.`,
    )
    .action(async (flags: InstallFlags, command: Command) => {
      if (flags.chart !== undefined) {
        const { writeChart } = await import('../install/write-chart.js');
        return print(writeChart(flags.chart, givenBeside(command, 'chart')));
      }
      const { installText } = await import('../install/print.js');
      print(await installText(flags));
    });
}

/** Options that were given, as they are written. */
const givenBeside = (command: Command, but: string): readonly string[] =>
  command.options
    .filter(
      (option) => option.attributeName() !== but && command.getOptionValueSource(option.attributeName()) === 'cli',
    )
    .map(({ long }) => long ?? '');
