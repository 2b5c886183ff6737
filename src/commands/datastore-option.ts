/** `--datastore`, as every command that takes one has it. */
import type { Command } from 'commander';
import { UserError } from '../errors.js';
import { printError } from '../print.js';
import type { OpenedDatastore } from '../datastore/open-datastore.js';

export interface DatastoreFlags {
  readonly datastore?: string;
  readonly kubeconfig?: string;
}

export const DATASTORE =
  'kubernetes:, redis://HOST, redis-sentinel://..., redis-cluster://..., or dir:/DIRECTORY (docs/redis.md)';

/** Command lines can be read by everybody, and a URL may hold what nobody should read: no default is shown. */
export const datastoreOption = (command: Command): Command =>
  command
    .option('--datastore <url>', `${DATASTORE}; default: $TORTIE_DATASTORE, else kubernetes:`)
    .option('--kubeconfig <file>', 'for kubernetes: (default: KUBECONFIG)');

export const datastoreUrl = ({ datastore }: Pick<DatastoreFlags, 'datastore'>): string =>
  datastore ?? process.env['TORTIE_DATASTORE'] ?? 'kubernetes:';

/** Opens, works, closes. @throws UserError for what the datastore refuses as well */
export async function withDatastore(
  flags: DatastoreFlags,
  work: (opened: OpenedDatastore) => Promise<void>,
): Promise<void> {
  const { openDatastore } = await import('../datastore/open-datastore.js');
  const kubeconfig = flags.kubeconfig ?? process.env['KUBECONFIG'];
  const opened = await openDatastore(datastoreUrl(flags), {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    warn: (sentence) => printError(`${sentence}\n`),
  });
  try {
    await work(opened);
  } catch (error) {
    const isOurFault = error instanceof UserError || error instanceof TypeError || error instanceof RangeError;
    throw error instanceof Error && !isOurFault ? new UserError(error.message, 1, { cause: error }) : error;
  } finally {
    await opened.store.close();
  }
}
