import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPod, getPod, isReady, soon, useRack, type KubePod } from './rack-fixture.js';

const SIZE = 2_000_000;
const SMALL = '1400';
/** Answers with how many bytes came. */
const SERVER = `require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  let count = 0;
  socket.on('data', (chunk) => (count += chunk.length));
  socket.on('end', () => socket.end(String(count)));
}).listen(7000, '::', () => console.log('listening'));`;
const CLIENT = `const socket = require('node:net').connect(7000, process.argv[1], () => socket.end(Buffer.alloc(${SIZE})));
socket.pipe(process.stdout);`;

/** Segments that fit the sender's link and not the receiver's: routers say so (RFC 1191, RFC 8201), and the word has to come through. */
describe('lab, nodes of unequal MTU', function () {
  this.timeout(120_000);
  const rack = useRack('m');
  const inside = (namespace: string, ...argv: readonly string[]): string =>
    execFileSync('ip', ['netns', 'exec', namespace, ...argv], { encoding: 'utf8' });
  const namespaceOf = (pod: string): string => {
    const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n');
    const found = names
      .map((line) => line.split(' ')[0] ?? '')
      .find((name) => name.startsWith(`tl-${rack().record.name}-default.${pod}.`));
    if (found === undefined) throw new Error(`Pod ${pod} has no namespace`);
    return found;
  };
  const running = async (name: string, nodeName: string): Promise<KubePod> => {
    await createPod(rack(), name, { spec: { nodeName } });
    return soon(`pod "${name}" to be ready`, async () => {
      const found = await getPod(rack(), name);
      return found !== undefined && isReady(found) && found;
    });
  };

  it('carries TCP both ways, in both families', async () => {
    const lab = rack().record.name;
    const [near, far] = [await running('near', 'node1'), await running('far', 'node2')];
    // Both ends of node2's links, as a switch port and its host have it. The pods are there already, with what the links carried before.
    for (const uplink of ['eth0', 'eth1']) inside(`tl-${lab}-node2`, 'ip', 'link', 'set', uplink, 'mtu', SMALL);
    for (const tor of ['tor1', 'tor2']) inside(`tl-${lab}-${tor}`, 'ip', 'link', 'set', 'node2', 'mtu', SMALL);
    const links = [namespaceOf('near'), namespaceOf('far')].map((name) => inside(name, 'ip', 'link', 'show', 'eth0'));
    for (const link of links) expect(link).to.include('mtu 1500');

    for (const [from, to, { status }] of [
      ['near', 'far', far],
      ['far', 'near', near],
    ] as const) {
      const server = spawn('ip', ['netns', 'exec', namespaceOf(to), process.execPath, '-e', SERVER]);
      try {
        await once(server.stdout, 'data');
        for (const { ip } of status.podIPs ?? []) {
          const answer = await soon(`${from} to ${ip}`, async () =>
            execFileSync('ip', ['netns', 'exec', namespaceOf(from), process.execPath, '-e', CLIENT, ip], {
              encoding: 'utf8',
              timeout: 20_000,
            }),
          );
          expect(answer, `${from} to ${ip}`).to.equal(String(SIZE));
        }
      } finally {
        server.kill('SIGKILL');
      }
    }
  });
});
