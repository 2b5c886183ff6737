/**
 * Gives back what nobody will ever ask to be given back. Some runtimes never call GC (containerd 2.3), and some take a failed
 * DEL for a good one, so an attachment may outlive its pod without a DEL to come.
 *
 * Two witnesses have to agree, twice, a rest apart: the API knows no pod of that UID any more, and the kernel has no interface
 * of the owner, which went with the sandbox's namespace. One of them alone proves nothing: a pod whose object is gone may still
 * run, and one whose sandbox is being replaced has no interface. While the watch of pods is cut off nobody is judged.
 */
import type { Owner } from '@tortie/ipam';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

export interface LeakSweeperOptions {
  readonly owners: () => readonly Owner[];
  /** Those whose interface the kernel does not have. */
  readonly withoutInterface: (owners: readonly Owner[]) => readonly Owner[];
  /** Does the API still have the owner's very pod? Undefined: it cannot be told now. */
  readonly hasPod: (owner: Owner) => boolean | undefined;
  readonly release: (owner: Owner) => Promise<void>;
  readonly log: Logger;
  /** Milliseconds between two looks; default 30 s. */
  readonly interval?: number;
}

const INTERVAL = 30_000;

const keyOf = ({ network, containerId, interfaceName }: Owner): string => `${network}/${containerId}/${interfaceName}`;

export class LeakSweeper {
  private timer: NodeJS.Timeout | undefined;
  /** Suspects of the last look. BOUNDED by the owners. */
  private suspects: ReadonlySet<string> = new Set();

  constructor(private readonly options: LeakSweeperOptions) {}

  start(): void {
    this.timer = setInterval(() => void this.look(), this.options.interval ?? INTERVAL);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** One look: releases who was a suspect before, remembers who is one now. */
  async look(): Promise<void> {
    try {
      const { owners, withoutInterface, hasPod, release, log } = this.options;
      const gone = withoutInterface(owners().filter((owner) => hasPod(owner) === false));
      const again = gone.filter((owner) => this.suspects.has(keyOf(owner)));
      this.suspects = new Set(gone.map(keyOf));
      for (const owner of again) {
        await release(owner);
        const pod = `${owner.namespace}/${owner.pod}`;
        log.info(
          { pod, container: owner.containerId },
          'Released addresses: their pod and its sandbox are gone, and no DEL came',
        );
      }
    } catch (error) {
      this.options.log.warn({ problem: messageOf(error) }, 'Cannot look for addresses that nobody owns; trying again');
    }
  }
}
