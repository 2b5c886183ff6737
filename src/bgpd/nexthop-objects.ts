/**
 * The kernel's nexthop objects that our routes share: one for each next hop, one group for each set of several. A route then names
 * a number instead of saying where it leads, which the kernel takes in half the time and keeps in less memory.
 *
 * An object is known by what it says, not by its number: what the kernel lists under our protocol number is used as it is, whether this
 * process made it or the one before. Numbers come from a range of our own and are not used again for something else while this process
 * runs, so a route on its way can never end up with another's next hop: if the object is gone, the kernel refuses the route.
 *
 * The kernel deletes objects by itself (nexthop.ts), so `observe` after each loss of an interface. Nobody counts references: whoever
 * knows which numbers are in use calls `collect`, *after* the last route through the others has gone.
 *
 * Where the kernel has no such objects, or refuses one, there is no number: the route says itself where it leads, and the kernel
 * says what is wrong with it.
 */
import type { Family } from 'node-bgp/address';
import {
  createNexthop,
  deleteNexthop,
  isUnsupported,
  listNexthops,
  NetlinkError,
  PROTOCOL_TORTIE_BGP,
  type NetlinkSocket,
  type NextHop,
  type Nexthop,
  type NexthopMember,
} from '../dataplane/netlink/index.js';

/** What there is to the kernel. Errors are NetlinkError. */
export interface NexthopKernel {
  readonly list: () => readonly Nexthop[];
  readonly create: (nexthop: Exclude<Nexthop, { type: 'other' }>) => void;
  readonly remove: (id: number) => void;
}

export const nexthopKernel = (socket: NetlinkSocket): NexthopKernel => ({
  list: () => listNexthops(socket),
  create: (nexthop) => createNexthop(socket, nexthop),
  remove: (id) => deleteNexthop(socket, id),
});

/** Far from where the kernel (1 and up) and FRR (below 250,000,000, by kind of route) begin; 172 is our protocol number. */
const FIRST_ID = 1_720_000_001;
const LAST_ID = 1_729_999_999;

export class NexthopObjects {
  /** Ours in the kernel, as last seen. BOUNDED by the owner, who collects. */
  private readonly ours = new Map<number, Nexthop>();
  private readonly byContent = new Map<string, number>();
  /** Numbers of our range that others have. BOUNDED by the kernel's list. */
  private readonly foreign = new Set<number>();
  private nextId = FIRST_ID;
  private isOff = false;

  constructor(
    private readonly kernel: NexthopKernel,
    private readonly onUnsupported: (reason: string) => void,
  ) {}

  get size(): number {
    return this.ours.size;
  }

  /** Reads what there is. */
  observe(): void {
    const listed = this.ask(() => this.kernel.list()) ?? [];
    this.ours.clear();
    this.byContent.clear();
    this.foreign.clear();
    for (const nexthop of listed) {
      if (nexthop.protocol === PROTOCOL_TORTIE_BGP) this.ours.set(nexthop.id, nexthop);
      else if (nexthop.id >= FIRST_ID && nexthop.id <= LAST_ID) this.foreign.add(nexthop.id);
      if (nexthop.id >= this.nextId && nexthop.id < LAST_ID) this.nextId = nexthop.id + 1;
    }
    for (const nexthop of this.ours.values()) {
      const content = this.contentOf(nexthop);
      if (content !== undefined && !this.byContent.has(content)) this.byContent.set(content, nexthop.id);
    }
  }

  /** The number of the object that leads where these lead, made if there is none and it may be; undefined: say it in the route. */
  idFor(family: Family, hops: readonly NextHop[], mayMake: boolean): number | undefined {
    if (this.isOff) return undefined;
    const members: NexthopMember[] = [];
    for (const hop of hops) {
      const id = this.wayFor(family, hop, mayMake);
      if (id === undefined) return undefined;
      members.push({ id, weight: hop.weight ?? 1 });
    }
    const [only] = members;
    if (only === undefined || members.length === 1) return only?.id;
    // The order does not matter to traffic, and must not to identity.
    members.sort((a, b) => a.id - b.id);
    return this.find(this.groupContent(members), mayMake, (id) => ({
      type: 'group',
      id,
      members,
      protocol: PROTOCOL_TORTIE_BGP,
    }));
  }

