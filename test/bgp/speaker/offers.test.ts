/** What a peer offered, and a session that is Established for nothing: in words, in JSON, in events. The peer is a stub. */
import { expect } from 'chai';
import type { Capability } from 'node-bgp/codec/capability';
import { encodeControlMessage } from 'node-bgp/codec/message';
import { World, peerAt } from './world.js';
import { StubPeer, type Answer } from './stub-peer.js';

const [A, STUB] = ['10.0.0.1', '10.0.0.9'] as const;
const up: Answer = () => undefined;

async function against(capabilities: readonly Capability[], more: object = {}, answer = up) {
  const world = new World();
  const stub = await StubPeer.listen(world.network.host(STUB), world.clock, STUB, answer);
  stub.capabilities = capabilities;
  const a = world.speaker(A);
  await a.configure(a.config(64512, [peerAt(STUB, 65001, more)]));
  world.seconds(10);
  return { world, stub, a, detail: a.speaker.neighbor(STUB), summary: a.speaker.summary().peers[0] };
}

describe('bgp/speaker offers', () => {
  it('of the peer are shown by name with their contents, known or not, beside ours', async () => {
    const { detail } = await against([
      { type: 'multiprotocol', afi: 1, safi: 1 },
      { type: 'multiprotocol', afi: 25, safi: 70 },
      { type: 'graceful-restart', restarting: false, notification: true, restartTime: 90, families: [] },
      { type: 'fqdn', host: 'leaf1', domain: 'rack.example' },
      { type: 'software-version', version: 'FRRouting/10.3' },
      { type: 'unknown', code: 67, value: Uint8Array.of() },
      { type: 'unknown', code: 200, value: Uint8Array.of(1, 2) },
    ]);
    expect(detail?.offers.theirs).to.deep.equal([
      { code: 1, name: 'multiprotocol', value: 'ipv4 unicast' },
      { code: 1, name: 'multiprotocol', value: 'AFI 25 SAFI 70' },
      { code: 64, name: 'graceful-restart', value: '90 s, notification' },
      { code: 73, name: 'fqdn', value: 'leaf1.rack.example' },
      { code: 75, name: 'software-version', value: 'FRRouting/10.3' },
      { code: 67, name: 'dynamic' },
      { code: 200, name: 'capability 200', value: '0102' },
    ]);
    expect(detail?.offers).to.include({ hostName: 'leaf1.rack.example', softwareVersion: 'FRRouting/10.3' });
    expect(detail?.offers.ours?.map(({ code }) => code).sort((x, y) => x - y)).to.deep.equal([1, 1, 2, 6, 64, 65, 70]);
  });

  it("a peer's text is escaped: no escape sequence reaches a terminal or a log", async () => {
    const evil = '\u001b[2Jleaf\u202e\n1';
    const { detail } = await against([
      { type: 'fqdn', host: evil, domain: '' },
      { type: 'software-version', version: evil },
    ]);
    expect(detail?.offers.hostName).to.equal('\\u001b[2Jleaf\\u202e\\u000a1');
    expect(detail?.offers.softwareVersion).to.equal('\\u001b[2Jleaf\\u202e\\u000a1');
  });

  it('of a peer that we refuse are shown too, and what a peer refuses of ours', async () => {
    const wrong = await against([{ type: 'role', role: 'peer' }], { role: 'provider' });
    expect([wrong.detail?.isEstablished, wrong.detail?.offers.theirs]).to.deep.equal([
      false,
      [{ code: 9, name: 'role', value: 'peer' }],
    ]);
    const old = await against([], {}, ({ codes }) => (codes.includes(6) ? [2, 7, 6, 0] : undefined));
    expect(old.detail?.offers.refused).to.deep.equal([{ code: 6, name: 'extended-message' }]);
    expect(old.detail?.offers.theirs).to.deep.equal([]);
  });

  describe('without a family in common', () => {
    const CASES: readonly (readonly [string, readonly Capability[], object, string])[] = [
      [
        'the peer has IPv6 alone',
        [{ type: 'multiprotocol', afi: 2, safi: 1 }],
        { families: ['ipv4'] },
        'we offer ipv4 unicast, the peer offers ipv6 unicast',
      ],
      [
        'the peer has another address family',
        [{ type: 'multiprotocol', afi: 25, safi: 70 }],
        {},
        'we offer ipv4 unicast, ipv6 unicast, the peer offers AFI 25 SAFI 70',
      ],
      [
        'the peer says nothing, which is IPv4',
        [],
        { families: ['ipv6'] },
        'we offer ipv6 unicast, the peer offers ipv4 unicast',
      ],
      [
        'we say nothing, which is IPv4',
        [{ type: 'multiprotocol', afi: 2, safi: 1 }],
        { capabilities: { multiprotocol: false } },
        'we offer ipv4 unicast, the peer offers ipv6 unicast',
      ],
    ];
    for (const [about, capabilities, more, words] of CASES)
      it(`${about}: the state, an event, the neighbor and the summary say so`, async () => {
        const { a, detail, summary } = await against(capabilities, more);
        const text = `The session carries no routes: it has no address family in common; ${words}`;
        expect([detail?.problem, summary?.problem]).to.deep.equal([text, text]);
        expect(a.told('peer-warning').map(({ reason }) => reason)).to.include(text);
        expect(a.told('peer-up')[0]?.families).to.deep.equal([]);
      });

    it('a peer that refuses us for it is told so, and is not asked for less: BIRD and FRR do (5492 3)', async () => {
      for (const data of [[], [1, 4, 0, 2, 0, 1]]) {
        const world = new World();
        const stub = await StubPeer.listen(world.network.host(STUB), world.clock, STUB, () => [2, 7, ...data]);
        stub.capabilities = [{ type: 'multiprotocol', afi: 1, safi: 1 }];
        stub.opensFirst = true;
        const a = world.speaker(A);
        await a.configure(a.config(64512, [peerAt(STUB, 65001, { families: ['ipv6'] })]));
        world.seconds(100);
        expect(new Set(stub.opens.map((codes) => codes.length)).size).to.equal(1);
        expect(a.speaker.neighbor(STUB)?.lastError).to.contain(
          'no address family in common; we offer ipv6 unicast, the peer offers ipv4 unicast',
        );
      }
    });

    it('with one in common nothing of it is said', async () => {
      const { detail } = await against([{ type: 'multiprotocol', afi: 1, safi: 1 }]);
      expect(detail?.problem).to.equal(undefined);
    });
  });

  it('a Hard Reset is told by its inner reason (8538), received and sent', async () => {
    const { world, stub, a } = await against([
      { type: 'graceful-restart', restarting: false, notification: true, restartTime: 90, families: [] },
    ]);
    const data = Uint8Array.of(6, 2, 4, ...Buffer.from('door'));
    stub.send(encodeControlMessage({ type: 'notification', code: 6, subcode: 9, data }));
    world.seconds(1);
    const words = 'Cease / Administrative Shutdown (6/2), as a Hard Reset (6/9): door';
    expect(a.told('peer-down')[0]?.reason).to.equal(words);
    expect(a.speaker.neighbor(STUB)?.errors.received?.text).to.equal(words);
    world.seconds(30);
    await a.reconfigure({ peers: [peerAt(STUB, 65001, { shutdown: true })] });
    expect(a.speaker.neighbor(STUB)?.errors.sent?.text).to.equal('Shut down by configuration');
  });
});
