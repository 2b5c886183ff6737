/** `tortie ipam ...`: who has which address, what does not fit together, and how to mend it. */
import { Option, type Command } from 'commander';
import type { ObjectStore } from '../datastore/datastore.js';
import type { Inventory } from '../ipam/inventory.js';
import type { IpamProblem } from '../ipam/check.js';
import { messageOf, UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { datastoreOption, datastoreUrl, withDatastore, type DatastoreFlags } from './datastore-option.js';

interface SourceFlags extends DatastoreFlags {
  readonly filename?: readonly string[];
  readonly output: 'text' | 'json';
}

interface ShowFlags extends SourceFlags {
  readonly blocks?: boolean;
  readonly borrowed?: boolean;
  readonly kept?: boolean;
  readonly ip?: string;
}

interface CheckFlags extends SourceFlags {
  readonly fix?: boolean;
  readonly dryRun?: boolean;
  readonly grace: string;
}

interface HandleFlags extends DatastoreFlags {
  readonly node: string;
  readonly handle: string;
  readonly pool?: string;
  readonly output: 'text' | 'json';
}

interface ReleaseFlags extends DatastoreFlags {
  readonly runDir: string;
  readonly node?: string;
  readonly handle?: string;
  readonly output: 'text' | 'json';
}

interface SplitFlags extends SourceFlags {
  readonly into: string;
  readonly yes?: boolean;
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

const source = (command: Command): Command =>
  datastoreOption(command)
    .option(
      '-f, --filename <file>',
      'a snapshot instead of the live cluster, as kubectl get -o json or yaml prints it, - for standard input; may be repeated',
      many,
    )
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'));

const SNAPSHOT = `
A snapshot to look at elsewhere, or later:
  kubectl get ippools,ipamblocks,ipreservations,nodeaddresses,nodes -o json > a.json
  kubectl get pods -A -o json > b.json
  tortie ipam check -f a.json -f b.json`;

export function registerIpamCommand(program: Command): void {
  const ipam = program
    .command('ipam')
    .description('who has which address, what does not fit together, and how to mend it')
    .addHelpText(
      'after',
      `
An IPPool is cut into blocks. A node owns blocks and gives out their addresses by itself; IPAMBlock says who owns which, NodeAddresses
what each node has given out (a minute old at most). docs/ipam.md has the whole.

  how full are the pools?              tortie ipam show
  which node has which block?          tortie ipam show --blocks
  who has 10.65.3.7?                   tortie ipam show --ip 10.65.3.7
  why does nobody get 10.65.3.7?       tortie ipam why-not-free 10.65.3.7
  is anything wrong?                   tortie ipam check            (exit code 1: yes)
  what would be mended, and mend it    tortie ipam check --fix --dry-run; tortie ipam check --fix`,
    );
  source(ipam.command('show'))
    .description('how full pools and blocks are; what is borrowed or kept; who has an address')
    .addOption(new Option('--blocks', 'each block below its pool').conflicts(['borrowed', 'kept', 'ip']))
    .addOption(new Option('--borrowed', 'addresses that nodes have of the blocks of others').conflicts(['kept', 'ip']))
    .addOption(new Option('--kept', 'addresses that wait for a pod which may come again').conflicts('ip'))
    .option('--ip <address>', 'who has this address; exits 1 when nobody has')
    .addHelpText('after', SNAPSHOT)
    .action(closing(show));
  source(ipam.command('check'))
    .description('what does not fit together; exits 1 when anything does not')
    .option('--fix', 'print what can be mended here, then do it, each only if it still holds')
    .option('--dry-run', 'with --fix: print the plan alone')
    .option(
      '--grace <seconds>',
      'how long a live cluster is looked at again before something that may be on its way counts; 0: not at all',
      '70',
    )
    .addHelpText(
      'after',
      `
  duplicate     two pods have one address: delete all but one of them
  overlapping   two blocks or pools have one address, or a pod's lies in a block of a node that has not lent it
  orphaned      a block, or a loan, of a node that does not exist
  leaked        a node holds an address for a pod that does not exist, or keeps it past its time
  out-of-pool   a block that lies in no pool; an address that lies in no block
  unpublished   a pod has an address of a pool and its node does not say that it gave it
${SNAPSHOT}`,
    )
    .action(closing(check));
  source(ipam.command('why-not-free'))
    .description('everything that keeps an address from the next pod')
    .argument('<address>', 'such as 10.65.3.7 or fd00:65::7')
    .action(closing(whyNotFree));
  source(ipam.command('split'))
    .description('make one pool into several of equal size; addresses in use stay')
    .argument('<pool>', 'its name')
    .requiredOption('--into <count>', 'how many: a power of 2')
    .option('--yes', 'do it; without: print the pools that would be made')
    .addHelpText(
      'after',
      `
The parts are made first, with everything the pool has, and are refused while it is there ("overlaps"); then the pool is deleted, and they
stand. Pods that ask for the pool by name (cni.projectcalico.org/ipv4pools) have to name a part from then on.`,
    )
    .action(closing(split));
  datastoreOption(ipam.command('assign'))
    .description(
      'for hosts without Kubernetes and without an agent: an address of each family for a handle, one a line',
    )
    .requiredOption('--node <name>', 'whose they are; its Node object is made if there is none')
    .requiredOption('--handle <text>', 'by which they are found again, and given back; again: the same addresses')
    .option('--pool <name>', 'from this pool alone, by name or CIDR (default: those that serve the node unasked)')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
All is in the datastore: nothing is kept on the host. Blocks that are claimed here are no agent's (spec.agentless), so a node may have
an agent as well. To give the addresses back:
  tortie ipam release --datastore URL --node N --handle H

Exit codes: 0 assigned, 1 there is no address (says why), 2 the command line is wrong.`,
    )
    .action((flags: HandleFlags) => withDatastore(flags, ({ store }) => assign(store, flags)));
  datastoreOption(ipam.command('release'))
    .description('on a node: give addresses back whose pod and sandbox are gone; anywhere: those of a handle')
    .argument('[address...]', 'those that `tortie ipam check` calls leaked')
    .option('--run-dir <dir>', "the agent's run directory", '/run/tortie')
    .option('--node <name>', 'with --handle: whose they are')
    .option('--handle <text>', 'of `tortie ipam assign`; instead of addresses')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
The agent gives such addresses back by itself within a minute. It looks again here and refuses what a pod has, or whose interface is
still there; exits 1 when it refused any.`,
    )
    .action(release);
}

async function load(flags: SourceFlags): Promise<Inventory> {
  const { inventoryOf } = await import('../ipam/inventory.js');
  const { readCluster, readFiles } = await import('../ipam/read.js');
  if (flags.filename !== undefined) return inventoryOf(await readFiles(flags.filename, process.stdin));
  return inventoryOf(await readCluster(await live(flags)));
}

/** BOUNDED: one for each command; closed when the process ends, which for a Redis somebody has to see to. */
let opened: ObjectStore | undefined;

async function live(flags: SourceFlags): Promise<ObjectStore> {
  if (opened !== undefined) return opened;
  const { openDatastore } = await import('../datastore/open-datastore.js');
  const kubeconfig = flags.kubeconfig ?? process.env['KUBECONFIG'];
  const warn = (sentence: string): void => printError(`${sentence}\n`);
  const { store } = await openDatastore(datastoreUrl(flags), {
    warn,
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
  });
  opened = store;
  return store;
}

/** Ends what `live` has opened, whatever became of the command. */
const closing =
  <Args extends readonly unknown[]>(command: (...args: Args) => Promise<void>) =>
  async (...args: Args): Promise<void> => {
    try {
      await command(...args);
    } finally {
      await opened?.close();
    }
  };

async function show(flags: ShowFlags): Promise<void> {
  const {
    borrowedRows,
    formatAnswer,
    formatBorrowed,
    formatKept,
    formatUsage,
    keptRows,
    usageJson,
    usageRows,
    whyNotFree: answer,
  } = await import('../ipam/show.js');
  if (flags.ip !== undefined) await expectAddress(flags.ip);
  const inventory = await load(flags);
  if (flags.ip !== undefined) {
    const found = answer(inventory, flags.ip);
    printAnswer(flags.output, found, () => formatAnswer(found));
    process.exitCode = found.isInUse ? 0 : 1;
  } else if (flags.borrowed === true) {
    const rows = borrowedRows(inventory);
    printAnswer(flags.output, rows, () => formatBorrowed(rows));
  } else if (flags.kept === true) {
    const rows = keptRows(inventory);
    printAnswer(flags.output, rows, () => formatKept(rows));
  } else {
    const rows = usageRows(inventory, flags.blocks === true);
    printAnswer(flags.output, usageJson(rows), () => formatUsage(rows));
  }
}

async function whyNotFree(address: string, flags: SourceFlags): Promise<void> {
  const { formatAnswer, whyNotFree: answer } = await import('../ipam/show.js');
  await expectAddress(address);
  const found = answer(await load(flags), address);
  printAnswer(flags.output, found, () => formatAnswer(found));
}

async function expectAddress(text: string): Promise<void> {
  const { tryParseAddress } = await import('node-bgp/address');
  if (tryParseAddress(text) === undefined)
    throw new UserError(`Cannot look for "${text}": expected an address such as 10.65.3.7 or fd00:65::7`, 2);
}

const POLL = 5_000;

async function check(flags: CheckFlags): Promise<void> {
  const { formatProblems } = await import('../ipam/check.js');
  const grace = Number(flags.grace);
  if (!Number.isFinite(grace) || grace < 0)
    throw new UserError(`Cannot use --grace "${flags.grace}": expected seconds, 0 or more`, 2);
  if (flags.fix === true && flags.filename !== undefined && flags.dryRun !== true)
    throw new UserError('Cannot mend a snapshot: --fix with -f needs --dry-run', 2);
  const problems = await lastingProblems(flags, flags.filename === undefined ? grace * 1000 : 0);
  const { describeFix, planOf } = await import('../ipam/fix.js');
  const plan = flags.fix === true ? planOf(problems).map((fix) => ({ fix, words: describeFix(fix) })) : [];
  const json = { problems, ...(flags.fix === true ? { plan: plan.map(({ words }) => words) } : {}) };
  printAnswer(flags.output, json, () => formatProblems(problems));
  process.exitCode = problems.length > 0 ? 1 : 0;
  if (flags.fix !== true) return;
  const tell = (line: string): void =>
    void (flags.output === 'json' ? process.stderr : process.stdout).write(`${line}\n`);
  tell(plan.length === 0 ? 'Nothing of it can be mended here.' : 'Plan:');
  for (const { words } of plan) tell(`  ${words}`);
  if (flags.dryRun === true || plan.length === 0) return;
  const { applyFix } = await import('../ipam/fix.js');
  const store = await live(flags);
  for (const { fix, words } of plan) {
    const why = await applyFix(fix, store).catch((error: unknown) => messageOf(error));
    tell(why === undefined ? `Done: ${words}` : `Not done: ${words}: ${why}`);
  }
}

/** What a live cluster has at every look for so long: the rest was on its way. */
async function lastingProblems(flags: SourceFlags, grace: number): Promise<readonly IpamProblem[]> {
  const { checkIpam, needsSecondLook } = await import('../ipam/check.js');
  const until = performance.now() + grace;
  let problems = checkIpam(await load(flags), Date.now());
  while (problems.some(needsSecondLook) && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(POLL, until - performance.now()))));
    const messages = new Set(problems.map(({ message }) => message));
    problems = checkIpam(await load(flags), Date.now()).filter(
      (problem) => !needsSecondLook(problem) || messages.has(problem.message),
    );
  }
  return problems;
}

