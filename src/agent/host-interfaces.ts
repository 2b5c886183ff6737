/**
 * The node's own interfaces and their addresses, told to the policy engine: host endpoints that name addresses only are found by
 * them. Told once before the first policy is written, then whenever they are not what was told last. While the kernel cannot be
 * asked, what was told last stands.
 */
import type { HostInterface } from '@tortie/policy/objects';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

/** Addresses come and go in bursts (a link that comes up, a daemon that starts). */
const COALESCE = 20;
const RETRY = 1_000;

export interface HostInterfacesOptions {
  /** The kernel's, in any order. */
  readonly observe: () => readonly HostInterface[];
  readonly tell: (interfaces: readonly HostInterface[]) => void;
  readonly log: Logger;
}

export class HostInterfaces {
  private told: string | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: HostInterfacesOptions) {}

  /** Looks now. */
  level(): void {
    this.stop();
    let interfaces: readonly HostInterface[];
    try {
      interfaces = canonical(this.options.observe());
    } catch (error) {
      this.options.log.warn({ problem: messageOf(error) }, "Cannot list the node's interfaces; trying again");
      this.timer = setTimeout(() => this.level(), RETRY);
      return;
    }
    const text = JSON.stringify(interfaces);
    if (text === this.told) return;
    this.told = text;
    this.options.tell(interfaces);
  }

  /** Something may have changed. */
  changed(): void {
    this.timer ??= setTimeout(() => this.level(), COALESCE);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}

/** The kernel lists in an order of its own, which is no change. */
function canonical(interfaces: readonly HostInterface[]): readonly HostInterface[] {
  return interfaces
    .map(({ name, addresses }) => ({ name, addresses: [...addresses].sort() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
