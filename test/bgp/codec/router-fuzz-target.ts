/**
 * Router Solicitations and Advertisements for the fuzzer: built by the grammar of RFC 4861 section 4, and what the
 * decoder promises of them.
 */
import { decodeRouterMessage } from 'node-bgp/discovery/router-message';
import { check, mix, type Chance, type FuzzTarget } from './fuzzer.js';

function generate(chance: Chance, out: Uint8Array): number {
  const isAdvertisement = !chance.oneIn(3);
  let at = isAdvertisement ? 16 : 8;
  for (let i = 0; i < at; i++) out[i] = i < 2 ? 0 : chance.below(256);
  out[0] = isAdvertisement ? 134 : 133;
  for (let options = chance.below(6); options > 0; options--) {
    const units = chance.oneIn(12) ? chance.below(256) : 1 + chance.below(4);
    out[at] = chance.below(32);
    out[at + 1] = units;
    for (let i = 2; i < 8 * Math.min(units, 4); i++) out[at + i] = chance.below(256);
    at += 8 * Math.min(Math.max(units, 1), 4);
  }
  return at;
}

function run(input: Uint8Array): number {
  const message = decodeRouterMessage(input);
  if (message.type === 'invalid')
    return [...message.reason].reduce((hash, letter) => mix(hash, letter.charCodeAt(0)), 1);
  const header = message.type === 'solicitation' ? 8 : 16;
  check(
    input[0] === (message.type === 'solicitation' ? 133 : 134) && input[1] === 0,
    'type and code are what they must be',
  );
  let options = 0;
  let at = header;
  for (; at < input.length; options++) {
    check((input[at + 1] ?? 0) > 0, 'no option has length 0');
    at += 8 * (input[at + 1] ?? 0);
  }
  check(at === input.length, 'options fill the message exactly');
  check(
    message.type === 'solicitation' || (message.lifetime >= 0 && message.lifetime <= 0xffff),
    'the lifetime is a number of 16 bits',
  );
  return mix(header, options);
}

export const ROUTER_TARGET: FuzzTarget = { name: 'router', generate, run };
