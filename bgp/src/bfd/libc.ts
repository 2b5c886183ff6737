/**
 * The system calls of the BFD thread, by FFI: Node can neither filter a UDP socket, nor send or read one outside its event loop,
 * nor schedule a thread. Linux only; numbers are those of the generic ABI (x86, arm, riscv).
 */
import { createRequire } from 'node:module';
import { constants as osConstants } from 'node:os';

const SCHED_RR = 2;
/** Threads that ours starts do not inherit its scheduling (sched(7)). */
const SCHED_RESET_ON_FORK = 0x40000000;
const PRIO_PROCESS = 0;
const IF_NAMESIZE = 16;

/** How the kernel schedules the thread: SCHED_RR, in front of its equals (nice -20), or like everybody. */
export type Scheduling = 'real-time' | 'raised' | 'normal';

interface Calls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly setsockopt: (fd: number, level: number, option: number, value: Uint8Array, length: number) => number;
  readonly attachFilter: (fd: number, level: number, option: number, program: { readonly len: number; readonly filter: Uint8Array }, length: number) => number;
  readonly bind: (fd: number, address: Uint8Array, length: number) => number;
  readonly sendto: (fd: number, bytes: Uint8Array, length: number, flags: number, address: Uint8Array, addressLength: number) => number;
  readonly recvfrom: (fd: number, bytes: Uint8Array, length: number, flags: number, address: Uint8Array, addressLength: Uint32Array) => number;
  readonly close: (fd: number) => number;
  readonly ifNameToIndex: (name: string) => number;
  readonly ifIndexToName: (index: number, name: Uint8Array) => number;
  readonly setpriority: (which: number, who: number, priority: number) => number;
  readonly setScheduler: (thread: number, policy: number, parameters: Int32Array) => number;
}

/** Classic BPF (linux/filter.h): one row per instruction. */
export type Filter = readonly (readonly [code: number, jumpTrue: number, jumpFalse: number, k: number])[];

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;

export class Libc {
  readonly calls: Calls;
  readonly #koffi: typeof import('koffi');

  /** Loads the system calls; throws with a sentence where they are not to be had. */
  constructor() {
    if (process.platform !== 'linux') throw new Error(`Cannot run BFD: it needs Linux, and the platform is ${process.platform}`);
    this.#koffi = loadKoffi();
    const libc = this.#koffi.load(null);
    this.#koffi.struct('tortie_sock_fprog', { len: 'uint16_t', filter: 'const uint8_t *' });
    this.calls = {
      socket: libc.func('int socket(int, int, int)') as Calls['socket'],
      setsockopt: libc.func('int setsockopt(int, int, int, const uint8_t *, uint32_t)') as Calls['setsockopt'],
      attachFilter: libc.func('int setsockopt(int, int, int, const tortie_sock_fprog *, uint32_t)') as Calls['attachFilter'],
      bind: libc.func('int bind(int, const uint8_t *, uint32_t)') as Calls['bind'],
      sendto: libc.func('intptr_t sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint32_t)') as Calls['sendto'],
      recvfrom: libc.func('intptr_t recvfrom(int, _Out_ uint8_t *, size_t, int, _Out_ uint8_t *, _Inout_ uint32_t *)') as Calls['recvfrom'],
      close: libc.func('int close(int)') as Calls['close'],
      ifNameToIndex: libc.func('unsigned int if_nametoindex(const char *)') as Calls['ifNameToIndex'],
      ifIndexToName: libc.func('size_t if_indextoname(unsigned int, _Out_ uint8_t *)') as Calls['ifIndexToName'],
      setpriority: libc.func('int setpriority(int, uint32_t, int)') as Calls['setpriority'],
      setScheduler: libc.func('int sched_setscheduler(int, int, const int *)') as Calls['setScheduler'],
    };
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
    if (this.calls.setsockopt(fd, level, option, new Uint8Array(new Int32Array([value]).buffer), 4) !== 0) throw this.error(`set socket option ${level}/${option}`);
  }

  filter(fd: number, program: Filter): void {
    const filter = new Uint8Array(8 * program.length);
    const view = new DataView(filter.buffer);
    const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
    for (const [index, [code, jumpTrue, jumpFalse, k]] of program.entries()) {
      view.setUint16(8 * index, code, isLittleEndian);
      view.setUint8(8 * index + 2, jumpTrue);
      view.setUint8(8 * index + 3, jumpFalse);
      view.setUint32(8 * index + 4, k, isLittleEndian);
    }
    // struct sock_fprog: a two-octet count, padding, a pointer.
    if (this.calls.attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, { len: program.length, filter }, 16) !== 0) throw this.error('attach a packet filter for BFD');
  }

  error(what: string): Error {
    return new Error(`Cannot ${what}: ${this.errorName()}`);
  }

  errno(): number {
    return this.#koffi.errno();
  }

  errorName(): string {
    const errno = this.errno();
    return Object.entries(osConstants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  }
}

function loadKoffi(): typeof import('koffi') {
  try {
    return createRequire(import.meta.url)('koffi') as typeof import('koffi');
  } catch (error) {
    throw new Error(`Cannot run BFD: it needs the package "koffi": ${error instanceof Error ? error.message : String(error)}`);
  }
}
