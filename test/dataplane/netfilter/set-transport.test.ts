/** One suite for both ways to the kernel's sets. Needs root. */
import { expect } from 'chai';
import type { SetType, Family } from '@tortie/policy/ruleset';
import type { Within } from '../../../src/dataplane/netfilter/child.js';
import { ChildSets } from '../../../src/dataplane/netfilter/child-sets.js';
import { NetlinkSets } from '../../../src/dataplane/netfilter/netlink-sets.js';
import { memberKey, parseMember } from '../../../src/dataplane/netfilter/set-member.js';
import type { NewSet } from '../../../src/dataplane/netfilter/set-protocol.js';
import type { SetOperation, SetTransport } from '../../../src/dataplane/netfilter/set-transport.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';

const namespaces = new ScratchNamespaces('tst');
const newSet = (family: Family, type: SetType, id = 'x', maxElements = 1 << 20): NewSet => ({
  name: `tortie${family}-${id}`,
  family,
  type,
  maxElements,
});
const create = (set: NewSet): SetOperation => ({ type: 'create', set });
const change = (type: 'add' | 'delete', set: NewSet, ...texts: readonly string[]): SetOperation => ({
  type,
  set,
  members: texts.map((text) => memberKey(parseMember(set.type, set.family, text))),
});

const transports: readonly (readonly [string, (within: Within) => SetTransport])[] = [
  ['netlink', (within) => new NetlinkSets(within(() => new NetlinkSocket({ family: 'netfilter' })))],
  ['the ipset program', (within) => new ChildSets(within)],
];

