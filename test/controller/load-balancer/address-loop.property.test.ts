/**
 * No address is ever two Services' that do not share it, whatever users do, whichever writes fail or come true unheard, however late the
 * watch is, and however often the leader changes; and once all is calm, everybody has what there is to have.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import type { ServiceSpec } from '../../../src/api/core.js';
import { loopOf, newCluster, poolOf, serviceOf, ServiceServer, settle } from './world.js';

const RUNS = Number(process.env['ADDRESS_RUNS'] ?? 60);
const NAMES = ['a', 'b', 'c', 'd', 'e'];

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('apply' as const),
      name: fc.constantFrom(...NAMES),
      address: fc.option(fc.constantFrom('198.51.100.0', '198.51.100.1', '198.51.100.3'), { nil: undefined }),
      key: fc.option(fc.constantFrom('k', 'l'), { nil: undefined }),
      port: fc.constantFrom(80, 81, 82),
      isLocal: fc.boolean(),
      isBoth: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), name: fc.constantFrom(...NAMES) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pool' as const), isDisabled: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('hear' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('leader' as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('wait' as const) }) },
);

/** Pairs of Services that have one address and may not. */
function clashes(server: ServiceServer): readonly string[] {
  const all = [...server.services.values()].map((service) => ({
    name: service.metadata.name,
    key: service.metadata.annotations?.['metallb.io/allow-shared-ip'],
    ips: (service.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip),
  }));
  return all.flatMap((one, index) =>
    all
      .slice(index + 1)
      .filter(
        (other) => one.ips.some((ip) => other.ips.includes(ip)) && (one.key === undefined || one.key !== other.key),
      )
      .map((other) => `${one.name} ${other.name}`),
  );
}

describe('controller/load-balancer, whatever happens', function () {
  this.timeout(120_000);

  it('gives no address twice, unless it is shared', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.array(fc.constantFrom(undefined, undefined, undefined, 'lost' as const, 'away' as const), { maxLength: 20 }),
        async (steps, faults) => {
          const [first, second] = [newCluster(), newCluster()];
          const server = new ServiceServer([first, second]);
          let leader = 0;
          const loops = [first, second].map((cluster, index) => {
            cluster.upsert('ipPools', poolOf('lb', '198.51.100.0/30'));
            cluster.upsert('ipPools', poolOf('lb6', '2001:db8::/127'));
            return loopOf(cluster, server.datastore, { isLeader: () => leader === index });
          });
          for (const loop of loops) loop.start();
          server.lags = true;
          server.fault = () => faults.pop();
          try {
            for (const each of steps) {
              if (each.type === 'apply') {
                const spec: ServiceSpec = {
                  ports: [{ port: each.port }],
                  ...(each.address === undefined ? {} : { loadBalancerIP: each.address }),
                  ...(each.isLocal ? { externalTrafficPolicy: 'Local' as const } : {}),
                  ...(each.isBoth
                    ? { ipFamilies: ['IPv4', 'IPv6'] as const, ipFamilyPolicy: 'PreferDualStack' as const }
                    : {}),
                };
                // What was shared when it was asked for and is not any more takes a moment to be put right: keys stay.
                const before = server.services.get(`shop/${each.name}`)?.metadata.annotations;
                const key = server.services.has(`shop/${each.name}`)
                  ? before?.['metallb.io/allow-shared-ip']
                  : each.key;
                server.apply(
                  serviceOf(each.name, spec, key === undefined ? {} : { 'metallb.io/allow-shared-ip': key }),
                );
              } else if (each.type === 'delete') server.delete(`shop/${each.name}`);
              else if (each.type === 'pool')
                for (const cluster of [first, second])
                  cluster.upsert('ipPools', poolOf('lb', '198.51.100.0/30', { disabled: each.isDisabled }));
              else if (each.type === 'hear') server.hear(each.count);
              else if (each.type === 'leader') {
                // A new leader has waited for the old one's lease, and hears of what the old one wrote before that.
                await settle();
                server.hear();
                leader = 1 - leader;
                loops[leader]?.everything();
              } else await settle(5);
              expect(clashes(server)).to.deep.equal([]);
            }
            server.fault = () => undefined;
            server.lags = false;
            for (const cluster of [first, second]) cluster.upsert('ipPools', poolOf('lb', '198.51.100.0/30'));
            server.hear();
            for (let round = 0; round < 4; round++) {
              await settle();
              // A minute passes: what failed is tried again.
              loops[leader]?.everything();
            }
            await settle();
            expect(clashes(server)).to.deep.equal([]);
            for (const { metadata, status } of server.services.values())
              expect(status?.conditions, metadata.name).to.have.length(1);
          } finally {
            for (const loop of loops) loop.stop();
          }
        },
      ),
      { numRuns: RUNS },
    ));
});
