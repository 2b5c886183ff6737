import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAddress } from 'node-bgp/address';
import {
  flushAllConnections,
  flushConnections,
  flushConnectionsAsync,
} from '../../../src/dataplane/netlink/conntrack.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';

describe('connection flush', () => {
  const namespaces = new ScratchNamespaces('tflush');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-flush-'));
  let node: string;
  let socket: NetlinkSocket;

  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket({ family: 'netfilter' }));
  });
  afterEach(() => socket.close());
  after(() => {
    namespaces.removeAll();
    rmSync(directory, { recursive: true });
  });

  interface Flow {
    readonly from: string;
    readonly to: string;
    /** Where a Service's translation sends it. */
    readonly realTo?: string;
    readonly port?: number;
    readonly zone?: number;
  }

  const insert = (...flows: readonly Flow[]): void => {
    const lines = flows.map(
      ({ from, to, realTo = to, port = 1000, zone = 0 }) =>
        `-I -p udp -s ${from} -d ${to} -r ${realTo} -q ${from} --sport ${port} --dport 53 --reply-port-src 53 ` +
        `--reply-port-dst ${port} -t 600${zone === 0 ? '' : ` -w ${zone}`}`,
    );
    const file = join(directory, 'flows');
    writeFileSync(file, `${lines.join('\n')}\n`);
    exec(node, 'conntrack', '-R', file);
  };
  const left = (family: 'ipv4' | 'ipv6' = 'ipv4'): string[] =>
    exec(node, 'conntrack', '-L', '-f', family)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => /src=(\S+)/.exec(line)?.[1] ?? '')
      .sort();

  it('forgets everything in its namespace, of both families and all zones', () => {
    insert(
      { from: '10.65.0.7', to: '192.0.2.1' },
      { from: '10.65.0.8', to: '192.0.2.1', zone: 7 },
      { from: 'fd00:65::7', to: '2001:db8::1' },
    );
    const other = namespaces.create();
    const elsewhere = inNamespace(other, () => new NetlinkSocket({ family: 'netfilter' }));
    flushAllConnections(elsewhere);
    elsewhere.close();
    expect([...left(), ...left('ipv6')]).to.have.length(3);
    flushAllConnections(socket);
    expect([...left(), ...left('ipv6')]).to.deep.equal([]);
    flushAllConnections(socket);
  });

  it('forgets an address at either end and behind a translation, and nobody else', () => {
    insert(
      { from: '10.65.0.7', to: '192.0.2.1' },
      { from: '192.0.2.2', to: '10.65.0.7' },
      { from: '192.0.2.3', to: '10.96.0.1', realTo: '10.65.0.7' },
      { from: '10.65.0.8', to: '192.0.2.1' },
      { from: 'fd00:65::7', to: '2001:db8::1' },
      { from: 'fd00:65::8', to: '2001:db8::1' },
    );
    expect(flushConnections(socket, [parseAddress('10.65.0.7'), parseAddress('fd00:65::7')])).to.equal(4);
    expect([left(), left('ipv6')]).to.deep.equal([['10.65.0.8'], ['fd00:65::8']]);
    expect(flushConnections(socket, [parseAddress('10.65.0.7')])).to.equal(0);
  });

  it('tells addresses of the two families apart', () => {
    // ::a41:7 has the same number as 10.65.0.7.
    insert({ from: '10.65.0.7', to: '192.0.2.1' }, { from: '::a41:7', to: '2001:db8::1' });
    expect(flushConnections(socket, [parseAddress('::a41:7')])).to.equal(1);
    expect([left(), left('ipv6')]).to.deep.equal([['10.65.0.7'], []]);
  });

  it('finds entries in every zone', () => {
    insert({ from: '10.65.0.7', to: '192.0.2.1', zone: 5 }, { from: '10.65.0.7', to: '192.0.2.2' });
    expect(flushConnections(socket, [parseAddress('10.65.0.7')])).to.equal(2);
    expect(left()).to.deep.equal([]);
  });

  it("flushes thousands, more than a dump's first part and a send hold", () => {
    insert(
      ...Array.from(
        { length: 3_000 },
        (_, i): Flow => ({ from: i % 3 === 0 ? '10.65.0.8' : '10.65.0.7', to: '192.0.2.1', port: 1_000 + i }),
      ),
    );
    expect(flushConnections(socket, [parseAddress('10.65.0.7')])).to.equal(2_000);
    expect(left())
      .to.have.length(1_000)
      .and.to.satisfy((sources: readonly string[]) => sources.every((source) => source === '10.65.0.8'));
  });

  it('leaves the event loop free when asked to, with the same outcome', async () => {
    insert(
      ...Array.from(
        { length: 1_000 },
        (_, i): Flow => ({ from: i % 2 === 0 ? '10.65.0.8' : '10.65.0.7', to: '192.0.2.1', port: 1_000 + i }),
      ),
      { from: 'fd00:65::7', to: '2001:db8::1' },
    );
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 1);
    expect(await flushConnectionsAsync(socket, [parseAddress('10.65.0.7'), parseAddress('fd00:65::7')])).to.equal(501);
    clearInterval(ticking);
    expect(turns).to.be.greaterThan(0);
    expect(left()).to.have.length(500);
    expect(await flushConnectionsAsync(socket, [])).to.equal(0);
  });

  it('of nothing does nothing', () => {
    expect(flushConnections(socket, [])).to.equal(0);
  });
});
