/** When connections to host ports are forgotten, with a kernel that only notes. */
import { expect } from 'chai';
import { NatLoop } from '../../src/agent/nat-loop.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { createLogger } from '../../src/log.js';
import { until } from '../dataplane/scratch-namespaces.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('agent/nat-loop', () => {
  /** "write" as the kernel is written, "stands" when it holds it, "forget 53,54" as a walk begins. */
  let events: string[];
  /** Lets the write that waits end: well, or with this. */
  let endWrite: ((error?: Error) => void) | undefined;
  let walkError: Error | undefined;
  let ports: readonly number[];
  let loop: NatLoop;

  beforeEach(() => {
    events = [];
    endWrite = undefined;
    walkError = undefined;
    ports = [];
    const write = (): Promise<{ failures: [] }> =>
      new Promise((resolve, reject) => {
        events.push('write');
        endWrite = (error) => {
          endWrite = undefined;
          if (error === undefined) events.push('stands');
          if (error === undefined) resolve({ failures: [] });
          else reject(error);
        };
      });
    loop = new NatLoop({
      cluster: new Cluster(['nodes', 'ipPools'], []),
      families: [4],
      kernel: {
        netfilter: { sync: write, apply: write, failures: () => [] },
        forgetStaleConnections: async (isStale) => {
          const stale = [53, 54].filter((destinationPort) =>
            isStale({
              family: 4,
              protocol: 'udp',
              destination: '192.0.2.1',
              destinationPort,
              server: '10.65.0.1',
              serverPort: 53,
            }),
          );
          events.push(`forget ${stale.join()}`);
          const error = walkError;
          walkError = undefined;
          if (error !== undefined) throw error;
          return stale.length;
        },
        nodeAddresses: () => new Set(['192.0.2.1']),
      },
      outgoing: {},
      podInterfacePrefix: 'tort',
      endpoints: () =>
        ports.map((hostPort) => ({
          owner: {
            containerId: `c${hostPort}`,
            interfaceName: 'eth0',
            network: 'tortie',
            namespace: 'shop',
            pod: `dns-${hostPort}`,
            hostInterface: `tort${hostPort}`,
            hostPorts: [{ protocol: 'udp' as const, hostPort, containerPort: 53 }],
          },
          addresses: ['10.65.0.1'],
        })),
      log: createLogger('test', { level: 'silent' }),
      onHealth: () => undefined,
    });
  });
  afterEach(() => loop.stop());

  const written = async (error?: Error): Promise<void> => {
    await until('a write', () => endWrite !== undefined);
    endWrite?.(error);
    await tick();
  };

  it('they are those of ports whose rules stand, not of ports that came during the write', async () => {
    const started = loop.start();
    await written();
    await started;
    ports = [53];
    loop.changed();
    await until('the write for 53', () => endWrite !== undefined);
    ports = [53, 54];
    loop.changed();
    await written();
    await written();
    await until('the second walk', () => events.includes('forget 54'));
    expect(events).to.deep.equal(['write', 'stands', 'write', 'stands', 'forget 53', 'write', 'stands', 'forget 54']);
  });

  it('a write that broke is followed by it as soon as it has been repeated, though no pod comes or goes', async () => {
    ports = [53];
    const started = loop.start().then(
      () => 'written',
      () => 'broken',
    );
    await written(new Error('no netlink'));
    expect(await started).to.equal('broken');
    await written();
    await until('the walk', () => events.length === 4);
    expect(events).to.deep.equal(['write', 'write', 'stands', 'forget 53']);
  });

  it('a walk that failed is repeated, though no pod comes or goes', async () => {
    ports = [53];
    walkError = new Error('ENOBUFS');
    const started = loop.start();
    await written();
    await started;
    await until('the second walk', () => events.length === 4);
    expect(events).to.deep.equal(['write', 'stands', 'forget 53', 'forget 53']);
  }).timeout(20_000);
});
