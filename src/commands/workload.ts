/** `tortie workload add` and `delete`: a network namespace of this host becomes a pod of the fleet, without Kubernetes. */
import type { Command } from 'commander';
import { UserError } from '../errors.js';
import { print } from '../print.js';
import { datastoreOption, withDatastore, type DatastoreFlags } from './datastore-option.js';

interface WorkloadFlags extends DatastoreFlags {
  readonly namespace: string;
  readonly node?: string;
  readonly runDir: string;
}

interface AddFlags extends WorkloadFlags {
  readonly netns: string;
  readonly label?: readonly string[];
  readonly annotation?: readonly string[];
  readonly interface: string;
  readonly output: 'text' | 'json';
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerWorkloadCommand(program: Command): void {
  const workload = program
    .command('workload')
    .description('network namespaces of this host as pods, for hosts without Kubernetes')
    .addHelpText(
      'after',
      `
A workload is a Pod object in the datastore, so policies select it by its labels, on every node; the agent of this host gives it
addresses, an interface and routes, as it does for pods of Kubernetes.

  ip netns add web
  tortie workload add web --netns /run/netns/web --label app=web
  tortie workload delete web`,
    );
  common(workload.command('add'))
    .description('connect a network namespace; prints its addresses, one a line. Again: the same addresses')
    .argument('<name>', 'of the workload: lower case letters, digits, "-" and "."')
    .requiredOption('--netns <path>', 'such as /run/netns/web or /proc/PID/ns/net')
    .option('--label <key=value>', 'for policies and selectors; may be repeated', many)
    .option('--annotation <key=value>', 'such as cni.projectcalico.org/ipv4pools=["blue"]; may be repeated', many)
    .option('--interface <name>', 'what it is called inside', 'eth0')
    .option('-o, --output <format>', 'text or json', 'text')
    .action((name: string, flags: AddFlags) => withDatastore(flags, (opened) => add(opened, name, flags)));
  common(workload.command('delete'))
    .description('disconnect it: its interface and addresses go, then its object')
    .argument('<name>')
    .action((name: string, flags: WorkloadFlags) => withDatastore(flags, (opened) => remove(opened, name, flags)));
}

const common = (command: Command): Command =>
  datastoreOption(command)
    .option('-n, --namespace <name>', 'of the workload; made if there is none', 'default')
    .option('--node <name>', 'this node (default: $NODE_NAME, else the host name)')
    .option('--run-dir <dir>', "the agent's sockets", process.env['TORTIE_RUN_DIR'] ?? '/run/tortie');

type Opened = Parameters<Parameters<typeof withDatastore>[1]>[0];

async function targetOf({ isKubernetes }: Opened, { node, runDir }: WorkloadFlags) {
  if (isKubernetes)
    throw new UserError(
      'Cannot use workloads with kubernetes:, where the kubelet says which pods there are; expected another --datastore',
      2,
    );
  const { hostname } = await import('node:os');
  const { join } = await import('node:path');
  const { nodeNameOf } = await import('../agent/node-name.js');
  return { node: node ?? process.env['NODE_NAME'] ?? nodeNameOf(hostname()), socketPath: join(runDir, 'agent.sock') };
}

async function add(opened: Opened, name: string, flags: AddFlags): Promise<void> {
  const { addWorkload } = await import('../objects/workload.js');
  const addresses = await addWorkload(opened.store, {
    ...(await targetOf(opened, flags)),
    name,
    namespace: flags.namespace,
    netns: flags.netns,
    interfaceName: flags.interface,
    labels: pairs('--label', flags.label),
    annotations: pairs('--annotation', flags.annotation),
  });
  print(
    flags.output === 'json' ? `${JSON.stringify({ name, namespace: flags.namespace, addresses })}\n` : lines(addresses),
  );
}

async function remove(opened: Opened, name: string, flags: WorkloadFlags): Promise<void> {
  const { removeWorkload } = await import('../objects/workload.js');
  await removeWorkload(opened.store, { ...(await targetOf(opened, flags)), name, namespace: flags.namespace });
}

const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

function pairs(option: string, texts: readonly string[] = []): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf('=');
      if (equals <= 0) throw new UserError(`Cannot use ${option} "${text}": expected KEY=VALUE`, 2);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}
