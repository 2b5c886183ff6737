/** `tortie tor-config`: the router's side of the peerings, as text for its configuration. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import { print } from '../print.js';
import { VENDOR_NAMES, type Vendor } from '../tor/vendors.js';

interface TorConfigFlags {
  readonly vendor: Vendor;
  readonly as?: string;
  readonly address?: readonly string[];
  readonly range?: readonly string[];
  readonly advertise: 'pods' | 'all';
  readonly showPasswords?: boolean;
  readonly filename?: readonly string[];
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly output: 'text' | 'json';
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerTorConfigCommand(program: Command): void {
  program
    .command('tor-config')
    .description("print a router's side of the peerings, from the cluster's resources; changes nothing")
    .addOption(new Option('--vendor <vendor>', 'whose router').choices(VENDOR_NAMES).makeOptionMandatory())
    .option('--as <number>', "the router's AS (default: the one that all sessions lead to)")
    .option(
      '--address <address>',
      'an address of the router; may be repeated (default: all that sessions lead to)',
      many,
    )
    .option('--range <cidr>', 'where nodes connect from whose addresses are not known; may be repeated', many)
    .addOption(
      new Option('--advertise <what>', "to nodes: the default route and the cluster's own prefixes, or everything")
        .choices(['pods', 'all'])
        .default('pods'),
    )
    .option('--show-passwords', 'print TCP-MD5 keys, not SECRET-NAME-KEY in their place')
    .option('-f, --filename <file>', 'objects instead of the live cluster, - for standard input; may be repeated', many)
    .option('--kubeconfig <file>', 'which cluster (default: KUBECONFIG)')
    .option('--namespace <name>', 'of the secrets with passwords', 'tortie-system')
    .addOption(
      new Option('-o, --output <format>', 'text for the router, or the plan as json')
        .choices(['text', 'json'])
        .default('text'),
    )
    .addHelpText(
      'after',
      `
Examples:
  tortie tor-config --vendor frr --as 65001 > tor1.conf
  tortie tor-config --vendor bird --address 10.1.1.254 --address 2001:db8::254
  tortie tor-config --vendor eos --range 10.1.1.0/24 -f peers.yaml -f nodes.json
  kubectl get nodes,ippools,bgppeers,bgpconfigurations,nodestatuses -o json | tortie tor-config --vendor junos -f -

The router takes from nodes what IPPools, service ranges and Nodes say, and nothing else; it tells them its default route and the same
prefixes of other nodes. Where several nodes have one AS and do not accept it (numAllowedLocalASNumbers), it replaces it.
FRR and BIRD are tried with real daemons; the others are written after their manuals (docs/peering).

Exit codes: 0 printed, 1 there is no such session or a node's address is not known, 2 wrong options.`,
    )
    .action(async (flags: TorConfigFlags) => {
      const { placeholder, planOf } = await import('../tor/plan.js');
      const { VENDORS } = await import('../tor/vendors.js');
      const { selectorMatches } = await import('../agent/node-selector.js');
      const { objects, secrets } = await source(flags);
      const as = flags.as === undefined ? undefined : asNumberOf(flags.as);
      const plan = planOf(
        objects,
        {
          addresses: flags.address ?? [],
          ranges: flags.range ?? [],
          advertise: flags.advertise,
          ...(as === undefined ? {} : { as }),
        },
        flags.showPasswords === true ? await secrets() : placeholder,
        selectorMatches,
      );
      print(flags.output === 'json' ? `${JSON.stringify(plan, undefined, 2)}\n` : VENDORS[flags.vendor](plan));
    });
}

function asNumberOf(text: string): number {
  const as = Number(text);
  if (Number.isInteger(as) && as > 0 && as < 2 ** 32) return as;
  throw new UserError(`Cannot use --as "${text}": expected a number from 1 to 4294967295`, 2);
}

async function source({ filename, kubeconfig, namespace }: TorConfigFlags) {
  const { readTorCluster, readTorFiles } = await import('../tor/read.js');
  if (filename !== undefined) return await readTorFiles(filename, process.stdin, namespace);
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const { KubernetesDatastore } = await import('../datastore/kubernetes-datastore.js');
  return await readTorCluster(
    new KubernetesDatastore(KubernetesClient.load(kubeconfig ?? process.env['KUBECONFIG'])),
    namespace,
  );
}