async function split(pool: string, flags: SplitFlags): Promise<void> {
  const { applySplit, planSplit } = await import('../ipam/split.js');
  if (flags.yes === true && flags.filename !== undefined)
    throw new UserError('Cannot split a pool of a snapshot: -f goes without --yes', 2);
  const inventory = await load(flags);
  const parts = planSplit(inventory, pool, Number(flags.into));
  const manifests = parts.map((part) => ({ apiVersion: 'projectcalico.org/v3', kind: 'IPPool', ...part }));
  const { stringify } = await import('yaml');
  printAnswer(flags.output, manifests, () =>
    manifests.map((manifest) => `---\n${stringify(manifest)}`.trimEnd()).join('\n'),
  );
  const whole = inventory.objects.pools.find(({ metadata }) => metadata.name === pool);
  if (flags.yes !== true || whole === undefined) return;
  await applySplit(await live(flags), whole, parts);
  printError(`Made ${parts.length} pools of "${pool}", and deleted it\n`);
}

async function assign(store: ObjectStore, flags: HandleFlags): Promise<void> {
  const { assignToHandle } = await import('../ipam/assign.js');
  const { KubernetesBlockStore } = await import('../agent/kubernetes-block-store.js');
  const { selectorMatches } = await import('../agent/node-selector.js');
  const request = { node: flags.node, handle: flags.handle, pool: flags.pool };
  const addresses = await assignToHandle(store, new KubernetesBlockStore(store), request, selectorMatches);
  printAnswer(flags.output, { ...request, addresses }, () => addresses.join('\n'));
}

