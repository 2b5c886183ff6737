/** What is fuzzed: for each decoder how to build inputs by its grammar, and the promises it has to keep on any input. */
import { decodeBfdPacket, encodeBfdPacket, type BfdState } from 'node-bgp/bfd/packet';
import { detectionTime, newBfdSession, stepBfd, transmitDelay, type BfdSession } from 'node-bgp/bfd/session';
import { strongest, type BgpError } from 'node-bgp/codec/bgp-error';
import { MessageFramer } from 'node-bgp/codec/framer';
import { decodeControlMessage, encodeControlMessage } from 'node-bgp/codec/message';
import type { DecodeParameters } from 'node-bgp/codec/negotiated';
import { scanNlri } from 'node-bgp/codec/nlri';
import { describeNotification, encodeNotification, notificationOf } from 'node-bgp/codec/notification';
import { encodeAttributes, formatAttributes, parseAttributes } from 'node-bgp/codec/parse';
import { REWRITE_GROWTH, rewriteAttributes } from 'node-bgp/codec/rewrite';
import { decodeUpdate } from 'node-bgp/codec/update';
import { check, mix, type Chance, type FuzzTarget } from './fuzzer.js';
import { ROUTER_TARGET } from './router-fuzz-target.js';

// ---- UPDATE

const CODES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 25, 32, 35, 99] as const;
const FLAGS: Readonly<Record<number, number>> = {
  1: 0x40,
  2: 0x40,
  3: 0x40,
  4: 0x80,
  5: 0x40,
  6: 0x40,
  9: 0x80,
  10: 0x80,
  14: 0x80,
  15: 0x80,
};
const SIZES: Readonly<Record<number, number>> = { 1: 1, 3: 4, 4: 4, 5: 4, 6: 0, 7: 8, 9: 4, 18: 8, 35: 4 };
const ITEMS: Readonly<Record<number, number>> = { 8: 4, 10: 4, 16: 8, 25: 20, 32: 12 };

export function generateUpdate(chance: Chance, out: Uint8Array): number {
  let at = 2;
  if (chance.oneIn(3)) at = putNlri(chance, out, at, 32, chance.oneIn(8));
  put16(out, 0, at - 2);
  const attributes = at;
  at += 2;
  if (!chance.oneIn(12)) {
    for (const code of CODES)
      if (code <= 3 ? !chance.oneIn(30) : chance.oneIn(4)) at = putAttribute(chance, out, at, code);
    if (chance.oneIn(20)) at = putAttribute(chance, out, at, chance.pick([...CODES]));
  }
  put16(out, attributes, at - attributes - 2);
  return chance.oneIn(4) ? at : putNlri(chance, out, at, 32, chance.oneIn(8));
}

function putAttribute(chance: Chance, out: Uint8Array, at: number, code: number): number {
  const isLong = chance.oneIn(6);
  out[at] = (FLAGS[code] ?? 0xc0) | (isLong ? 0x10 : 0);
  out[at + 1] = code;
  const value = at + (isLong ? 4 : 3);
  const end = putValue(chance, out, value, code);
  if (isLong) put16(out, at + 2, end - value);
  else if (end - value > 255) return at;
  else out[at + 2] = end - value;
  return end;
}

function putValue(chance: Chance, out: Uint8Array, at: number, code: number): number {
  const item = ITEMS[code];
  if (code === 2 || code === 17) return putPath(chance, out, at);
  if (code === 14) {
    const isIpv4 = chance.oneIn(3);
    const hop = isIpv4 ? 4 : chance.pick([16, 32]);
    out.set([0, isIpv4 ? 1 : 2, 1, hop], at);
    at = putRandom(chance, out, at + 4, hop);
    out[at++] = 0;
    return putNlri(chance, out, at, isIpv4 ? 32 : 128, chance.oneIn(8));
  }
  if (code === 15) {
    const isIpv4 = chance.oneIn(3);
    out.set([0, isIpv4 ? 1 : 2, 1], at);
    return putNlri(chance, out, at + 3, isIpv4 ? 32 : 128, chance.oneIn(8));
  }
  if (code === 1) {
    out[at] = chance.below(3);
    return at + 1;
  }
  return putRandom(
    chance,
    out,
    at,
    item === undefined ? (SIZES[code] ?? chance.below(9)) : item * (1 + chance.below(4)),
  );
}

