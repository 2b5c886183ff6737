/**
 * A process on a link, run by icmpv6-socket.test.ts in a namespace: `listen eth0` says what it hears, `send eth0` says
 * what it should not and should.
 */
import { formatAddress, parseAddress } from 'node-bgp/address';
import { DiscoveryError } from 'node-bgp/discovery/contract';
import { openRouterSocket } from 'node-bgp/discovery/icmpv6-socket';
import { encodeAdvertisement, encodeSolicitation } from 'node-bgp/discovery/router-message';
import { int32, IPPROTO_ICMPV6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, libc, SOCK_RAW } from 'node-bgp/native/libc';
import { AF_INET6, encodeSockaddr } from 'node-bgp/transport/sockaddr';

const [, , mode = '', interfaceName = ''] = process.argv;
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

try {
  const socket = openRouterSocket(interfaceName, {
    onMessage: (bytes, from) => say(`${formatAddress(from)} ${bytes[0] ?? ''} ${bytes.length}`),
    onFailure: (reason) => say(reason),
  });
  if (mode === 'listen') say('ready');
  else {
    sendFromAfar();
    const errors = [
      socket.send(encodeSolicitation(socket.linkLayer), 'all-routers'),
      socket.send(encodeAdvertisement(socket.linkLayer), 'all-nodes'),
      socket.send(encodeAdvertisement(), parseAddress('fe80::dead')),
    ];
    say(JSON.stringify(errors.filter((error) => error !== undefined)));
    socket.close();
  }
} catch (error) {
  if (!(error instanceof DiscoveryError)) throw error;
  say(error.message);
}

/** An advertisement as if a router had passed it on: its hop limit is not 255. */
function sendFromAfar(): void {
  const calls = libc();
  if (typeof calls === 'string') throw new Error(calls);
  const fd = calls.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  calls.setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, int32(254), 4);
  const target = encodeSockaddr('ff02::1', 0, { scopeId: calls.ifNameToIndex(interfaceName) });
  const bytes = encodeAdvertisement();
  if (calls.sendto(fd, bytes, bytes.length, 0, target, target.length) !== bytes.length)
    throw new Error('Cannot send from afar');
  calls.close(fd);
}
