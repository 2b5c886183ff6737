/** `tortie plan`: what a change of the cluster's objects would do, before it is made. */
import { Option, type Command } from 'commander';
import type { ObjectChange, World } from '../plan/world.js';
import { UserError } from '../errors.js';
import { print, printError } from '../print.js';

interface PlanFlags {
  readonly filename: readonly string[];
  readonly delete?: boolean;
  readonly objects: readonly string[];
  readonly live?: boolean;
  readonly kubeconfig?: string;
  readonly label: readonly string[];
  readonly cordon: readonly string[];
  readonly removeNode: readonly string[];
  readonly namespace: string;
  readonly output: 'text' | 'json';
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerPlanCommand(program: Command): void {
  program
    .command('plan')
    .description('what a change of objects would do to sessions, routes, pools, policy and Services, before it is made')
    .option(
      '-f, --filename <file>',
      'the objects as kubectl apply -f takes them, - for standard input; may be repeated',
      many,
      [],
    )
    .option('--delete', 'the objects of -f go instead of coming')
    .option(
      '--label <words...>',
      'NODE KEY=VALUE, or NODE KEY- to take a label away; may be repeated',
      (word, before: readonly string[] = []) => [...before, word],
      [],
    )
    .option('--cordon <node>', 'as kubectl cordon; may be repeated', many, [])
    .option('--remove-node <node>', 'the Node goes, with its pods and blocks; may be repeated', many, [])
    .addOption(new Option('--live', 'before the change: the live cluster (the default)').conflicts('objects'))
    .option(
      '--objects <file>',
      'before the change: a snapshot, as kubectl get -o json or yaml prints it; may be repeated',
      many,
      [],
    )
    .option('--kubeconfig <file>', 'which cluster (default: KUBECONFIG)')
    .option('--namespace <name>', 'where agents look for BGP passwords', 'tortie-system')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
Exit code: 0 nothing changes, 2 something does, 3 a guard would stop it, 1 the plan could not be made.

  cut      something is reached no more, or told to nobody: what a guard stops
  loss     part of what stands goes, and other ways are left
  refused  the change asks for it, and it will not be done
  change   it is another way afterwards
  gain     it comes

  tortie plan -f peer.yaml                     what would this peer do?
  tortie plan -f peer.yaml --delete            and without it?
  tortie plan --label node3 rack-              a label goes: who loses a session?
  tortie plan --remove-node node3
  tortie plan -f peer.yaml --objects all.json  without a cluster, from
      kubectl get nodes,pods,services,endpointslices,bgppeers,bgpconfigurations,bgpfilters,ippools,ipamblocks -A -o json`,
    )
    .action(plan);
}

async function plan(flags: PlanFlags): Promise<void> {
  const { planOf } = await import('../plan/plan.js');
  const { exitCodeOf, formatFindings } = await import('../plan/finding.js');
  const world = await worldBefore(flags);
  const changes = await changesOf(world, flags);
  const findings = planOf(world, changes, { secretNamespace: flags.namespace });
  print(`${flags.output === 'json' ? JSON.stringify(findings, undefined, 2) : formatFindings(findings)}\n`);
  process.exitCode = exitCodeOf(findings);
}

async function worldBefore({ objects, kubeconfig, namespace }: PlanFlags): Promise<World> {
  if (objects.length > 0) {
    const { readObjects } = await import('../object-files.js');
    const { worldOf } = await import('../plan/world.js');
    return worldOf(await readObjects(objects, process.stdin));
  }
  const { KubernetesClient } = await import('../datastore/kubernetes-client.js');
  const { KubernetesDatastore } = await import('../datastore/kubernetes-datastore.js');
  const { readWorld } = await import('../plan/live.js');
  const client = KubernetesClient.load(kubeconfig ?? process.env['KUBECONFIG']);
  const world = await readWorld(new KubernetesDatastore(client), namespace);
  if (!world.has('secrets'))
    printError(`Secrets of ${namespace} may not be read: BGP passwords are taken to be there\n`);
  return world;
}

/** In the order in which the command line has them, each on what those before it leave. */
async function changesOf(world: World, flags: PlanFlags): Promise<readonly ObjectChange[]> {
  const { apply, changed, cordon, label, remove, removeNode } = await import('../plan/world.js');
  const { readObjects } = await import('../object-files.js');
  const { filename, label: labels, cordon: cordons, removeNode: gone } = flags;
  if (filename.length + labels.length + cordons.length + gone.length === 0)
    throw new UserError('Cannot plan: no change is given; expected -f, --label, --cordon or --remove-node', 2);
  if (flags.delete === true && filename.length === 0)
    throw new UserError('Cannot plan: --delete has no objects; expected -f beside it', 2);
  if (labels.length % 2 !== 0)
    throw new UserError(`Cannot plan: --label is "${labels.join(' ')}"; expected NODE KEY=VALUE, or NODE KEY-`, 2);
  const steps: readonly ((now: World) => readonly ObjectChange[])[] = [
    ...(filename.length === 0 ? [] : [await fileStep(filename, flags.delete === true)]),
    ...labels.flatMap((node, index) =>
      index % 2 === 0 ? [(now: World) => [label(now, node, labels[index + 1] ?? '')]] : [],
    ),
    ...cordons.map((node) => (now: World) => [cordon(now, node)]),
    ...gone.map((node) => (now: World) => removeNode(now, node)),
  ];
  // One object may change in several steps: it changes from what it was to what the last one leaves.
  const all = new Map<string, ObjectChange>();
  let now = world;
  for (const step of steps) {
    const changes = step(now);
    for (const change of changes) {
      const key = `${change.kind} ${change.key}`;
      all.set(key, { ...change, before: (all.get(key) ?? change).before });
    }
    now = changed(now, changes);
  }
  return [...all.values()];

  async function fileStep(
    files: readonly string[],
    isDeletion: boolean,
  ): Promise<(now: World) => readonly ObjectChange[]> {
    const objects = await readObjects(files, process.stdin);
    return (now) => (isDeletion ? remove(now, objects) : apply(now, objects));
  }
}
