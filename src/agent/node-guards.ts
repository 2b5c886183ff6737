/** What guards hold on this node, as it is told: in the log, as an event, in NodeStatus; and what they let through, kept on disk. */
import { kinds } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { GUARD, type GuardedObjects } from '../change/guard.js';
import { GuardFile } from '../change/guard-file.js';
import type { Held } from '../change/guard-gate.js';
import type { Happening } from '../cluster/event-recorder.js';
import type { Logger } from '../log.js';

export interface NodeGuardsOptions {
  readonly stateDir: string;
  readonly record: (happening: Happening) => void;
  readonly onReport: () => void;
  readonly log: Logger;
}

export class NodeGuards {
  private readonly file: GuardFile;
  private held: readonly Held[] = [];

  constructor(private readonly options: NodeGuardsOptions) {
    this.file = new GuardFile(options.stateDir, options.log);
  }

  /** What the agent before this one let through. @throws Error when it cannot be read */
  open(): Promise<GuardedObjects | undefined> {
    return this.file.read();
  }

  keep(objects: GuardedObjects | undefined): void {
    this.file.keep(objects);
  }

  tell(held: readonly Held[]): void {
    const { log, onReport, record } = this.options;
    for (const each of held) {
      if (
        this.held.some(({ kind, name, reason }) => kind === each.kind && name === each.name && reason === each.reason)
      )
        continue;
      log.warn({ object: objectOf(each) }, sentenceOf(each));
      record({
        kind: each.kind,
        object: { metadata: { name: each.name } } satisfies KubeObject,
        type: 'Warning',
        reason: 'GuardHeld',
        action: 'Guarding',
        note: sentenceOf(each),
      });
    }
    const freed = this.held.filter(({ kind, name }) => !held.some((each) => each.kind === kind && each.name === name));
    for (const each of freed) log.info({ object: objectOf(each) }, `${objectOf(each)} is held no more`);
    this.held = held;
    onReport();
  }

  sentences(): readonly string[] {
    return this.held.map(sentenceOf);
  }

  stop(): void {
    this.file.stop();
  }
}

const objectOf = ({ kind, name }: Held): string => `${kinds[kind].kind}/${name}`;

const sentenceOf = (held: Held): string =>
  `${objectOf(held)} is held as it was, by a guard: ${held.reason}; to let it through, annotate the guarded object, or ` +
  `BGPConfiguration/default, ${GUARD}=off`;
