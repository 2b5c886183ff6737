/** What only a real TCP shows: ports, hop limits. Loopback, no privileges. */
import { expect } from 'chai';
import type { SpeakerConfig } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import { Speaker } from 'node-bgp/speaker/speaker';

const [OURS, THEIRS] = ['127.0.8.1', '127.0.8.2'] as const;

/** Two speakers; ours waits on a free port, theirs connects. */
async function pair(ours: object, theirs: object, check: (a: Speaker, b: Speaker) => Promise<void>): Promise<void> {
  const [a, b] = [new Speaker(), new Speaker()];
  try {
    await a.configure(
      valid({
        localAs: 64512,
        routerId: '10.0.0.1',
        listen: [{ address: OURS, port: 0 }],
        peers: [{ address: THEIRS, remoteAs: 64513, passive: true, ...ours }],
      }),
    );
    const port = a.summary().listen[0]?.port ?? 0;
    // Nobody tracks interfaces here, so a direct peer is one by its hop limit alone.
    await b.configure(
      valid({
        localAs: 64513,
        routerId: '10.0.0.2',
        listen: [],
        peers: [{ address: OURS, port, remoteAs: 64512, localAddress: THEIRS, connectRetryTime: 1, ...theirs }],
      }),
    );
    await check(a, b);
  } finally {
    await Promise.all([a.stop(), b.stop()]);
  }
}

function valid(value: unknown): SpeakerConfig {
  const validated = validateConfig(value);
  if (validated.type === 'invalid') throw new Error(JSON.stringify(validated.problems));
  return validated.config;
}

async function until(check: () => boolean): Promise<boolean> {
  for (let i = 0; i < 300; i++) {
    if (check()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

const isUp = (speaker: Speaker, name: string) => (): boolean => speaker.neighbor(name)?.isEstablished === true;

describe('bgp/speaker over TCP', function () {
  this.timeout(20_000);

  it('connects from the address and port it is told', () =>
    pair({}, { localPort: 31_790 }, async (a, b) => {
      // The last KEEPALIVE is under way while the other end is up already.
      expect(await until(() => isUp(a, THEIRS)() && isUp(b, OURS)())).to.equal(true);
      expect(a.neighbor(THEIRS)?.remote).to.equal(`${THEIRS}:31790`);
      expect(b.neighbor(OURS)?.local).to.equal(`${THEIRS}:31790`);
    }));

  it('GTSM on both ends brings the session up (5082)', () =>
    pair({ ttlSecurityHops: 1 }, { ttlSecurityHops: 1 }, async (a) => {
      expect(await until(isUp(a, THEIRS))).to.equal(true);
    }));

  it('GTSM drops packets of a peer whose TTL says that it is further away (5082 3)', () =>
    pair({ ttlSecurityHops: 1 }, { multihop: 3 }, async (a, b) => {
      // They send with TTL 3. Our kernel drops what they say once it knows whose connection it is: no OPEN ever arrives.
      expect(
        await until(() => b.neighbor(OURS)?.state === 'OpenSent' || a.neighbor(THEIRS)?.state === 'OpenSent'),
      ).to.equal(true);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect([
        a.neighbor(THEIRS)?.isEstablished,
        b.neighbor(OURS)?.isEstablished,
        a.neighbor(THEIRS)?.received?.open ?? 0,
      ]).to.deep.equal([false, false, 0]);
    }));

  it('an eBGP session over several hops needs to be told so: packets of a direct one go one hop (4271)', () =>
    pair({ ttlSecurityHops: 253 }, {}, async (a, b) => {
      // What arrives with less than 256 - 253 = 3 is dropped, so it shows the TTL of what b sends: 1 for a direct peer.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect([a.neighbor(THEIRS)?.isEstablished, b.neighbor(OURS)?.isEstablished]).to.deep.equal([false, false]);
    }));

  it('multihop sends with as many hops as it says', () =>
    pair({ ttlSecurityHops: 253 }, { multihop: 3 }, async (a) => {
      expect(await until(isUp(a, THEIRS))).to.equal(true);
    }));
});
