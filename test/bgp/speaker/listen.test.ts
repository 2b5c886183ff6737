/** A change of `listen` with sessions open, on a real TCP: it neither hangs nor loses them. Loopback, no privileges. */
import { expect } from 'chai';
import { createServer, type Server } from 'node:net';
import type { ListenConfig, SpeakerConfig } from 'node-bgp/config';
import { Speaker } from 'node-bgp/speaker/speaker';

const [OURS, THEIRS] = ['127.0.8.11', '127.0.8.12'] as const;

async function until(check: () => boolean): Promise<void> {
  for (let i = 0; !check(); i++) {
    if (i > 900) throw new Error('It never came true');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ours = (listen: readonly ListenConfig[]): SpeakerConfig => ({
  localAs: 64512,
  routerId: '10.0.0.1',
  listen,
  peers: [{ address: THEIRS, remoteAs: 64513, passive: listen.length > 0, multihop: 2 }],
});
const theirs = (port: number): SpeakerConfig => ({
  localAs: 64513,
  routerId: '10.0.0.2',
  listen: [],
  peers: [
    { address: OURS, port, remoteAs: 64512, localAddress: THEIRS, connectRetryTime: 1, multihop: 2, name: 'ours' },
  ],
});

const occupy = (address: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, address, () => resolve(server));
  });
const portOf = (server: Server): number => {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
};

/** A session between two speakers, accepted by `a` on a port of its own. */
async function session(check: (a: Speaker, b: Speaker, port: number) => Promise<void>): Promise<void> {
  const [a, b] = [new Speaker(), new Speaker()];
  try {
    await a.configure(ours([{ address: OURS, port: 0 }]));
    const port = a.summary().listen[0]?.port ?? 0;
    await b.configure(theirs(port));
    await until(() => a.neighbor(THEIRS)?.isEstablished === true && b.neighbor('ours')?.isEstablished === true);
    await check(a, b, port);
  } finally {
    await Promise.all([a.stop(), b.stop()]);
  }
}

const established = (a: Speaker): readonly [boolean | undefined, number | undefined] => [
  a.neighbor(THEIRS)?.isEstablished,
  a.neighbor(THEIRS)?.establishedCount,
];

describe('bgp/speaker listen', function () {
  this.timeout(30_000);

  it('goes to another port with sessions open, which live on, and takes new ones there', () =>
    session(async (a, b) => {
      const free = await occupy(OURS);
      const port = portOf(free);
      await new Promise((resolve) => free.close(resolve));
      await a.configure(ours([{ address: OURS, port }]));
      expect(a.summary().listen).to.deep.equal([{ address: OURS, port }]);
      expect(established(a)).to.deep.equal([true, 1]);
      await b.configure(theirs(port));
      expect(established(a), 'where to dial matters to the next attempt alone').to.deep.equal([true, 1]);
      b.clear('ours');
      await until(() => a.neighbor(THEIRS)?.establishedCount === 2 && a.neighbor(THEIRS)?.isEstablished === true);
    }));

  it('goes to every address on the same port, and back', () =>
    session(async (a, _, port) => {
      for (const address of ['0.0.0.0', OURS]) {
        await a.configure(ours([{ address, port }]));
        expect(a.summary().listen).to.deep.equal([{ address, port }]);
      }
      expect(established(a)).to.deep.equal([true, 1]);
    }));

  it('stays where it is while the new port is taken by somebody else, says so, and moves once it is free', () =>
    session(async (a, b, port) => {
      const other = await occupy(OURS);
      const taken = portOf(other);
      try {
        const { listenFailures } = await a.configure(ours([{ address: OURS, port: taken }]));
        expect(listenFailures.map(({ reason }) => reason)).to.deep.equal([
          `Cannot listen on ${OURS} port ${taken}: the port is taken; another BGP daemon may be running`,
        ]);
        expect(a.summary().listen.map(({ port, problem }) => [port, problem === undefined])).to.deep.equal([
          [port, true],
          [taken, false],
        ]);
        b.clear('ours');
        await until(() => a.neighbor(THEIRS)?.establishedCount === 2);
      } finally {
        await new Promise((resolve) => other.close(resolve));
      }
      await until(() => a.summary().listen.every(({ problem }) => problem === undefined));
      expect(a.summary().listen).to.deep.equal([{ address: OURS, port: taken }]);
    }));

  it('ends, and the session does not', () =>
    session(async (a) => {
      await a.configure({
        ...ours([]),
        peers: ours([{ address: OURS }]).peers?.map((peer) => ({ ...peer, passive: false })),
      });
      expect([a.summary().listen, established(a)]).to.deep.equal([[], [true, 1]]);
    }));
});
