/**
 * nf_tables expressions: what loads a value into a register, compares it, or ends a rule.
 *
 * Register 1 takes every single value; a concatenation (address, protocol, port) spreads over the 4-byte registers behind it.
 */
import { bitsOf, type Family } from 'node-bgp/address';
import type { Side } from '@tortie/policy/ruleset';
import type { NetlinkBatch } from '../../netlink/batch.js';
import { hostWord, NFTA_LIST_ELEM, type Verdict, writeData, writeVerdict } from './protocol.js';

export const REGISTER_1 = 1;
export const REGISTER_VERDICT = 0;
/** NFT_REG32_00, which is where register 1 begins. */
export const REGISTER_32 = 8;

export const enum Compare {
  Equal = 0,
  NotEqual = 1,
  LessOrEqual = 3,
  GreaterOrEqual = 5,
}
export const enum Meta {
  Mark = 3,
  InInterface = 6,
  OutInterface = 7,
  Family = 15,
  Protocol = 16,
}
export const enum Header {
  Network = 1,
  Transport = 2,
}
export const enum Fib {
  OutIndex = 1,
  AddressType = 3,
}
export const enum FibFlag {
  Source = 1,
  Destination = 2,
  InInterface = 8,
}

export const NFPROTO: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

/** One expression by the kernel's name; `fill` writes its attributes. */
export function writeExpression(batch: NetlinkBatch, name: string, fill: () => void): void {
  const element = batch.beginNest(NFTA_LIST_ELEM, true);
  batch.attributeText(1, name);
  const data = batch.beginNest(2, true);
  fill();
  batch.endNest(data);
  batch.endNest(element);
}

export function loadMeta(batch: NetlinkBatch, key: Meta, register = REGISTER_1): void {
  writeExpression(batch, 'meta', () => {
    batch.attributeU32be(1, register);
    batch.attributeU32be(2, key);
  });
}

/** Goes on only with packets of this family. */
export function loadFamily(batch: NetlinkBatch, family: Family): void {
  loadMeta(batch, Meta.Family);
  compare(batch, Compare.Equal, Uint8Array.of(NFPROTO[family]));
}

export function loadPayload(
  batch: NetlinkBatch,
  base: Header,
  offset: number,
  length: number,
  register = REGISTER_1,
): void {
  writeExpression(batch, 'payload', () => {
    batch.attributeU32be(1, register);
    batch.attributeU32be(2, base);
    batch.attributeU32be(3, offset);
    batch.attributeU32be(4, length);
  });
}

/** Offsets of struct iphdr and struct ipv6hdr. */
const addressOffset = (side: Side, family: Family): number =>
  family === 4 ? (side === 'source' ? 12 : 16) : side === 'source' ? 8 : 24;
export const portOffset = (side: Side): number => (side === 'source' ? 0 : 2);

export const loadAddress = (batch: NetlinkBatch, side: Side, family: Family): void =>
  loadPayload(batch, Header.Network, addressOffset(side, family), bitsOf(family) / 8);

export function loadAddressAndPort(batch: NetlinkBatch, side: Side, family: Family): void {
  loadAddress(batch, side, family);
  loadProtocolAndPort(batch, side, REGISTER_32 + bitsOf(family) / 32);
}

export function loadProtocolAndPort(batch: NetlinkBatch, side: Side, register: number): void {
  loadMeta(batch, Meta.Protocol, register);
  loadPayload(batch, Header.Transport, portOffset(side), 2, register + 1);
}

export function loadFib(batch: NetlinkBatch, result: Fib, flags: number): void {
  writeExpression(batch, 'fib', () => {
    batch.attributeU32be(1, REGISTER_1);
    batch.attributeU32be(2, result);
    batch.attributeU32be(3, flags);
  });
}

export function loadImmediate(batch: NetlinkBatch, register: number, value: Uint8Array): void {
  writeExpression(batch, 'immediate', () => {
    batch.attributeU32be(1, register);
    writeData(batch, 2, value);
  });
}

export function lookup(batch: NetlinkBatch, set: string, not: boolean, id?: number): void {
  writeExpression(batch, 'lookup', () => {
    batch.attributeText(1, set);
    batch.attributeU32be(2, REGISTER_1);
    if (id !== undefined) batch.attributeU32be(4, id);
    if (not) batch.attributeU32be(5, 1);
  });
}

export function compare(batch: NetlinkBatch, operation: Compare, value: Uint8Array): void {
  writeExpression(batch, 'cmp', () => {
    batch.attributeU32be(1, REGISTER_1);
    batch.attributeU32be(2, operation);
    writeData(batch, 3, value);
  });
}

/** register = (register & bits) ^ flip, on 32 bits of the machine's order. */
export const mask = (batch: NetlinkBatch, bits: number, flip: number): void =>
  maskBytes(batch, hostWord(bits), hostWord(flip));

export function maskBytes(batch: NetlinkBatch, bits: Uint8Array, flip: Uint8Array): void {
  writeExpression(batch, 'bitwise', () => {
    batch.attributeU32be(1, REGISTER_1);
    batch.attributeU32be(2, REGISTER_1);
    batch.attributeU32be(3, bits.length);
    writeData(batch, 4, bits);
    writeData(batch, 5, flip);
  });
}

/** Ends the rule; `chain` is where a jump or goto leads. */
export function verdict(batch: NetlinkBatch, code: Verdict, chain?: string): void {
  writeExpression(batch, 'immediate', () => {
    batch.attributeU32be(1, REGISTER_VERDICT);
    const data = batch.beginNest(2, true);
    writeVerdict(batch, code, chain);
    batch.endNest(data);
  });
}

export const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 255);