function putPath(chance: Chance, out: Uint8Array, at: number): number {
  const width = chance.oneIn(3) ? 2 : 4;
  for (let segments = chance.below(4); segments > 0; segments--) {
    const count = chance.oneIn(30) ? 60 : 1 + chance.below(4);
    out[at++] = chance.oneIn(20) ? chance.below(6) : 1 + chance.below(2);
    out[at++] = count;
    at = putRandom(chance, out, at, count * width);
  }
  return at;
}

function putNlri(chance: Chance, out: Uint8Array, at: number, width: number, addPath: boolean): number {
  for (let count = chance.below(6); count > 0; count--) {
    if (addPath) at = putRandom(chance, out, at, 4);
    const length = chance.below(width + 1);
    out[at++] = length;
    at = putRandom(chance, out, at, (length + 7) >> 3);
  }
  return at;
}

function putRandom(chance: Chance, out: Uint8Array, at: number, count: number): number {
  for (let i = 0; i < count; i++) out[at + i] = chance.below(256);
  return at + count;
}

function put16(out: Uint8Array, at: number, value: number): void {
  out[at] = value >> 8;
  out[at + 1] = value;
}

const base: DecodeParameters = {
  as4: true,
  external: true,
  peerAs: 65001,
  enforceFirstAs: false,
  ipv4: true,
  ipv6: true,
  addPathIpv4: false,
  addPathIpv6: false,
  extendedNextHop: false,
  maxAsPathLength: 0,
};
const SESSIONS: readonly [DecodeParameters, ...DecodeParameters[]] = [
  base,
  { ...base, external: false },
  { ...base, as4: false },
  { ...base, as4: false, external: false },
  { ...base, addPathIpv4: true, addPathIpv6: true },
  { ...base, extendedNextHop: true, maxAsPathLength: 5 },
  { ...base, ipv6: false },
  { ...base, enforceFirstAs: true },
];
const SEVERITIES = ['ok', 'discard', 'withdraw', 'reset'];
const rewritten = new Uint8Array(600_000);

function runUpdate(input: Uint8Array, chance: Chance): number {
  const which = chance.below(SESSIONS.length);
  const update = decodeUpdate(input, 0, input.length, SESSIONS[which] ?? base);
  const { severity, errors, reach, withdrawn, attributes, attributesLength } = update;
  check(severity === (strongest(errors)?.severity ?? 'ok'), `severity ${severity} is that of the strongest error`);
  check(severity === 'ok' || severity === 'discard' || reach.length === 0, `nothing is reachable after ${severity}`);
  check(severity !== 'reset' || withdrawn.length === 0, 'nothing is left after reset');
  check(
    update.endOfRib === undefined || (errors.length === 0 && reach.length + withdrawn.length === 0),
    'End-of-RIB comes alone',
  );
  check(reach.length <= 2 && withdrawn.length <= 4, 'few blocks');
  let signature = mix(which, SEVERITIES.indexOf(severity));
  for (const block of [...reach, ...withdrawn]) {
    check(block.start < block.end && block.end <= input.length && block.bytes === input, 'blocks lie in the message');
    check(
      scanNlri(block.bytes, block.start, block.end, block.family === 4 ? 32 : 128, block.addPath) === block.count &&
        block.count > 0,
      'blocks are well-formed',
    );
    signature = mix(signature, block.family * 2 + (block.addPath ? 1 : 0));
  }
  for (const block of reach)
    check(
      [4, 16, 32].includes(block.nextHopLength) && block.nextHopStart + block.nextHopLength <= input.length,
      'next hops lie in the message',
    );
  for (const error of errors) signature = mix(signature, checkError(error));
  if (attributesLength === 0) return signature;
  for (let at = 0, last = -1; at < attributesLength; ) {
    const code = attributes[at + 1] ?? 0;
    check(code > last, 'the block is in type order');
    last = code;
    signature = mix(signature, code);
    at +=
      (attributes[at] ?? 0) & 0x10
        ? 4 + (attributes[at + 2] ?? 0) * 256 + (attributes[at + 3] ?? 0)
        : 3 + (attributes[at + 2] ?? 0);
    check(at <= attributesLength, 'the block ends with an attribute');
  }
  if (chance.oneIn(16)) checkBlock(attributes.slice(0, attributesLength));
  return signature;
}

