/**
 * A ruleset in one nftables table of our own ("table inet tortie"), over netlink from this process: sets, verdict maps and rules change
 * in one transaction, so there is no instant between two states at all.
 *
 * The kernel names every message that it refuses; what they belong to is left out and the rest is tried again. A refused new chain that
 * others go to is created closed (drop). Whoever else touches the table is seen by nftables' events.
 */
import { setName, type Family, type Part, type Ruleset, type RulesetDelta } from '@tortie/policy/ruleset';
import { NetlinkSocket } from '../../netlink/netlink-socket.js';
import type { Backoff } from '../backoff.js';
import type { Within } from '../child.js';
import { HandedOver } from '../parts.js';
import { watchTransactions, type RuleEvents } from '../rule-events.js';
import type { Findings, PolicyTarget, Written } from '../policy-target.js';
import { kernelTypeOf } from '../set-protocol.js';
import type { SetHeader } from '../set-protocol.js';
import { SetState } from '../set-state.js';
import type { NetfilterStatus, Observation } from '../status.js';
import { sweepIptables } from '../sweep.js';
import { keysOf } from './element.js';
import { describeMapKey, mapKeyText } from './map-key.js';
import { NftState } from './nft-state.js';
import { isSetItem, subjectOf, contentOf, type NftItem, type SetItem } from './nft-item.js';
import { NftWriter } from './nft-writer.js';
import { NFPROTO_INET, TABLE } from './protocol.js';
import { readChain, readElements, readTable, type ReadSet, type ReadTable } from './reader.js';

/** After a write, wait so long without another one before reading back. */
const QUIET_BEFORE_READBACK = 1_500;
/** Chains, sets and maps that are read back at once, some ten milliseconds; the rest are left for the next pass, behind whoever waits. */
const MOST_READ_AT_ONCE = 256;
/** Between two such. */
const PAUSE_IN_READBACK = 20;
const SWEEP = 'sweep of iptables';
const READ = 'read table inet tortie';

export class NftTarget implements PolicyTarget {
  private readonly handed = new HandedOver();
  private readonly sets = new SetState(this.handed);
  private readonly state = new NftState(this.handed);
  private readonly writer: NftWriter;
  private readonly socket: NetlinkSocket;
  private events: RuleEvents | undefined;
  private readBack: NodeJS.Timeout | undefined;
  private onAlarm: () => void = () => undefined;
  /** Why to look: our own writes rest, the table may not be as we think, somebody else touched it. */
  private suspicion: 'none' | 'read back' | 'doubt' | 'foreign' = 'none';
  /** Sets that were written and not read back since. BOUNDED by the sets there are. */
  private readonly unreadSets = new Set<string>();
  /** Likewise maps, with what their keys are. */
  private readonly unreadMaps = new Map<string, number>();
  private tableExists = false;
  /** A set stands under our name as something else: the table is made anew, in one transaction. */
  private needsRebuild = false;
  private isSwept = false;
  private isClosed = false;

  /** Opens its sockets in the namespace that `within` leads to. Throws SystemError. */
  constructor(
    private readonly families: readonly Family[],
    private readonly within: Within,
    private readonly reason: string,
  ) {
    this.socket = within(() => new NetlinkSocket({ family: 'netfilter' }));
    this.writer = within(() => new NftWriter());
  }

  takeWhole(ruleset: Ruleset, part: Part): void {
    this.handed.add(part);
    this.sets.reset(part);
    this.state.reset(part);
    for (const set of ruleset.sets.values()) this.sets.create(set);
    for (const chain of ruleset.chains.values()) this.state.upsertChain(chain);
    for (const map of ruleset.maps.values()) this.state.upsertMap(map);
    this.state.setHooks(ruleset.hooks, part);
  }

  takeDelta(delta: RulesetDelta, part: Part): void {
    for (const set of delta.setsCreated) this.sets.create(set);
    for (const change of delta.setsChanged) if (this.sets.has(change.name)) this.sets.change(change);
    for (const name of delta.setsDeleted) if (this.sets.has(name)) this.sets.delete(name);
    for (const chain of delta.chainsUpserted) this.state.upsertChain(chain);
    for (const map of delta.mapsUpserted) this.state.upsertMap(map);
    for (const change of delta.mapsChanged) this.state.changeMap(change);
    for (const name of delta.chainsDeleted) this.state.deleteChain(name);
    for (const name of delta.mapsDeleted) this.state.deleteMap(name);
    if (delta.hooks !== undefined) this.state.setHooks(delta.hooks, part);
  }

