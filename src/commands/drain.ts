/** `tortie drain`: takes what a node announces of Services to other nodes, before its pods are moved. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { datastoreOption, withDatastore, type DatastoreFlags } from './datastore-option.js';

interface DrainFlags extends DatastoreFlags {
  readonly undo?: boolean;
  readonly timeout: string;
  readonly output: 'text' | 'json';
}

export function registerDrainCommand(program: Command): void {
  datastoreOption(
    program
      .command('drain')
      .description('take a node out of service towards the routers, or back into it')
      .argument('<node>', 'its name')
      .option('--undo', 'back into service')
      .option('--timeout <seconds>', 'how long to wait for it; 0: not at all', '120'),
  )
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
Addresses of Services are first told with GRACEFUL_SHUTDOWN (RFC 8326) and LOCAL_PREF 0, then withdrawn where other nodes tell them. Pods
stay, and so do their blocks, until the last pod is gone: move them with kubectl drain. A node that is cordoned and evicted (kubectl
drain), shut down, or about to be deleted by the autoscaler does the same by itself.

  tortie drain node1                take addresses of Services away from it
  kubectl drain node1 ...           then its pods
  kubectl uncordon node1
  tortie drain node1 --undo         back into service

Exit codes: 0 done, 1 not done in time, some addresses are told on because too few other nodes tell them, or the node drains for another
reason as well; 2 wrong options.`,
    )
    .action(drain);
}

async function drain(node: string, flags: DrainFlags): Promise<void> {
  const seconds = /^\d{1,5}$/.test(flags.timeout) ? Number(flags.timeout) : NaN;
  if (Number.isNaN(seconds))
    throw new UserError(`Cannot use --timeout "${flags.timeout}": expected seconds, 0 to 99999`, 2);
  const { drainNode } = await import('../node-view/drain.js');
  await withDatastore(flags, async ({ store }) => {
    const answer = await drainNode(store, {
      node,
      isUndo: flags.undo === true,
      timeout: seconds * 1_000,
      onProgress: (message) => printError(`${message}\n`),
    });
    print(flags.output === 'json' ? `${JSON.stringify(answer, undefined, 2)}\n` : `${textOf(answer)}\n`);
    process.exitCode = answer.isDone || seconds === 0 ? 0 : 1;
  });
}

function textOf({
  node,
  message,
  drain,
}: {
  node: string;
  message: string;
  drain: { kept?: readonly string[] } | undefined;
}): string {
  const kept = drain?.kept ?? [];
  return [`${node}: ${message}`, ...(kept.length === 0 ? [] : [`told on: ${kept.join(', ')}`])].join('\n');
}
