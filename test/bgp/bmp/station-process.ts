/** The station as a process, to be run inside a network namespace: prints a line per message. */
import { decodePlain, IBGP } from '../codec/sessions.js';
import { Station } from './station.js';

const station = new Station();
await station.listen('127.0.0.1', 11019);
console.log('ready');
let told = 0;
setInterval(() => {
  for (const { type, peer, body } of station.heard.slice(told)) {
    told++;
    const update = type === 'route-monitoring' ? decodePlain(body.subarray(19), IBGP) : undefined;
    // GoBGP shows its own routes without an AS_PATH, which a decoder of sessions treats as withdrawn.
    console.log(`${type} ${peer} ${[...(update?.reach ?? []), ...(update?.withdrawn ?? [])].join(' ')}`);
  }
}, 20);