  async observe(): Promise<Observation> {
    const { chains, sets } = await readTable(this.socket);
    const tables =
      chains.size === 0
        ? []
        : this.families.map((family) => ({ family, table: 'filter' as const, chains: chains.size }));
    return { chains: chains.size, sets: [...sets.values()].filter((set) => !set.isMap).length, tables };
  }

  async lookAtAll(): Promise<void> {
    this.suspicion = 'none';
    await this.compare(await readTable(this.socket));
  }

  async look(backoff: Backoff): Promise<Findings> {
    if (this.suspicion === 'none') return new Map();
    const { suspicion } = this;
    this.suspicion = 'none';
    const findings =
      (suspicion === 'read back' ? await this.compareWritten() : undefined) ??
      (await this.compare(await readTable(this.socket), suspicion === 'foreign'));
    backoff.note(4, READ, undefined);
    return new Map([[4, findings]]);
  }

  async write(backoff: Backoff, _isWhole: boolean, written: (part: Partial<Written>) => void): Promise<boolean> {
    const now = Date.now();
    const planned: readonly NftItem[] = [...this.sets.additions(), ...this.sets.removals(), ...this.state.plan()];
    backoff.keepOnly(4, (subject) => subject.startsWith('inet tortie '), new Set(planned.map(subjectOf)));
    const items = planned.filter((item) => !backoff.isHeld(4, subjectOf(item), contentOf(item), now));
    if (items.length === 0) return true;
    const { done, refused } = await this.writer.write(items, {
      isInKernel: (name) => this.state.isInKernel(name),
      rebuild: this.needsRebuild,
      tableExists: this.tableExists,
    });
    this.tableExists = true;
    this.needsRebuild = false;
    for (const item of done) {
      if (!isSetItem(item)) this.state.done(item);
      backoff.succeeded(4, subjectOf(item));
    }
    this.sets.done(done.filter(isSetItem), []);
    for (const { item, message } of refused) backoff.failed(4, subjectOf(item), contentOf(item), message, Date.now());
    for (const item of done) this.noteUnread(item);
    // What was refused may have met a table that is not as we think.
    if (refused.length > 0) this.suspicion = 'doubt';
    written(countOf(done));
    if (this.events !== undefined) this.scheduleReadBack();
    return true;
  }

  async sweepOthers(backoff: Backoff): Promise<void> {
    if (this.isSwept || backoff.isHeld(4, SWEEP, '', Date.now())) return;
    const problem = await sweepIptables(this.families, this.within);
    backoff.note(4, SWEEP, problem);
    this.isSwept = problem === undefined;
  }

  watch(onAlarm: () => void): void {
    if (this.events !== undefined || this.isClosed) return;
    this.onAlarm = onAlarm;
    this.events = this.within(() =>
      watchTransactions({
        isOwn: (portId) => portId === this.writer.portId,
        concerns: (event) => event.family === NFPROTO_INET && event.table === TABLE,
        onTouched: () => this.alarm('foreign'),
      }),
    );
    this.scheduleReadBack();
  }

  malformed(): NetfilterStatus['failures'] {
    return this.sets
      .malformedMembers()
      .map(({ set, family, message }) => ({ subject: `set ${set}`, family, message, attempts: 1 }));
  }

  get isClean(): boolean {
    return this.sets.isClean && this.state.isClean;
  }

  get backends(): NetfilterStatus['backends'] {
    return new Map(this.families.map((family) => [family, { backend: 'nftables', reason: this.reason }]));
  }

  readonly retryAt = undefined;
  readonly setTransport = { type: 'netlink' } as const;

  close(): void {
    this.isClosed = true;
    clearTimeout(this.readBack);
    this.events?.close();
    this.writer.close();
    this.socket.close();
  }

  private alarm(suspicion: 'read back' | 'foreign'): void {
    if (suspicion === 'foreign' || this.suspicion === 'none') this.suspicion = suspicion;
    this.onAlarm();
  }

  private scheduleReadBack(pause = QUIET_BEFORE_READBACK): void {
    clearTimeout(this.readBack);
    this.readBack = setTimeout(() => this.alarm('read back'), pause);
    this.readBack.unref();
  }

