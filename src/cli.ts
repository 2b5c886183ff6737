#!/usr/bin/env node
/**
 * `tortie`: one program, one subcommand per process or question. Only the module of the subcommand that was asked for is
 * loaded, so that `tortie bgp summary` does not pay for a Kubernetes client.
 *
 * Exit codes: 0 done; 1 the answer is no, or the work failed; 2 the command line is wrong.
 */
import { Command, CommanderError } from 'commander';
import { UserError } from './errors.js';
import { VERSION } from './version.js';
import { printError } from './print.js';

interface Area {
  readonly name: string;
  readonly load: () => Promise<(program: Command) => void>;
}

const areas: readonly Area[] = [
  { name: 'agent', load: async () => (await import('./commands/agent.js')).registerAgentCommand },
  { name: 'controller', load: async () => (await import('./commands/controller.js')).registerControllerCommand },
  { name: 'bgpd', load: async () => (await import('./commands/bgpd.js')).registerBgpdCommand },
  { name: 'bgp', load: async () => (await import('./commands/bgp.js')).registerBgpCommand },
  { name: 'install', load: async () => (await import('./commands/install.js')).registerInstallCommand },
  { name: 'uninstall', load: async () => (await import('./commands/uninstall.js')).registerUninstallCommand },
  { name: 'migrate', load: async () => (await import('./commands/migrate.js')).registerMigrateCommand },
  { name: 'doctor', load: async () => (await import('./commands/doctor.js')).registerDoctorCommand },
  { name: 'tor-config', load: async () => (await import('./commands/tor-config.js')).registerTorConfigCommand },
  { name: 'tor-verify', load: async () => (await import('./commands/tor-verify.js')).registerTorVerifyCommand },
  { name: 'node', load: async () => (await import('./commands/node.js')).registerNodeCommand },
  { name: 'drain', load: async () => (await import('./commands/drain.js')).registerDrainCommand },
  { name: 'connectivity', load: async () => (await import('./commands/connectivity.js')).registerConnectivityCommand },
  { name: 'cni', load: async () => (await import('./commands/cni.js')).registerCniCommand },
  { name: 'service', load: async () => (await import('./commands/service.js')).registerServiceCommand },
  { name: 'apply', load: async () => (await import('./commands/objects.js')).registerApplyCommand },
  { name: 'get', load: async () => (await import('./commands/objects.js')).registerGetCommand },
  { name: 'delete', load: async () => (await import('./commands/objects.js')).registerDeleteCommand },
  { name: 'change', load: async () => (await import('./commands/change.js')).registerChangeCommand },
  { name: 'confirm', load: async () => (await import('./commands/change.js')).registerConfirmCommand },
  { name: 'workload', load: async () => (await import('./commands/workload.js')).registerWorkloadCommand },
  { name: 'policy', load: async () => (await import('./commands/policy.js')).registerPolicyCommand },
  { name: 'flows', load: async () => (await import('./commands/flows.js')).registerFlowsCommand },
  { name: 'ipam', load: async () => (await import('./commands/ipam.js')).registerIpamCommand },
  { name: 'plan', load: async () => (await import('./commands/plan.js')).registerPlanCommand },
  { name: 'history', load: async () => (await import('./commands/history.js')).registerHistoryCommand },
  { name: 'trace', load: async () => (await import('./commands/trace.js')).registerTraceCommand },
  { name: 'cases', load: async () => (await import('./commands/cases.js')).registerCasesCommand },
  { name: 'lab', load: async () => (await import('./commands/lab.js')).registerLabCommand },
];

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('tortie')
    .description('A BGP-routed underlay network for Kubernetes')
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(add --help for usage)');
  const asked = areas.filter((area) => area.name === argv[0]);
  for (const area of asked.length > 0 ? asked : areas) {
    const register = await area.load();
    register(program);
  }
  for (const command of everyCommand(program)) command.exitOverride();
  await program.parseAsync(argv, { from: 'user' });
}

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];

// `tortie bgp routes | head` closes the pipe early: nobody listens any more to what is left to say.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else if (error instanceof UserError) {
    printError(`${error.message}\n`);
    process.exitCode = error.exitCode;
  } else {
    printError(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  }
});