function checkBlock(block: Uint8Array): void {
  const attributes = parseAttributes(block);
  const again = encodeAttributes(attributes);
  // Only the Partial bit may get lost on the way through data.
  check(again.length === block.length, 'parse and encode are inverse');
  check(Buffer.compare(again, encodeAttributes(parseAttributes(again))) === 0, 'encoding is stable');
  formatAttributes(attributes);
  for (const as4 of [true, false]) {
    const how = {
      prepend: [64512, 70000],
      localPreference: 'remove',
      med: 'remove',
      reflection: { originatorId: 1, clusterId: 2 },
      otc: 3,
      transitiveOnly: true,
      as4,
    } as const;
    const end = rewriteAttributes(block, 0, block.length, how, rewritten, 0);
    check(end <= 2 * (block.length + REWRITE_GROWTH + 8), 'a rewrite stays within its bounds');
    if (as4) parseAttributes(rewritten.subarray(0, end));
  }
}

function checkError(error: BgpError): number {
  check(
    error.code >= 1 && error.code <= 8 && error.subcode >= 0 && error.subcode <= 11,
    'errors have codes that exist',
  );
  check(encodeNotification(notificationOf(error)).length <= 4077, 'errors fit a NOTIFICATION');
  describeNotification(error.code, error.subcode, error.data);
  return mix(error.code * 256 + error.subcode, SEVERITIES.indexOf(error.severity));
}

// ---- OPEN, NOTIFICATION, ROUTE-REFRESH; the first octet of an input is the message's type

function generateControl(chance: Chance, out: Uint8Array): number {
  out[0] = chance.oneIn(5) ? chance.below(8) : 1;
  if (out[0] !== 1) return putRandom(chance, out, 1, chance.below(40));
  out.set([4, 0xfc, 0, 0, 90, 10, 0, 0, 1], 1);
  let at = 11;
  const isExtended = chance.oneIn(5);
  if (isExtended) at += 3;
  for (let parameters = chance.below(3); parameters > 0; parameters--) {
    out[at] = chance.oneIn(20) ? chance.below(256) : 2;
    const value = at + (isExtended ? 3 : 2);
    const end = putCapabilities(chance, out, value);
    if (isExtended) put16(out, at + 1, end - value);
    else out[at + 1] = end - value;
    at = end;
  }
  if (isExtended) {
    out.set([255, 255], 10);
    put16(out, 12, at - 14);
  } else out[10] = at - 11;
  return at;
}

function putCapabilities(chance: Chance, out: Uint8Array, at: number): number {
  for (let count = chance.below(5); count > 0; count--) {
    out[at] = chance.pick([1, 2, 5, 6, 9, 64, 65, 69, 70, 71, 73, 200]);
    const size = chance.pick([0, 1, 2, 4, 6, 7, 8, 10, 14]);
    out[at + 1] = size;
    at = putRandom(chance, out, at + 2, size);
  }
  return at;
}

function runControl(input: Uint8Array, chance: Chance): number {
  const type = input[0] ?? 0;
  const outcome = decodeControlMessage(type, input, Math.min(1, input.length), input.length);
  if (outcome.type === 'error') return mix(type, checkError(outcome.error));
  const { value } = outcome;
  let signature = type;
  if (value.type === 'open')
    for (const capability of value.capabilities)
      signature = mix(signature, capability.type.length * 256 + capability.type.charCodeAt(0));
  if (value.type === 'notification') {
    describeNotification(value.code, value.subcode, value.data);
    signature = mix(signature, value.code * 256 + value.subcode);
  }
  if (!chance.oneIn(8) || (value.type === 'route-refresh' && value.subtype === 'unknown')) return signature;
  const message = encodeControlMessage(value);
  const again = decodeControlMessage(type, message, 19, message.length);
  check(
    again.type === 'ok' && Buffer.compare(encodeControlMessage(again.value), message) === 0,
    'encode and decode are inverse',
  );
  return signature;
}

// ---- streams

function generateStream(chance: Chance, out: Uint8Array): number {
  let at = 0;
  for (let count = chance.below(6); count > 0; count--) {
    const type = chance.pick([1, 2, 2, 2, 3, 4, 4, 5]);
    const body = type === 4 ? 0 : type === 1 ? 10 + chance.below(20) : 4 + chance.below(60);
    out.fill(0xff, at, at + 16);
    put16(out, at + 16, 19 + body);
    out[at + 18] = type;
    at = putRandom(chance, out, at + 19, body);
  }
  return at;
}