  /** Deletes all of ours that are neither in use nor members of a group in use. Routes through them would go too. */
  collect(used: ReadonlySet<number>): void {
    const kept = new Set(used);
    for (const id of used) {
      const nexthop = this.ours.get(id);
      if (nexthop?.type === 'group') for (const member of nexthop.members) kept.add(member.id);
    }
    // Groups first: a member that goes changes its groups.
    for (const isGroup of [true, false])
      for (const nexthop of [...this.ours.values()])
        if ((nexthop.type === 'group') === isGroup && !kept.has(nexthop.id)) this.remove(nexthop);
  }

  private wayFor(family: Family, { via, interfaceIndex, isOnlink }: NextHop, mayMake: boolean): number | undefined {
    // An object always names its interface; a route may leave it to the kernel.
    if (interfaceIndex === undefined) return undefined;
    const way = {
      type: 'way',
      family: via?.family ?? family,
      interfaceIndex,
      protocol: PROTOCOL_TORTIE_BGP,
      ...(via === undefined ? {} : { via }),
      ...(isOnlink === true ? { isOnlink } : {}),
    } as const;
    return this.find(wayContent(way), mayMake, (id) => ({ ...way, id }));
  }

  private find(
    content: string | undefined,
    mayMake: boolean,
    nexthop: (id: number) => Exclude<Nexthop, { type: 'other' }>,
  ): number | undefined {
    if (content === undefined) return undefined;
    return this.byContent.get(content) ?? (mayMake ? this.make(content, nexthop) : undefined);
  }

  private make(content: string, nexthop: (id: number) => Exclude<Nexthop, { type: 'other' }>): number | undefined {
    const id = this.freeId();
    const made = nexthop(id);
    const isMade = this.ask(() => {
      this.kernel.create(made);
      return true;
    }, id);
    if (isMade === undefined) return this.foreign.has(id) ? this.make(content, nexthop) : undefined;
    this.ours.set(id, made);
    this.byContent.set(content, id);
    return id;
  }

  private freeId(): number {
    do {
      this.nextId = this.nextId >= LAST_ID ? FIRST_ID : this.nextId + 1;
    } while (this.foreign.has(this.nextId) || this.ours.has(this.nextId));
    return this.nextId;
  }

  private remove(nexthop: Nexthop): void {
    this.kernel.remove(nexthop.id);
    const content = this.contentOf(nexthop);
    if (content !== undefined && this.byContent.get(content) === nexthop.id) this.byContent.delete(content);
    this.ours.delete(nexthop.id);
  }

  /** Undefined when the kernel refuses; a number that turns out to be taken is noted. */
  private ask<T>(request: () => T, id?: number): T | undefined {
    if (this.isOff) return undefined;
    try {
      return request();
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      if (isUnsupported(error)) {
        this.isOff = true;
        this.onUnsupported(error.message);
      } else if (error.code === 'EEXIST' && id !== undefined) this.foreign.add(id);
      else if (id === undefined) throw error;
      return undefined;
    }
  }

  private contentOf(nexthop: Nexthop): string | undefined {
    switch (nexthop.type) {
      case 'way':
        return wayContent(nexthop);
      case 'group':
        return this.groupContent(nexthop.members);
      case 'other':
        return undefined;
    }
  }

  private groupContent(members: readonly NexthopMember[]): string | undefined {
    const parts: string[] = [];
    for (const { id, weight } of members) {
      const member = this.ours.get(id);
      if (member?.type !== 'way') return undefined;
      parts.push(`${wayContent(member)} *${weight}`);
    }
    return parts.sort().join(', ');
  }
}

const wayContent = ({ family, via, interfaceIndex, isOnlink }: Omit<Extract<Nexthop, { type: 'way' }>, 'id'>): string =>
  `${family} ${via?.value.toString(16) ?? ''} %${interfaceIndex}${isOnlink === true ? ' onlink' : ''}`;
