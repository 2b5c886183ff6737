/** `tortie agent`: the daemon that gives this node's pods their network. */
import type { Command } from 'commander';
import type { AgentFlags } from '../agent/main.js';
import { DATASTORE } from './datastore-option.js';

export function registerAgentCommand(program: Command): void {
  program
    .command('agent')
    .description("give this node's pods their addresses, interfaces, routes and policy")
    .option('--node <name>', 'this node, as the API server calls it (default: $NODE_NAME, else the host name)')
    .option('--kubeconfig <file>', "how to reach the API server (default: the pod's service account)")
    .option('--datastore <url>', DATASTORE, process.env['TORTIE_DATASTORE'] ?? 'kubernetes:')
    .option(
      '--node-address <addresses>',
      'without Kubernetes: where other nodes reach this one, one a family, as 192.0.2.1,2001:db8::1 (default: where its default ' +
        'routes leave from)',
      process.env['TORTIE_NODE_ADDRESS'],
    )
    .option('--run-dir <dir>', 'sockets', process.env['TORTIE_RUN_DIR'] ?? '/run/tortie')
    .option('--state-dir <dir>', 'the address journal', process.env['TORTIE_STATE_DIR'] ?? '/var/lib/tortie')
    .option(
      '--namespace <name>',
      'namespace of the secrets with BGP passwords',
      process.env['POD_NAMESPACE'] ?? 'tortie-system',
    )
    .option(
      '--cni-conf-dir <dir>',
      'write 10-tortie.conflist here once the node can serve pods',
      process.env['TORTIE_CNI_CONF_DIR'],
    )
    .option(
      '--cni-bin-dir <dir>',
      'install the CNI plugin here (default: whoever starts the agent has, by `tortie cni install`)',
    )
    .option(
      '--cni-version <version>',
      'of the conflist; auto: 1.1.0 where the node says that its runtime speaks it, else 1.0.0',
      'auto',
    )
    .option(
      '--mtu <octets>',
      "of pods' interfaces; auto: the least of the links that the default routes leave by",
      'auto',
    )
    .option(
      '--ip-source <source>',
      "of pods that ask for no pool: pools (IPPools), or node-cidrs: this node's spec.podCIDRs",
      process.env['TORTIE_IP_SOURCE'] ?? 'pools',
    )
    .option(
      '--ip-addrs-no-ipam <verdict>',
      'refuse or accept cni.projectcalico.org/ipAddrsNoIpam: addresses of which nobody keeps account',
      process.env['TORTIE_IP_ADDRS_NO_IPAM'] ?? 'refuse',
    )
    .option(
      '--policy-backend <backend>',
      'auto; legacy or nft (iptables of that kind); nftables (a table of our own)',
      'auto',
    )
    .option(
      '--services <whose>',
      'serve Services: on, off, or auto: only while no kube-proxy is on this node',
      process.env['TORTIE_SERVICES'] ?? 'auto',
    )
    .option('--service-backend <backend>', 'auto: where policy is written', 'auto')
    .option(
      '--service-health-address <address>',
      "where load balancers ask for this node's health, as they ask kube-proxy",
      process.env['TORTIE_SERVICE_HEALTH_ADDRESS'] ?? ':10256',
    )
    .option(
      '--service-metrics-address <address>',
      "kube-proxy's /metrics and /proxyMode",
      process.env['TORTIE_SERVICE_METRICS_ADDRESS'] ?? '127.0.0.1:10249',
    )
    .option('--service-masquerade-all', 'what goes through a cluster IP has the source address of the node')
    .option(
      '--node-port-addresses <cidrs>',
      'local addresses that NodePorts are served on, or primary: those of the Node object (default: all)',
      process.env['TORTIE_NODE_PORT_ADDRESSES'],
    )
    .option(
      '--host-etc-dir <dir>',
      "the host's /etc: tell NetworkManager and systemd-networkd to leave our interfaces alone",
    )
    .option('--pod-tunnels <verdict>', 'drop or accept VXLAN and IP-in-IP packets from pods to nodes', 'drop')
    .option(
      '--pod-bgp <verdict>',
      'drop or accept what pods send to the BGP and BFD ports of nodes, where they are no peers',
      process.env['TORTIE_POD_BGP'] ?? 'drop',
    )
    .option(
      '--pod-connections <number>',
      'that each address of a pod may have opened at a time; the next ones are dropped',
      process.env['TORTIE_POD_CONNECTIONS'] ?? 'unlimited',
    )
    .option(
      '--pod-to-host <action>',
      "what a pod sends to its own node once egress policy allows it: accept, drop, or return to the host's own rules",
      process.env['TORTIE_POD_TO_HOST'] ?? 'accept',
    )
    .option(
      '--flows <on|off>',
      'record what connections its pods have, and what policy denies them (tortie flows)',
      process.env['TORTIE_FLOWS'] ?? 'off',
    )
    .option('--flow-days <days>', 'how long flows are kept in <state-dir>', process.env['TORTIE_FLOW_DAYS'] ?? '7')
    .option('--flow-size <MiB>', 'how much of them at most', process.env['TORTIE_FLOW_SIZE'] ?? '256')
    .option('--nat-port-range <first:last>', 'source ports for natOutgoing', process.env['TORTIE_NAT_PORT_RANGE'])
    .option(
      '--nat-outgoing-interface <name>',
      'natOutgoing only for what leaves by it; a trailing "+" takes all that begin so',
      process.env['TORTIE_NAT_OUTGOING_INTERFACE'],
    )
    .option(
      '--nat-outgoing-address <addresses>',
      'what natOutgoing translates to, one of a family, as 192.0.2.1,2001:db8::1 (default: the address of the interface)',
      process.env['TORTIE_NAT_OUTGOING_ADDRESS'],
    )
    .option(
      '--failsafe-inbound <ports>',
      'that no policy of a host endpoint closes, as tcp:22,udp:68, or none (default: as docs/policy.md lists)',
      process.env['TORTIE_FAILSAFE_INBOUND'],
    )
    .option('--failsafe-outbound <ports>', 'the same for what the host opens', process.env['TORTIE_FAILSAFE_OUTBOUND'])
    .option(
      '--drain-wait <seconds>',
      'of a node that is taken out of service: between marking addresses of Services and withdrawing them',
      process.env['TORTIE_DRAIN_WAIT'] ?? '10',
    )
    .option(
      '--drain-floor <nodes>',
      'that have to tell an address of a Service before this node, taken out of service, withdraws it',
      process.env['TORTIE_DRAIN_FLOOR'] ?? '1',
    )
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
The agent watches the API server and answers the CNI plugin on <run-dir>/agent.sock. It tells bgpd, on <run-dir>/bgpd.sock, what to
advertise. What an operator writes into 10-tortie.conflist (chained plugins, mtu, cniVersion) stays. Stopping the agent leaves every
packet as it is; a new one takes over from the journal.

Exit codes: 0 stopped by a signal, 1 cannot start, 2 wrong options.`,
    )
    .action(async (flags: AgentFlags) => {
      const { runAgent } = await import('../agent/main.js');
      await runAgent(flags);
    });
}
