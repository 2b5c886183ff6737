import { expect } from 'chai';
import { EndpointLoop } from '../../src/agent/endpoint-loop.js';
import type { EndpointRequest } from '../../src/agent/endpoint-dataplane.js';
import { createLogger } from '../../src/log.js';

describe('agent/endpoint-loop', () => {
  let now: number;
  let pods: readonly string[];
  /** What the next look finds suspicious, and what a close look then finds. */
  let suspects: readonly string[];
  let findings: Map<string, readonly string[] | Error>;
  let repaired: string[];
  let looks: boolean[];
  let loop: EndpointLoop;

  const requestOf = (pod: string): EndpointRequest => ({
    containerId: `c-${pod}`,
    namespace: 'shop',
    pod,
    netns: `/run/netns/${pod}`,
    interfaceName: 'eth0',
    hostInterface: `tort-${pod}`,
    addresses: ['10.65.0.1'],
  });

  beforeEach(() => {
    now = 0;
    pods = ['a', 'b'];
    suspects = [];
    findings = new Map();
    repaired = [];
    looks = [];
    loop = new EndpointLoop({
      connections: () =>
        pods.map((pod) => ({
          request: requestOf(pod),
          owner: { network: 'tortie', containerId: `c-${pod}`, interfaceName: 'eth0', namespace: 'shop', pod },
        })),
      suspects: (requests, isWhole) => {
        looks.push(isWhole);
        return requests.filter(({ pod }) => suspects.includes(pod));
      },
      repair: async (_, { pod }) => {
        repaired.push(pod);
        const found = findings.get(pod) ?? [];
        if (found instanceof Error) throw found;
        return found;
      },
      log: createLogger('test', { level: 'silent' }),
      onHealth: () => undefined,
      now: () => now,
    });
  });

  const tick = async (pause = 200): Promise<void> => {
    now += pause;
    await loop.tick();
  };

  it('leaves a new connection to others for a second, and then looks closely', async () => {
    suspects = ['a'];
    for (let i = 0; i < 5; i++) await tick();
    expect(repaired).to.deep.equal([]);
    suspects = [];
    await tick();
    expect(repaired).to.deep.equal(['a']);
  });

  it('looks at everything after an event, and once a second without one', async () => {
    for (let i = 0; i < 9; i++) await tick();
    expect(looks).to.deep.equal([true, false, false, false, true, false, false, false, true]);
    loop.changed();
    await tick();
    expect(looks.at(-1)).to.equal(true);
  });

  it("takes no event for a stranger's while pods come and go, and looks once they have", async () => {
    await tick();
    for (let i = 0; i < 5; i++) {
      loop.changed();
      loop.attachmentsChanged();
      await tick();
    }
    expect(looks, 'the first, and the one that was due').to.deep.equal([true, true]);
    await tick();
    expect(looks.at(-1), 'the event is not forgotten').to.equal(true);
    await tick();
    expect(looks.at(-1)).to.equal(false);
  });

  it('says nothing of a repair, and of somebody who does not cease; calms down when he does', async () => {
    await tick();
    suspects = ['a', 'b'];
    findings.set('a', ['Interface "tort-a" is down']);
    for (let i = 0; i < 4; i++) await tick(1_000);
    expect(loop.notices()).to.deep.equal([]);
    for (let i = 0; i < 600; i++) await tick();
    const ofA = repaired.filter((pod) => pod === 'a').length;
    expect(ofA, 'two minutes').to.be.within(10, 13);
    expect(loop.notices()).to.have.length(1);
    expect(loop.notices()[0]).to.match(
      /^Somebody keeps changing the connection of pod "shop\/a" \(Interface "tort-a" is down\)/,
    );
    expect(repaired.filter((pod) => pod === 'b').length, 'the other pod is looked at as before').to.be.above(500);

    findings.clear();
    suspects = [];
    for (let i = 0; i < 200; i++) await tick(1_000);
    expect(loop.notices()).to.deep.equal([]);
  });

  it('tells a failure until it is over, and forgets it with its pod', async () => {
    await tick();
    suspects = ['a'];
    findings.set('a', new Error('the name is taken'));
    await tick(1_000);
    expect(loop.notices()).to.deep.equal(['Cannot put the connection of pod "shop/a" right: the name is taken']);
    findings.set('a', []);
    await tick(1_000);
    expect(loop.notices()).to.deep.equal([]);

    findings.set('a', new Error('the name is taken'));
    await tick(1_000);
    expect(loop.notices()).to.have.length(1);
    pods = ['b'];
    loop.attachmentsChanged();
    await tick();
    expect(loop.notices()).to.deep.equal([]);
  });
});
