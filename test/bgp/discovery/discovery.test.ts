/** When routers speak on a link, and what they make of what they hear. */
import { expect } from 'chai';
import { formatAddress } from 'node-bgp/address';
import { Discovery } from 'node-bgp/discovery/discovery';
import { encodeAdvertisement, encodeSolicitation } from 'node-bgp/discovery/router-message';
import { FakeClock } from '../session/fake-clock.js';
import { MemoryLink } from './memory-link.js';

interface Router {
  readonly discovery: Discovery;
  readonly heard: string[];
  readonly problems: string[];
}

function router(link: MemoryLink, clock: FakeClock, address: string): Router {
  const heard: string[] = [];
  const problems: string[] = [];
  const discovery = new Discovery({
    clock,
    open: link.host(address),
    heard: (name, from) => {
      const text = `${formatAddress(from)}%${name}`;
      if (heard.includes(text)) return false;
      return heard.push(text) > 0;
    },
    problem: (_, reason) => problems.push(reason),
  });
  return { discovery, heard, problems };
}

const ETH0 = new Set(['eth0']);
const said = (link: MemoryLink, from: string): readonly string[] =>
  link.sent.filter((each) => each.from === from).map(({ at, to, type }) => `${at} ${type === 133 ? 'RS' : 'RA'} ${to}`);

describe('bgp/discovery', () => {
  let clock: FakeClock;
  let link: MemoryLink;
  beforeEach(() => {
    clock = new FakeClock();
    link = new MemoryLink(clock);
  });

  it('solicits and advertises at once, then every ten seconds', () => {
    const { discovery } = router(link, clock, 'fe80::1');
    discovery.configure(ETH0);
    clock.advance(25_000);
    expect(said(link, 'fe80::1')).to.deep.equal([
      '0 RS all-routers',
      '0 RA all-nodes',
      '10000 RA all-nodes',
      '20000 RA all-nodes',
    ]);
    discovery.stop();
    expect([link.stations.size, clock.pending]).to.deep.equal([0, 0]);
  });

  it('two that start one after the other know each other at once, not an interval later', () => {
    const [one, two] = [router(link, clock, 'fe80::1'), router(link, clock, 'fe80::2')];
    one.discovery.configure(ETH0);
    clock.advance(3000);
    two.discovery.configure(ETH0);
    clock.advance(1);
    expect(one.heard).to.deep.equal(['fe80::2%eth0']);
    expect(two.heard).to.deep.equal(['fe80::1%eth0']);
  });

  it('answers to one alone when it is asked, and when it hears somebody new', () => {
    const { discovery } = router(link, clock, 'fe80::1');
    discovery.configure(ETH0);
    clock.advance(1000);
    link.inject('fe80::9', encodeSolicitation());
    clock.advance(500);
    link.inject('fe80::8', encodeAdvertisement());
    clock.advance(500);
    link.inject('fe80::8', encodeAdvertisement());
    clock.advance(500);
    expect(said(link, 'fe80::1').slice(2)).to.deep.equal(['1000 RA fe80::9', '1500 RA fe80::8']);
  });

  it('answers ten a second at most, whoever asks', () => {
    const { discovery } = router(link, clock, 'fe80::1');
    discovery.configure(ETH0);
    for (let i = 0; i < 1000; i++) {
      link.inject(`fe80::${(i + 16).toString(16)}`, encodeSolicitation());
      clock.advance(1);
    }
    expect(said(link, 'fe80::1').slice(2)).to.have.length(10);
  });

  it('drops what is not of the link, or malformed (RFC 4861 section 6.1.2)', () => {
    const { discovery, heard } = router(link, clock, 'fe80::1');
    discovery.configure(ETH0);
    link.inject('2001:db8::1', encodeAdvertisement());
    link.inject('2001:db8::1', encodeSolicitation());
    link.inject('::', encodeSolicitation());
    link.inject('fe80::2', encodeAdvertisement().subarray(0, 15));
    clock.advance(1000);
    expect(heard).to.deep.equal([]);
    expect(said(link, 'fe80::1')).to.have.length(2);
  });

  it('waits for its own address: duplicate detection takes a second', () => {
    const { discovery, problems } = router(link, clock, 'fe80::1');
    link.sendErrors.set('fe80::1', 'EADDRNOTAVAIL');
    discovery.configure(ETH0);
    clock.advance(1200);
    link.sendErrors.clear();
    clock.advance(1000);
    expect(said(link, 'fe80::1')).to.deep.equal(['1500 RS all-routers', '1500 RA all-nodes']);
    expect(problems).to.deep.equal([]);
  });

  it('speaks at once when it is told that the address is there', () => {
    const { discovery } = router(link, clock, 'fe80::1');
    link.sendErrors.set('fe80::1', 'EADDRNOTAVAIL');
    discovery.configure(ETH0);
    link.sendErrors.clear();
    clock.advance(100);
    discovery.refresh('eth0');
    discovery.refresh('eth7');
    expect(said(link, 'fe80::1')).to.deep.equal(['100 RS all-routers', '100 RA all-nodes']);
  });

  it('opens a new socket when the interface behind the old one has gone', () => {
    const { discovery, problems } = router(link, clock, 'fe80::1');
    discovery.configure(ETH0);
    link.sendErrors.set('fe80::1', 'ENODEV');
    clock.advance(10_000);
    expect([problems, link.stations.size]).to.deep.equal([['Interface eth0 is gone'], 0]);
    link.sendErrors.clear();
    clock.advance(10_000);
    expect([problems.length, link.stations.size, said(link, 'fe80::1').at(-1)]).to.deep.equal([
      1,
      1,
      '20000 RA all-nodes',
    ]);
  });

  it('says once that the interface has no address at all, and what else keeps it from sending', () => {
    const { discovery, problems } = router(link, clock, 'fe80::1');
    link.sendErrors.set('fe80::1', 'EADDRNOTAVAIL');
    discovery.configure(ETH0);
    clock.advance(9000);
    expect(problems).to.deep.equal([]);
    clock.advance(60_000);
    expect(problems).to.deep.equal(['Interface eth0 has no IPv6 link-local address: nobody can find us there']);
    link.sendErrors.set('fe80::1', 'EPERM');
    clock.advance(60_000);
    expect(problems.slice(1)).to.deep.equal(['Cannot send Router Advertisements on interface eth0: EPERM']);
    link.sendErrors.clear();
    clock.advance(10_000);
    expect(said(link, 'fe80::1').map((line) => line.split(' ')[1])).to.deep.equal(['RS', 'RA']);
    discovery.stop();
    expect(clock.pending).to.equal(0);
  });

  it('says once why it cannot listen, and tries again', () => {
    const { discovery, problems } = router(link, clock, 'fe80::1');
    link.openError = 'raw sockets need root or CAP_NET_RAW';
    discovery.configure(ETH0);
    clock.advance(60_000);
    expect(problems).to.deep.equal(['raw sockets need root or CAP_NET_RAW']);
    link.openError = undefined;
    clock.advance(10_000);
    expect(said(link, 'fe80::1').slice(0, 2)).to.deep.equal(['70000 RS all-routers', '70000 RA all-nodes']);
    discovery.stop();
    expect(clock.pending).to.equal(0);
  });
});
