/**
 * Traffic control as rtnetlink messages (linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h): a token bucket at an
 * interface's exit, and the way of all that enters it over another interface, so that a bucket can stand there too.
 *
 * ```
 * struct tcmsg: family(1) pad(3) interface index(4) handle(4) parent(4) info(4), attributes
 * struct tc_tbf_qopt: rate(12) peak rate(12) limit(4) buffer(4) mtu(4)
 * struct tc_ratespec: cell_log(1) linklayer(1) overhead(2) cell_align(2) mpu(2) rate(4)
 * ```
 */
import type { NetlinkBatch } from './batch.js';
import { RTM_NEWLINK } from './link.js';
import { forEachAttribute, type Octets } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './protocol.js';

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_GETQDISC = 38;
const RTM_NEWTFILTER = 44;
const RTM_GETTFILTER = 46;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_H_ROOT = 0xffffffff;
const TC_H_INGRESS = 0xfffffff1;
const INGRESS_HANDLE = 0xffff0000;
/** Numbered by us, so that a bucket of ours is known: "7071:". */
const BUCKET_HANDLE = 0x70710000;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_PRATE64 = 5;
const TCA_TBF_BURST = 6;
const TCA_TBF_PBURST = 7;
const TC_LINKLAYER_ETHERNET = 1;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TC_U32_TERMINAL = 1;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
/** ETH_P_ALL in network order, below the preference. */
const ALL_PROTOCOLS = (1 << 16) | 0x0300;
const TCMSG_SIZE = 20;
const IFF_UP = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_GROUP = 27;

/** Octets, octets a second. A packet that would wait longer than `limit` octets take is dropped. */
export interface TokenBucket {
  readonly rate: number;
  readonly burst: number;
  readonly limit: number;
  /** A second bucket, of the rate at which the first one empties. Its burst holds at least one packet. */
  readonly peak?: { readonly rate: number; readonly burst: number };
}

/** At the interface's exit; replaces what is there. */
export function writeTokenBucket(batch: NetlinkBatch, index: number, { rate, burst, limit, peak }: TokenBucket): void {
  batch.beginMessage(
    RTM_NEWQDISC,
    NLM_F_CREATE | NLM_F_REPLACE,
    () => `put a token bucket (tbf) on interface ${index}`,
  );
  writeHeader(batch, index, BUCKET_HANDLE, TC_H_ROOT);
  batch.attributeText(TCA_KIND, 'tbf');
  const options = batch.beginNest(TCA_OPTIONS);
  const parameters = Buffer.alloc(36);
  const words = new DataView(parameters.buffer, parameters.byteOffset, parameters.length);
  parameters[1] = TC_LINKLAYER_ETHERNET;
  words.setUint32(8, Math.min(rate, 0xffff_ffff), true);
  if (peak !== undefined) {
    parameters[13] = TC_LINKLAYER_ETHERNET;
    words.setUint32(20, Math.min(peak.rate, 0xffff_ffff), true);
  }
  words.setUint32(24, Math.min(limit, 0xffff_ffff), true);
  batch.attribute(TCA_TBF_PARMS, parameters);
  batch.attributeU64(TCA_TBF_RATE64, BigInt(rate));
  batch.attributeU32(TCA_TBF_BURST, burst);
  if (peak !== undefined) {
    batch.attributeU64(TCA_TBF_PRATE64, BigInt(peak.rate));
    batch.attributeU32(TCA_TBF_PBURST, peak.burst);
  }
  batch.endNest(options);
  batch.endMessage();
}

/** Whatever stands at the interface's exit goes: the kernel's own takes its place. */
export function writeExitDeletion(batch: NetlinkBatch, index: number): void {
  batch.beginMessage(RTM_DELQDISC, 0, () => `take the token bucket off interface ${index}`);
  writeHeader(batch, index, 0, TC_H_ROOT);
  batch.endMessage();
}

/**
 * All that enters goes out by the other interface first, and then on as if it had entered just now. An entry that is watched already is
 * shared: this comes before what others have there.
 */
export function writeEntryRedirect(batch: NetlinkBatch, index: number, over: number): void {
  batch.beginMessage(RTM_NEWQDISC, NLM_F_CREATE, () => `watch the entry (ingress) of interface ${index}`);
  writeHeader(batch, index, INGRESS_HANDLE, TC_H_INGRESS);
  batch.attributeText(TCA_KIND, 'ingress');
  batch.endMessage();
  batch.beginMessage(RTM_NEWTFILTER, NLM_F_CREATE, () => `redirect (u32, mirred) the entry of interface ${index}`);
  writeHeader(batch, index, 0, INGRESS_HANDLE, ALL_PROTOCOLS);
  batch.attributeText(TCA_KIND, 'u32');
  const options = batch.beginNest(TCA_OPTIONS);
  // struct tc_u32_sel with one key that every packet has: mask 0, value 0.
  const selector = Buffer.alloc(32);
  selector[0] = TC_U32_TERMINAL;
  selector[2] = 1;
  batch.attribute(TCA_U32_SEL, selector);
  const actions = batch.beginNest(TCA_U32_ACT);
  const action = batch.beginNest(1);
  batch.attributeText(TCA_ACT_KIND, 'mirred');
  const parameters = batch.beginNest(TCA_ACT_OPTIONS);
  const mirred = Buffer.alloc(28);
  mirred.writeInt32LE(TC_ACT_STOLEN, 8);
  mirred.writeInt32LE(TCA_EGRESS_REDIR, 20);
  mirred.writeUInt32LE(over, 24);
  batch.attribute(TCA_MIRRED_PARMS, mirred);
  batch.endNest(parameters);
  batch.endNest(action);
  batch.endNest(actions);
  batch.endNest(options);
  batch.endMessage();
}