async function releaseOfHandle(flags: ReleaseFlags): Promise<void> {
  const { node, handle } = flags;
  if (node === undefined || handle === undefined)
    throw new UserError('Cannot release: --handle and --node go together', 2);
  await withDatastore(flags, async ({ store }) => {
    const { releaseHandle } = await import('../ipam/assign.js');
    const { KubernetesBlockStore } = await import('../agent/kubernetes-block-store.js');
    const released = await releaseHandle(new KubernetesBlockStore(store), { node, handle });
    if (released.length === 0)
      throw new UserError(`Cannot release: handle "${handle}" has no address on node "${node}"`);
    printAnswer(flags.output, { node, handle, released }, () => released.map((each) => `Released ${each}`).join('\n'));
  });
}

async function release(addresses: readonly string[], flags: ReleaseFlags): Promise<void> {
  const isOfHandle = flags.handle !== undefined || flags.node !== undefined;
  if (isOfHandle === addresses.length > 0)
    throw new UserError('Cannot release: expected addresses, or --node and --handle', 2);
  if (isOfHandle) return releaseOfHandle(flags);
  for (const address of addresses) await expectAddress(address);
  const { join } = await import('node:path');
  const { requestOverUnixSocket } = await import('../unix-http.js');
  const { RELEASE_PATH } = await import('../agent/release-request.js');
  const { status, body } = await requestOverUnixSocket(join(flags.runDir, 'agent.sock'), 'POST', RELEASE_PATH, {
    addresses,
  }).catch((error: unknown) => {
    throw new UserError(messageOf(error));
  });
  if (status !== 200) throw new UserError(`Cannot release: the agent answers ${status}: ${JSON.stringify(body)}`);
  const outcomes = body as readonly {
    readonly address: string;
    readonly isReleased: boolean;
    readonly message: string;
  }[];
  printAnswer(flags.output, outcomes, () => outcomes.map(({ message }) => message).join('\n'));
  process.exitCode = outcomes.every(({ isReleased }) => isReleased) ? 0 : 1;
}

function printAnswer(output: 'text' | 'json', json: unknown, text: () => string): void {
  print(`${output === 'json' ? JSON.stringify(json, undefined, 2) : text()}\n`);
}