function runStream(input: Uint8Array, chance: Chance): number {
  const whole = framed([input]);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const end = Math.min(input.length, at + (chance.oneIn(3) ? 1 : 1 + chance.below(80)));
    chunks.push(input.subarray(at, end));
    at = end;
  }
  const cut = framed(chunks);
  check(whole.text === cut.text, 'a stream means the same however it is cut');
  return mix(whole.messages, whole.error === undefined ? 0 : checkError(whole.error));
}

function framed(chunks: readonly Uint8Array[]): {
  readonly text: string;
  readonly messages: number;
  readonly error: BgpError | undefined;
} {
  let text = '';
  let messages = 0;
  const framer = new MessageFramer((type, bytes, start, end) => {
    messages++;
    text += `${type}:${end - start}:${start === end ? '' : `${bytes[start] ?? 0}:${bytes[end - 1] ?? 0}`} `;
  });
  let error: BgpError | undefined;
  for (const chunk of chunks) error ??= framer.push(chunk);
  check(framer.pending < 4096, 'the framer holds one message at most');
  return { text: `${text}${error?.reason ?? ''}`, messages, error };
}

// ---- BFD; the first octet of an input picks the state of the session that hears the packet

function generateBfd(chance: Chance, out: Uint8Array): number {
  putRandom(chance, out, 0, 25);
  out[1] = 0x20 | (chance.oneIn(4) ? chance.below(32) : 0);
  out[2] = (out[2] ?? 0) & (chance.oneIn(4) ? 0xff : 0xfa);
  out[4] = 24;
  if (chance.oneIn(2)) out.set([0, 0, 0, 5], 9);
  return 25;
}

const BFD_SESSIONS = ((): readonly BfdSession[] => {
  const wanted = { desiredMinTx: 50_000, requiredMinRx: 50_000, detectMultiplier: 3, requiredMinEchoRx: 50_000 };
  const heard = (session: BfdSession, state: BfdState): BfdSession =>
    stepBfd(session, {
      type: 'packet',
      packet: {
        diagnostic: 0,
        state,
        poll: false,
        final: false,
        controlPlaneIndependent: false,
        demand: false,
        detectMultiplier: 3,
        myDiscriminator: 9,
        yourDiscriminator: 5,
        desiredMinTx: 50_000,
        requiredMinRx: 50_000,
        requiredMinEchoRx: 0,
      },
    })[0];
  const down = newBfdSession(5, wanted);
  const init = heard(down, 'down');
  return [down, init, heard(init, 'init'), stepBfd(down, { type: 'admin-down' })[0]];
})();

function runBfd(input: Uint8Array): number {
  const decoded = decodeBfdPacket(input.subarray(1));
  if (decoded.type === 'discard') return mix(7, decoded.reason.length);
  const [session, actions] = stepBfd(
    BFD_SESSIONS[(input[0] ?? 0) & 3] ??
      newBfdSession(1, { desiredMinTx: 1, requiredMinRx: 1, detectMultiplier: 1, requiredMinEchoRx: 0 }),
    { type: 'packet', packet: decoded.packet },
  );
  const delay = transmitDelay(session, 0.5);
  check(delay === undefined || (delay >= 0 && Number.isFinite(delay)), 'the next packet has a time');
  const time = detectionTime(session);
  check(session.state === 'admin-down' || (time !== undefined && time > 0), 'silence has an end');
  for (const action of actions)
    if (action.type === 'send')
      check(decodeBfdPacket(encodeBfdPacket(action.packet)).type === 'ok', 'we send what we would take');
  return mix(
    mix((input[0] ?? 0) & 3, session.state.length),
    actions.length * 16 + (session.isPolling ? 1 : 0) + (delay === undefined ? 2 : 0),
  );
}

export const TARGETS: readonly FuzzTarget[] = [
  { name: 'update', generate: generateUpdate, run: runUpdate },
  { name: 'control', generate: generateControl, run: runControl },
  { name: 'stream', generate: generateStream, run: runStream },
  { name: 'bfd', generate: generateBfd, run: runBfd },
  ROUTER_TARGET,
];
