/** `tortie controller`: what has to be done once in a cluster. */
import type { Command } from 'commander';
import type { ControllerFlags } from '../controller/main.js';

export function registerControllerCommand(program: Command): void {
  program
    .command('controller')
    .description(
      'give Services of type LoadBalancer their addresses, and clear up after deleted nodes; several elect one',
    )
    .option('--kubeconfig <file>', "how to reach the API server (default: the pod's service account)")
    .option('--namespace <name>', 'of the Lease', process.env['POD_NAMESPACE'] ?? 'tortie-system')
    .option('--identity <name>', 'of this process, in the Lease (default: the host name and a number of its own)')
    .option('--health <address>', 'answer /livez, /readyz and /state on [ADDRESS]:PORT; none: nowhere', ':9097')
    .option(
      '--load-balancer-class <names...>',
      'values of spec.loadBalancerClass that are ours; Services without one are, too',
      ['calico', 'tortie.dev/tortie'],
    )
    .option(
      '--assign-ips <services>',
      'AllServices, or RequestedServicesOnly: those that ask for an address or pool by name',
      'AllServices',
    )
    .option('--lease-duration <seconds>', 'after which a lease that nobody renews is free', '15')
    .option('--renew-deadline <seconds>', 'after which a leader that cannot renew leads no more', '10')
    .option('--retry-period <seconds>', 'between two tries', '2')
    .option('--dry-run', 'lead nobody, write nothing, and say what would be written')
    .option('--log-format <format>', 'json or text')
    .option('--log-level <level>', 'trace, debug, info, warn or error')
    .addHelpText(
      'after',
      `
Addresses come from IPPools with allowedUses: [LoadBalancer]. A Service asks by spec.loadBalancerIP, by Calico's annotations
(projectcalico.org/loadBalancerIPs, ipv4pools, ipv6pools) or MetalLB's (metallb.io/loadBalancerIPs, address-pool, allow-shared-ip); why it
waits stands in its events and in its condition tortie.dev/LoadBalancerAddress.

Exit codes: 0 stopped by a signal, 1 cannot start, 2 wrong options.`,
    )
    .action(async (flags: ControllerFlags) => {
      const { runController } = await import('../controller/main.js');
      await runController(flags);
    });
}
