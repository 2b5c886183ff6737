/** Limits of pods from their annotations to the kernel: what is told, when, and what is said of what cannot be had. */
import { expect } from 'chai';
import type { InterfaceLimits } from '@tortie/policy/objects';
import { ShapingLoop } from '../../src/agent/shaping-loop.js';
import type { Pod } from '../../src/api/core.js';
import { createLogger } from '../../src/log.js';
import type { PodRates } from '../../src/shaping/pod-limits.js';

const QOS = 'qos.projectcalico.org/';

describe('agent/shaping-loop', () => {
  let annotations: Record<string, string>;
  let shaped: ReadonlyMap<string, PodRates>[];
  let limited: ReadonlyMap<string, InterfaceLimits>[];
  let uncountable: string | undefined;
  let loop: ShapingLoop;

  beforeEach(() => {
    annotations = {};
    shaped = [];
    limited = [];
    uncountable = undefined;
    loop = new ShapingLoop({
      endpoints: () => [{ hostInterface: 'tort1', owner: { namespace: 'shop', pod: 'web' } }],
      pod: (namespace, name) => ({ metadata: { namespace, name, annotations }, spec: {} }) as unknown as Pod,
      level: (wanted) => {
        shaped.push(wanted);
        return [];
      },
      limit: (limits) => void limited.push(limits),
      connectionLimitProblem: () => uncountable,
      log: createLogger('test', { level: 'silent' }),
      onHealth: () => undefined,
      interval: 60_000,
    });
    loop.start();
  });
  afterEach(() => loop.stop());
  const change = async (after: Record<string, string>): Promise<void> => {
    annotations = after;
    loop.changed();
    await new Promise(setImmediate);
  };

  it('asks for nothing where nobody is limited, but once, for what a predecessor left', async () => {
    await change({});
    expect([shaped.length, limited]).to.deep.equal([1, []]);
  });

  it('tells rules of packets and connections once, and that they are gone', async () => {
    const asked = { [`${QOS}egressPacketRate`]: '10', [`${QOS}ingressMaxConnections`]: '3' };
    await change(asked);
    await change({ ...asked, other: 'x' });
    await change({});
    expect(limited.map((limits) => [...limits])).to.deep.equal([
      [['tort1', { egress: { packets: { perSecond: 10, burst: 5 } }, ingress: { connections: 3 } }]],
      [],
    ]);
  });

  it('limits what the kernel can count, and says what it cannot', async () => {
    uncountable = 'This kernel lacks xt_connlimit';
    await change({ [`${QOS}egressPacketRate`]: '10', [`${QOS}egressMaxConnections`]: '3' });
    expect(limited.map((limits) => [...limits])).to.deep.equal([
      [['tort1', { egress: { packets: { perSecond: 10, burst: 5 } } }]],
    ]);
    expect(loop.problems()).to.deep.equal(['Cannot limit the connections of pods: This kernel lacks xt_connlimit']);
    await change({});
    expect(loop.problems()).to.deep.equal([]);
  });
});
