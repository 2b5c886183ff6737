/** `tortie uninstall`: every trace of Tortie out of a cluster and off its nodes, said first. */
import { Option, type Command } from 'commander';
import { messageOf, UserError } from '../errors.js';
import { print, printError } from '../print.js';
import type { UninstallPlan, UninstallResult } from '../uninstall/traces.js';

interface UninstallFlags {
  readonly yes?: boolean;
  readonly thisNode?: boolean;
  readonly kubeconfig?: string;
  readonly keepDefinitions?: boolean;
  readonly leaveNodes?: boolean;
  readonly image?: string;
  readonly timeout: string;
  readonly output: 'text' | 'json';
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly hostEtcDir: string;
}

interface Uninstallation {
  readonly plan: () => Promise<UninstallPlan>;
  readonly run: () => Promise<UninstallResult>;
}

export function registerUninstallCommand(program: Command): void {
  program
    .command('uninstall')
    .description('take every trace of Tortie out of a cluster and off its nodes; without --yes only say what that is')
    .option('--yes', 'do it')
    .option('--kubeconfig <file>', 'the cluster (default: $KUBECONFIG)')
    .option('--keep-definitions', 'leave the definitions of kinds, and with them pools, peers and policies')
    .option('--leave-nodes', 'leave what is on nodes; each is cleaned by --this-node')
    .option('--image <name:tag>', 'by which nodes are cleaned (default: the one that runs there)')
    .option('--timeout <seconds>', 'for each step', '300')
    .option('--this-node', 'the machine that this runs on, and no cluster; needs root')
    .option('--cni-conf-dir <dir>', 'with --this-node: where the conflist is', '/etc/cni/net.d')
    .option('--cni-bin-dir <dir>', 'with --this-node: where the plugins are', '/opt/cni/bin')
    .option('--run-dir <dir>', 'with --this-node: of agent and bgpd', '/run/tortie')
    .option('--state-dir <dir>', 'with --this-node: of agent and bgpd', '/var/lib/tortie')
    .option('--host-etc-dir <dir>', 'with --this-node: where files for network managers are', '/etc')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
  what would go?                tortie uninstall
  all of it                     tortie uninstall --yes
  keep pools, peers, policies   tortie uninstall --keep-definitions --yes
  a machine without a cluster   tortie uninstall --this-node --yes

Only what carries a mark of Tortie goes: label app.kubernetes.io/part-of=tortie, interfaces by alias and group, routes of protocols
171 and 172, chains TORTIE-*, sets tortie4-* and tortie6-*, nftables' table "inet tortie". Pods lose their network: drain nodes, or
bring the next network, before.

Exit codes: 0 said, or all is gone; 1 something is left, or the cluster does not answer; 2 wrong options.`,
    )
    .action(async (flags: UninstallFlags) => {
      const { plan, run } = flags.thisNode === true ? await ofNode(flags) : await ofCluster(flags);
      const { planText, resultText } = await import('../uninstall/traces.js');
      const isJson = flags.output === 'json';
      const planned = await plan();
      if (flags.yes !== true) {
        print(isJson ? `${JSON.stringify(planned, undefined, 2)}\n` : planText(planned));
        if (!isJson && planned.traces.length > 0) print('Nothing is changed; --yes does it.\n');
        return;
      }
      if (!isJson) print(planText(planned));
      if (!isJson && planned.traces.length === 0) return;
      const result = await run();
      print(isJson ? `${JSON.stringify({ ...planned, ...result }, undefined, 2)}\n` : resultText(result));
      if (result.problems.length > 0 || result.remaining.length > 0) process.exitCode = 1;
    });
}

async function ofNode(flags: UninstallFlags): Promise<Uninstallation> {
  for (const name of ['kubeconfig', 'keepDefinitions', 'leaveNodes', 'image'] as const)
    if (flags[name] !== undefined)
      throw new UserError(
        `Cannot use --${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} with --this-node`,
        2,
      );
  if (process.getuid?.() !== 0) throw new UserError('Cannot look at this node: expected to run as root');
  const { planForNode, uninstallNode } = await import('../uninstall/node.js');
  return { plan: () => planForNode(flags), run: () => uninstallNode(flags) };
}

async function ofCluster(flags: UninstallFlags): Promise<Uninstallation> {
  const seconds = Number(flags.timeout);
  if (!/^\d+$/.test(flags.timeout) || seconds < 1)
    throw new UserError(`Cannot use --timeout "${flags.timeout}": expected seconds, such as 300`, 2);
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const { planForCluster, uninstallCluster } = await import('../uninstall/cluster.js');
  const client = KubernetesClient.load(flags.kubeconfig ?? process.env['KUBECONFIG']);
  const options = {
    keepsDefinitions: flags.keepDefinitions === true,
    leavesNodes: flags.leaveNodes === true,
    timeout: seconds * 1000,
    onProgress: (sentence: string) => printError(`${sentence}\n`),
    ...(flags.image === undefined ? {} : { image: flags.image }),
  };
  const asking = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new UserError(`Cannot uninstall from the cluster at ${client.url}: ${messageOf(error)}`, 1, {
        cause: error,
      });
    }
  };
  return {
    plan: () => asking(() => planForCluster(client, options)),
    run: () => asking(() => uninstallCluster(client, options)),
  };
}
