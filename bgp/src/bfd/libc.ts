/**
 * The system calls of the BFD thread (native/libc.ts), with failures as sentences: Node can neither filter a UDP socket, nor send or read
 * one outside its event loop, nor schedule a thread. Linux only; numbers are those of the generic ABI (x86, arm, riscv).
 */
import {
  attachFilter,
  errnoName,
  IF_NAMESIZE,
  int32,
  libc,
  PRIO_PROCESS,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
  type BpfProgram,
  type Libc as Calls,
} from '../native/libc.js';

/** How the kernel schedules the thread: SCHED_RR, in front of its equals (nice -20), or like everybody. */
export type Scheduling = 'real-time' | 'raised' | 'normal';

export class Libc {
  readonly calls: Calls;

  /** Loads the system calls; throws with a sentence where they are not to be had. */
  constructor() {
    const calls = libc();
    if (typeof calls === 'string') throw new Error(`Cannot run BFD: ${calls}`);
    this.calls = calls;
  }

  /**
   * Puts this thread (not the process) in front of others, so that its timers hold under load. Without the privilege (CAP_SYS_NICE, and
   * a cgroup that allows it) it stays where it is, which costs precision only. Both calls mean the calling thread on Linux.
   */
  raisePriority(): Scheduling {
    // The lowest real-time priority: before all ordinary threads, behind the kernel's own and whoever was put higher on purpose.
    if (this.calls.setScheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, new Int32Array([1])) === 0) return 'real-time';
    return this.calls.setpriority(PRIO_PROCESS, 0, -20) === 0 ? 'raised' : 'normal';
  }

  /** Throws when there is no such interface. */
  interfaceIndex(name: string): number {
    const index = this.calls.ifNameToIndex(name);
    if (index === 0) throw new Error(`Cannot send BFD through interface "${name}": it does not exist`);
    return index;
  }

  /** undefined: it has gone. */
  interfaceName(index: number): string | undefined {
    const name = new Uint8Array(IF_NAMESIZE);
    if (this.calls.ifIndexToName(index, name) === 0) return undefined;
    return Buffer.from(name.subarray(0, name.indexOf(0))).toString();
  }

  set(fd: number, level: number, option: number, value: number): void {
    if (this.calls.setsockopt(fd, level, option, int32(value), 4) !== 0)
      throw this.error(`set socket option ${level}/${option}`);
  }

  filter(fd: number, program: BpfProgram): void {
    if (attachFilter(this.calls, fd, program) !== 0) throw this.error('attach a packet filter for BFD');
  }

  error(what: string): Error {
    return new Error(`Cannot ${what}: ${this.errorName()}`);
  }

  errno(): number {
    return this.calls.errno();
  }

  errorName(): string {
    return errnoName(this.errno());
  }
}