for (const [name, open] of transports) {
  describe(`sets through ${name}`, () => {
    let path: string;
    let transport: SetTransport;
    beforeEach(() => {
      path = namespaces.create();
      transport = open((work) => inNamespace(path, work));
    });
    afterEach(() => transport.close());
    after(() => namespaces.removeAll());
    const members = async (set: NewSet): Promise<readonly string[]> =>
      [...((await transport.members(set.name))?.keys() ?? [])].sort();

    const kinds: readonly (readonly [SetType, Family, readonly string[]])[] = [
      ['address', 4, ['10.0.0.1', '255.255.255.255']],
      ['address', 6, ['2001:db8::1', 'fd00::']],
      ['network', 4, ['0.0.0.0/1', '10.0.0.7', '128.0.0.0/1']],
      ['network', 6, ['8000::/1', 'fd00::/64', 'fd00::7']],
      ['address-port', 4, ['10.0.0.1,sctp:9', '10.0.0.1,tcp:80', '10.0.0.1,udp:65535']],
      ['address-port', 6, ['fd00::1,sctp:9', 'fd00::1,tcp:80']],
    ];
    for (const [type, family, texts] of kinds)
      it(`holds IPv${family} ${type} members, and reads them back`, async () => {
        const set = newSet(family, type);
        expect(await transport.apply([create(set), change('add', set, ...texts)])).to.deep.equal([]);
        expect(await members(set)).to.deep.equal(texts);
        expect(exec(path, 'ipset', 'list', set.name).split('Members:\n')[1]?.trim().split('\n').sort()).to.deep.equal(
          texts,
        );
        const [first = ''] = texts;
        expect(await transport.apply([change('delete', set, first)])).to.deep.equal([]);
        expect(await members(set)).to.deep.equal(texts.slice(1));
      });

    it('takes adds and deletes twice without complaint', async () => {
      const set = newSet(4, 'address');
      const refusals = await transport.apply([
        create(set),
        change('add', set, '10.0.0.1', '10.0.0.2'),
        change('add', set, '10.0.0.1'),
        change('delete', set, '10.0.0.9', '10.0.0.2'),
        change('delete', set, '10.0.0.2'),
      ]);
      expect(refusals).to.deep.equal([]);
      expect(await members(set)).to.deep.equal(['10.0.0.1']);
    });

    it('describes our sets and no others', async () => {
      exec(path, 'ipset', 'create', 'foreign', 'hash:ip');
      exec(path, 'ipset', 'create', 'tortie4-odd', 'bitmap:port', 'range', '0-9');
      const set = newSet(6, 'network', 'net', 4096);
      await transport.apply([create(set), change('add', set, 'fd00::/8', 'fc00::/8')]);
      exec(path, 'ip6tables-nft', '-A', 'FORWARD', '-m', 'set', '--match-set', set.name, 'src', '-j', 'ACCEPT');
      const headers = [...(await transport.headers())].sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(headers.map((header) => [header.name, header.kernelType, header.type])).to.deep.equal([
        ['tortie4-odd', 'bitmap:port', undefined],
        ['tortie6-net', 'hash:net', 'network'],
      ]);
      expect(headers[1]).to.deep.include({ family: 6, elements: 2, references: 1, maxElements: 4096 });
    });

    it('says which member was refused and why, and goes on', async () => {
      const set = newSet(4, 'address', 'small', 64);
      const texts = Array.from({ length: 200 }, (_, i) => `10.0.0.${i}`);
      const refusals = await transport.apply([
        create(set),
        change('add', set, ...texts),
        create(newSet(4, 'address', 'next')),
      ]);
      expect(refusals.length).to.be.greaterThan(0);
      expect(
        refusals.every(
          (refusal) => refusal.cause === 'full' && refusal.member !== undefined && refusal.operation.type === 'add',
        ),
      ).to.equal(true);
      expect((await members(set)).length + refusals.length).to.equal(200);
      expect(await members(newSet(4, 'address', 'next'))).to.deep.equal([]);
    });

    it('tells a missing set, a taken name and a set in use apart', async () => {
      const set = newSet(4, 'address');
      const [missing] = await transport.apply([change('add', set, '10.0.0.1')]);
      expect(missing).to.deep.include({ cause: 'missing' });
      await transport.apply([create(set)]);
      const [exists] = await transport.apply([create({ ...set, type: 'network' })]);
      expect(exists).to.deep.include({ cause: 'exists' });
      exec(path, 'iptables-nft', '-A', 'FORWARD', '-m', 'set', '--match-set', set.name, 'src', '-j', 'ACCEPT');
      const [used] = await transport.apply([{ type: 'destroy', name: set.name }]);
      expect(used).to.deep.include({ cause: 'in-use' });
      expect(await transport.members('tortie4-none')).to.equal(undefined);
    });

    it('swaps contents under a rule that refers to the name', async () => {
      const one = newSet(4, 'address', 'one');
      const two = newSet(4, 'address', 'two');
      await transport.apply([create(one), create(two), change('add', one, '10.0.0.1'), change('add', two, '10.0.0.2')]);
      exec(path, 'iptables-nft', '-A', 'FORWARD', '-m', 'set', '--match-set', one.name, 'src', '-j', 'ACCEPT');
      expect(
        await transport.apply([
          { type: 'swap', name: one.name, other: two.name },
          { type: 'destroy', name: two.name },
        ]),
      ).to.deep.equal([]);
      expect(await members(one)).to.deep.equal(['10.0.0.2']);
    });
  });
}

describe('sets through netlink, many members', () => {
  after(() => namespaces.removeAll());
  it('writes and reads 20,000 IPv6 members with ports', async () => {
    const path = namespaces.create();
    const transport = new NetlinkSets(inNamespace(path, () => new NetlinkSocket({ family: 'netfilter' })));
    const set = newSet(6, 'address-port');
    const texts = Array.from(
      { length: 20_000 },
      (_, i) => `fd00::${(i >> 8).toString(16)}:${((i & 255) + 1).toString(16)},tcp:${(i % 60_000) + 1}`,
    );
    expect(await transport.apply([create(set), change('add', set, ...texts)])).to.deep.equal([]);
    expect((await transport.members(set.name))?.size).to.equal(20_000);
    transport.close();
  });
});