export function writeEntryDeletion(batch: NetlinkBatch, index: number): void {
  batch.beginMessage(RTM_DELQDISC, 0, () => `leave the entry of interface ${index} alone`);
  writeHeader(batch, index, INGRESS_HANDLE, TC_H_INGRESS);
  batch.endMessage();
}

/** An interface that gives back what it is given: a place for a bucket. `group` and nothing else marks it from its first instant. */
export function writeIfb(batch: NetlinkBatch, name: string, group: number, mtu: number): void {
  batch.beginMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, () => `create interface "${name}" (ifb)`);
  batch.u32(0);
  batch.i32(0);
  batch.u32(IFF_UP);
  batch.u32(IFF_UP);
  batch.attributeText(IFLA_IFNAME, name);
  batch.attributeU32(IFLA_MTU, mtu);
  batch.attributeU32(IFLA_GROUP, group);
  const info = batch.beginNest(IFLA_LINKINFO);
  batch.attributeText(1, 'ifb');
  batch.endNest(info);
  batch.endMessage();
}

/** What stands at an interface. */
export interface TrafficControl {
  /** Octets a second of our bucket at the exit. */
  rate?: number;
  /** That of its peak; 0: it has none. */
  peak?: number;
  /** Is its entry watched? */
  hasEntry?: boolean;
}

/** By interface index; those that have neither are not in it. */
export function listTrafficControl(socket: NetlinkSocket): ReadonlyMap<number, TrafficControl> {
  const found = new Map<number, TrafficControl>();
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_GETQDISC, 0, () => 'list traffic control');
  writeHeader(batch, 0, 0, 0);
  batch.endMessage();
  socket.dump(
    batch,
    ({ type, body }) => {
      if (type !== RTM_NEWQDISC) return;
      const index = body.i32(4);
      const handle = body.u32(8);
      let kind = '';
      let [rate, peak] = [0, 0];
      forEachAttribute(body, TCMSG_SIZE, body.length, (attribute, start, end) => {
        if (attribute === TCA_KIND) kind = body.text(start, end);
        else if (attribute === TCA_OPTIONS && kind === 'tbf')
          forEachAttribute(body, start, end, (option, from) => {
            if (option === TCA_TBF_PARMS) {
              if (rate === 0) rate = body.u32(from + 8);
              if (peak === 0) peak = body.u32(from + 20);
            } else if (option === TCA_TBF_RATE64) rate = wideOf(body, from);
            else if (option === TCA_TBF_PRATE64) peak = wideOf(body, from);
          });
      });
      const known = found.get(index) ?? {};
      if (kind === 'tbf' && handle === BUCKET_HANDLE) found.set(index, { ...known, rate, peak });
      else if (kind === 'ingress') found.set(index, { ...known, hasEntry: true });
    },
    () => found.clear(),
  );
  return found;
}

const wideOf = (body: Octets, at: number): number => body.u32(at) + body.u32(at + 4) * 2 ** 32;

/** Index of the interface over which all that enters this one is led, as writeEntryRedirect says it; undefined: over none. */
export function entryRedirect(socket: NetlinkSocket, index: number): number | undefined {
  let over: number | undefined;
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_GETTFILTER, 0, () => `list filters at the entry of interface ${index}`);
  writeHeader(batch, index, 0, INGRESS_HANDLE);
  batch.endMessage();
  socket.dump(
    batch,
    ({ type, body }) => {
      if (type === RTM_NEWTFILTER) over ??= redirectionOf(body);
    },
    () => (over = undefined),
  );
  return over;
}

/** TCA_OPTIONS > TCA_U32_ACT > the first action > TCA_ACT_OPTIONS > TCA_MIRRED_PARMS */
function redirectionOf(body: Octets): number | undefined {
  const path = [TCA_OPTIONS, TCA_U32_ACT, 1, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS];
  let over: number | undefined;
  const descend = (from: number, to: number, depth: number): void =>
    forEachAttribute(body, from, to, (attribute, start, end) => {
      if (attribute !== path[depth]) return;
      if (depth + 1 < path.length) descend(start, end, depth + 1);
      else if (body.i32(start + 20) === TCA_EGRESS_REDIR) over = body.u32(start + 24);
    });
  descend(TCMSG_SIZE, body.length, 0);
  return over;
}

function writeHeader(batch: NetlinkBatch, index: number, handle: number, parent: number, info = 0): void {
  batch.u32(0);
  batch.i32(index);
  batch.u32(handle);
  batch.u32(parent >>> 0);
  batch.u32(info);
}
