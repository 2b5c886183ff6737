/** A datastore that reads, and says what it would have written. */
import type { Datastore } from '../datastore/datastore.js';
import type { Logger } from '../log.js';

export function dryRun(datastore: Datastore, log: Logger): Datastore {
  const said = (verb: string, kind: string, name: string, namespace?: string): void =>
    log.info({ kind, name, ...(namespace === undefined ? {} : { namespace }) }, `Would ${verb} this object`);
  const getForeign = datastore.getForeign?.bind(datastore);
  return {
    watch: (kind, sink, options) => datastore.watch(kind, sink, options),
    list: (kind) => datastore.list(kind),
    get: (kind, name, namespace) => datastore.get(kind, name, namespace),
    ...(getForeign === undefined ? {} : { getForeign }),
    create: async (kind, object) => {
      said('create', kind, object.metadata.name, object.metadata.namespace);
      return object;
    },
    replace: async (kind, object) => {
      said('replace', kind, object.metadata.name, object.metadata.namespace);
      return object;
    },
    replaceStatus: async (kind, object) => {
      said('replace the status of', kind, object.metadata.name, object.metadata.namespace);
      return object;
    },
    applyStatus: async (kind, { name, namespace }) => {
      said('apply a status to', kind, name, namespace);
      throw new Error(`Cannot apply a status of ${kind} ${name} in a dry run`);
    },
    delete: async (kind, name, { namespace } = {}) => said('delete', kind, name, namespace),
  };
}
