/** `tortie change` and `tortie confirm`: Changes on trial (docs/change.md). `tortie apply --confirm` makes them (objects.ts). */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import { print, printError } from '../print.js';
import { datastoreOption, withDatastore, type DatastoreFlags } from './datastore-option.js';
import { APPLY_MANAGER } from './objects.js';

interface ShowFlags extends DatastoreFlags {
  readonly output: 'text' | 'json';
}
interface ConfirmFlags extends DatastoreFlags {
  readonly force?: boolean;
}
interface RevertFlags extends DatastoreFlags {
  readonly wait?: boolean;
}

const output = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text');

export function registerConfirmCommand(program: Command): void {
  confirmCommand(program);
}

export function registerChangeCommand(program: Command): void {
  const change = program
    .command('change')
    .description('changes on trial: what tortie apply --confirm has begun')
    .addHelpText(
      'after',
      `
  tortie apply -f peers.yaml --confirm 5m --canary node1    begin
  tortie change show NAME                                   how does it go?
  tortie confirm NAME                                       keep it
  tortie change revert NAME                                 all back`,
    );
  datastoreOption(change.command('list'))
    .description('all of them, newest first')
    .addOption(output())
    .action((flags: ShowFlags) =>
      withDatastore(flags, async ({ store }) => {
        const { formatChanges } = await import('../change/show.js');
        const changes = await store.list('changes');
        print(
          `${flags.output === 'json' ? JSON.stringify(changes, undefined, 2) : formatChanges(changes, Date.now())}\n`,
        );
      }),
    );
  datastoreOption(change.command('show'))
    .description('one of them: its objects, and how each node is with it')
    .argument('<name>')
    .addOption(output())
    .addHelpText(
      'after',
      '\nExit codes: 0 it goes on or is confirmed, 3 it was reverted, 1 there is none of that name.',
    )
    .action((name: string, flags: ShowFlags) =>
      withDatastore(flags, async ({ store }) => {
        const { formatChange } = await import('../change/show.js');
        const found = await store.get('changes', name);
        if (found === undefined) throw new UserError(`There is no Change "${name}": tortie change list has them all`);
        print(`${flags.output === 'json' ? JSON.stringify(found, undefined, 2) : formatChange(found, Date.now())}\n`);
        if (found.status?.phase === 'Reverted' || found.status?.phase === 'Reverting') process.exitCode = 3;
      }),
    );
  confirmCommand(change);
  datastoreOption(change.command('revert'))
    .description('send every node back to what stood before')
    .argument('<name>')
    .option('--no-wait', 'do not wait until all nodes are back')
    .addHelpText('after', '\nExit codes: 0 done, 1 it cannot be reverted any more, or some nodes were not heard of.')
    .action((name: string, flags: RevertFlags) =>
      withDatastore(flags, async ({ store }) => {
        const { revertChange } = await import('../change/confirm.js');
        const { follow } = await import('../change/follow.js');
        await revertChange(store, name);
        if (flags.wait === false) return void print(`change.tortie.dev/${name} is going back\n`);
        const { phase, message = '' } = await follow(store, name, ['Reverted'], (text) => printError(`${text}\n`));
        print(`change.tortie.dev/${name} ${phase ?? ''}: ${message}\n`);
        if (message.includes('not heard of')) process.exitCode = 1;
      }),
    );
}

function confirmCommand(parent: Command): void {
  datastoreOption(parent.command('confirm'))
    .description('keep a Change that is on trial: its objects become plain ones')
    .argument('<name>')
    .option('--force', 'also while nodes have not said that they are well; those that have not taken it follow')
    .addHelpText(
      'after',
      `
May be repeated where it was cut short: until it is done every node sees all of the Change.
Exit codes: 0 it is confirmed, 1 it is not (the sentence says why), 2 the command line is wrong.`,
    )
    .action((name: string, flags: ConfirmFlags) =>
      withDatastore(flags, async ({ store }) => {
        const { confirmChange } = await import('../change/confirm.js');
        await confirmChange(store, name, {
          manager: APPLY_MANAGER,
          isForced: flags.force === true,
          say: (what) => print(`${what}\n`),
        });
        print(`change.tortie.dev/${name} confirmed\n`);
      }),
    );
}
