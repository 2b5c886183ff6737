/** `tortie doctor`: what is wrong with this node and this cluster, with evidence and remedy. */
import { Option, type Command } from 'commander';
import { CHECKS } from '../doctor/finding.js';
import { print } from '../print.js';

interface DoctorFlags {
  readonly node?: string;
  readonly netns?: string;
  readonly kubeconfig?: string;
  readonly runDir: string;
  readonly hostRoot?: string;
  readonly cniConfDir: string;
  readonly ignore?: readonly string[];
  readonly guards?: boolean;
  readonly output: 'text' | 'json';
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('what is wrong with this node and this cluster, with evidence and remedy; changes nothing')
    .option('--node <name>', 'which Node this machine is (default: NODE_NAME or the host name, where Tortie runs)')
    .option('--netns <path>', "the node's network namespace (default: this process' own)")
    .option('--kubeconfig <file>', "how to reach the API server (default: KUBECONFIG, else the pod's service account)")
    .option('--run-dir <dir>', 'where bgpd.sock is', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie')
    .option(
      '--host-root <dir>',
      "where the host's files are: / on the host itself; in a container they are not looked at",
    )
    .option(
      '--cni-conf-dir <dir>',
      'where the container runtime reads network configurations',
      process.env['TORTIE_CNI_CONF_DIR'] ?? '/etc/cni/net.d',
    )
    .option('--ignore <check>', 'leave findings of this check out; may be repeated', many)
    .option(
      '--guards',
      'instead: what keeps a mistake small in this cluster, whether it stands, and how it is switched',
    )
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
Examples:
  tortie doctor --host-root /                                   # on a node: the machine and the cluster
  tortie doctor --kubeconfig admin.conf                         # from anywhere: the cluster alone
  kubectl exec -n tortie-system POD -c agent -- tortie doctor   # a node, from anywhere
  tortie doctor -o json | jq '.findings[] | select(.severity == "error")'

Checks:
${Object.entries(CHECKS)
  .map(([name, what]) => `  ${name.padEnd(20)} ${what}`)
  .join('\n')}

Links, addresses and routes are read with another library than the one that writes them. What looks wrong for a moment only
(sessions, routes to pods) is looked at twice, three seconds apart.

Exit codes: 0 nothing is wrong (notes apart), 1 errors or warnings, or nothing could be looked at, 2 wrong options.`,
    )
    .action(async ({ ignore = [], output, guards = false, ...flags }: DoctorFlags) => {
      if (guards) return showGuards(flags.kubeconfig ?? process.env['KUBECONFIG'], output);
      const { diagnose } = await import('../doctor/doctor.js');
      const { checkNames, formatFindings, isWell } = await import('../doctor/report.js');
      const kubeconfig = flags.kubeconfig ?? process.env['KUBECONFIG'];
      const { looked, findings } = await diagnose({
        ...flags,
        ignored: checkNames(ignore),
        ...(kubeconfig === undefined ? {} : { kubeconfig }),
      });
      print(
        output === 'json'
          ? `${JSON.stringify({ looked, findings }, undefined, 2)}\n`
          : `${formatFindings(findings, looked)}\n`,
      );
      process.exitCode = isWell(findings) ? 0 : 1;
    });
}

async function showGuards(kubeconfig: string | undefined, output: DoctorFlags['output']): Promise<void> {
  const { formatGuards, standingGuards } = await import('../doctor/guards.js');
  const { readGuardFacts } = await import('../doctor/read-guards.js');
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const { messageOf, UserError } = await import('../errors.js');
  const client = KubernetesClient.load(kubeconfig);
  const facts = await readGuardFacts(client).catch((error: unknown) => {
    throw new UserError(`Cannot look at guards: ${messageOf(error)}`, 1, { cause: error });
  });
  const found = standingGuards(facts);
  print(`${output === 'json' ? JSON.stringify(found, undefined, 2) : formatGuards(found)}\n`);
}