  /**
   * Reads back what was written and nothing else: whoever else touches the table is told by its events. Ten thousand Services are sixty
   * thousand rules, a second's reading, so it is done piece by piece. Undefined when only a look at everything tells.
   */
  private async compareWritten(): Promise<readonly string[] | undefined> {
    const chains = this.state.unverified().slice(0, MOST_READ_AT_ONCE);
    const read = new Map<string, Awaited<ReturnType<typeof readChain>>>();
    for (const name of chains) read.set(name, await readChain(this.socket, name));
    const findings = [...this.state.observeChains(read)];
    let left = MOST_READ_AT_ONCE - chains.length;
    for (const name of this.unreadSets) {
      if (left-- <= 0) break;
      this.unreadSets.delete(name);
      const type = this.sets.typeOf(name);
      const elements = type === undefined ? undefined : await readElements(this.socket, name);
      if (type === undefined) continue;
      // Gone, or something else under its name: only a look at everything tells.
      if (elements === undefined) return undefined;
      const family: Family = name.startsWith(setName(6, '')) ? 6 : 4;
      for (const finding of this.sets.compare(name, keysOf(type, family, elements))) findings.push(finding);
    }
    for (const [name, keyType] of this.unreadMaps) {
      if (left-- <= 0) break;
      this.unreadMaps.delete(name);
      for (const finding of this.state.observeMap(name, await this.readMap(name, keyType))) findings.push(finding);
    }
    if (left <= 0) this.scheduleReadBack(PAUSE_IN_READBACK);
    return findings;
  }

  private noteUnread(item: NftItem): void {
    if (isSetItem(item)) this.unreadSets.add(nameOfSet(item));
    else if (item.type === 'map') this.unreadMaps.set(item.name, describeMapKey(item.map).keyType);
    else if (item.type === 'delete-map') this.unreadMaps.delete(item.name);
  }

  /** Takes the table in; marks and tells differences. */
  private async compare(table: ReadTable, isForeign = false): Promise<readonly string[]> {
    this.tableExists = table.exists;
    this.unreadSets.clear();
    this.unreadMaps.clear();
    const maps = new Map<string, ReadonlyMap<string, string>>();
    for (const set of table.sets.values())
      if (set.isMap) maps.set(set.name, (await this.readMap(set.name, set.keyType)) ?? new Map());
    const findings = [...this.state.observe(table, maps, isForeign)];
    const sets = [...table.sets.values()].filter((set) => !set.isMap);
    const headers = sets.map(headerOf);
    for (const finding of this.sets.observe(headers).findings) findings.push(finding);
    if (this.sets.additions().some((operation) => operation.type === 'swap')) {
      this.needsRebuild = true;
      this.state.forgetKernel();
      this.sets.remakeAll();
      return findings;
    }
    for (const header of headers) {
      if (header.type === undefined || !this.sets.has(header.name)) continue;
      const elements = (await readElements(this.socket, header.name)) ?? [];
      for (const finding of this.sets.compare(header.name, keysOf(header.type, header.family, elements)))
        findings.push(finding);
    }
    return findings;
  }

  private async readMap(name: string, keyType: number): Promise<ReadonlyMap<string, string> | undefined> {
    const elements = await readElements(this.socket, name);
    return elements && new Map(elements.map((element) => [mapKeyText(keyType, element.key), element.goto ?? '']));
  }
}

/** What kind of address set the kernel's description fits. */
function headerOf(set: ReadSet): SetHeader {
  const family: Family = set.name.startsWith(setName(6, '')) ? 6 : 4;
  const bytes = family === 4 ? 4 : 16;
  const type =
    set.keyLength === bytes
      ? set.isInterval
        ? 'network'
        : 'address'
      : set.keyLength === bytes + 8 && !set.isInterval
        ? 'address-port'
        : undefined;
  return {
    name: set.name,
    kernelType: type === undefined ? `set of ${set.keyLength} bytes` : kernelTypeOf(type),
    type,
    family,
    maxElements: 0,
    elements: -1,
    references: 0,
  };
}

function countOf(items: readonly NftItem[]): Partial<Written> {
  const members = (type: 'add' | 'delete'): number =>
    items.reduce(
      (sum, item) => sum + (item.type === type && isSetItem(item) && 'members' in item ? item.members.length : 0),
      0,
    );
  return {
    chainsWritten: items.filter((item) => item.type === 'write').length,
    membersAdded: members('add'),
    membersRemoved: members('delete'),
  };
}

const nameOfSet = (item: SetItem): string => ('set' in item ? item.set.name : item.name);
