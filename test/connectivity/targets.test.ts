import { expect } from 'chai';
import { formatReport, reportOf, type Tried } from '../../src/connectivity/report.js';
import { clientPod, serverPod } from '../../src/connectivity/objects.js';
import {
  MOST_MESSAGE,
  readTargets,
  resultText,
  targetsOf,
  type ClientKind,
  type ProbeResult,
  type Scene,
} from '../../src/connectivity/targets.js';

const scene: Scene = {
  namespace: 'ns',
  servers: ['open', 'closed'].flatMap((kind) =>
    [0, 1].map((index) => ({
      name: `${kind}-${index}`,
      node: index === 0 ? 'a' : 'b',
      kind: kind === 'open' ? ('open' as const) : ('closed' as const),
      addresses: [`10.0.${index}.${kind === 'open' ? 1 : 2}`, `fd00::${index}:${kind === 'open' ? 1 : 2}`],
    })),
  ),
  nodes: [
    { name: 'a', addresses: ['192.0.2.1'] },
    { name: 'b', addresses: ['192.0.2.2'] },
  ],
  service: { addresses: ['10.96.0.9', 'fd00:96::9'], port: 80 },
};
const tried = (kind: ClientKind, outcome: { readonly result: ProbeResult } | { readonly problem: string }): Tried => ({
  kind,
  node: 'a',
  targets: targetsOf(kind, 'a', scene),
  ...outcome,
});

describe('connectivity test: what is tried', () => {
  const texts = (kind: ClientKind): readonly string[] =>
    targetsOf(kind, 'a', scene).map(
      ({ path, address, port, expect: wanted, names = [] }) => `${path} ${address} ${port} ${wanted} ${names.join()}`,
    );
  it('by a stranger', () =>
    expect(texts('stranger')).to.deep.equal([
      'same-node 10.0.0.1 8080 answer ns/open-0',
      'same-node fd00::0:1 8080 answer ns/open-0',
      'other-node 10.0.1.1 8080 answer ns/open-1',
      'other-node fd00::1:1 8080 answer ns/open-1',
      'policy-denies 10.0.0.2 8080 silence ns/closed-0',
      'policy-denies fd00::0:2 8080 silence ns/closed-0',
      'policy-denies 10.0.1.2 8080 silence ns/closed-1',
      'policy-denies fd00::1:2 8080 silence ns/closed-1',
      'service 10.96.0.9 80 answer ns/open-0,ns/open-1',
      'service fd00:96::9 80 answer ns/open-0,ns/open-1',
      'pod-to-node 192.0.2.1 10250 reach ',
      'pod-to-node 192.0.2.2 10250 reach ',
    ]));
  it('by a friend and by a node', () => {
    expect(texts('friend').map((text) => text.split(' ')[0])).to.deep.equal(Array(4).fill('policy-allows'));
    expect(texts('node').map((text) => text.split(' ')[0])).to.deep.equal(Array(4).fill('node-to-pod'));
  });
  it('is what a client is started with', () => {
    const targets = targetsOf('stranger', 'a', scene);
    const pod = clientPod({ namespace: 'ns', image: 'i' }, { kind: 'stranger', node: 'a', index: 0, targets });
    expect(readTargets(pod.spec.containers[0]?.args?.[3] ?? '')).to.deep.equal(targets);
    expect(pod.spec).to.include({ nodeName: 'a', restartPolicy: 'Never' });
    for (const bad of ['x', '{}', '[{}]', '[{"path":"service","address":"h","port":1,"expect":"answer"}]'])
      expect(() => readTargets(bad), bad).to.throw(/Cannot read --targets/);
  });
  it("on the host's network where the node itself tries, and nowhere else", () => {
    const place = { namespace: 'ns', image: 'i' };
    const client = (kind: ClientKind) => clientPod(place, { kind, node: 'a', index: 0, targets: [] }).spec.hostNetwork;
    expect([client('node'), client('stranger'), serverPod(place, 'open', 'a', 0).spec.hostNetwork]).to.deep.equal([
      true,
      undefined,
      undefined,
    ]);
  });
});

describe('connectivity test: what came of it', () => {
  it('fits a termination message, however much failed', () => {
    const failures = Array.from({ length: 300 }, (_, index) => [index, 'x'.repeat(200)] as const);
    const text = resultText({ tried: 300, failures });
    expect(Buffer.byteLength(text)).to.be.at.most(MOST_MESSAGE);
    const read = JSON.parse(text) as { tried: number; failures: readonly (readonly [number, string])[] };
    expect(read.tried).to.equal(300);
    expect(read.failures).to.have.length(300);
    expect(read.failures[0]?.[1]).to.equal('x'.repeat(120));
  });
  it('is well when every client found all as it should be', () => {
    const report = reportOf(scene, [
      tried('stranger', { result: { tried: 12, failures: [] } }),
      tried('friend', { result: { tried: 4, failures: [] } }),
    ]);
    expect(report.isWell).to.equal(true);
    expect(report.paths.find(({ path, family }) => path === 'policy-denies' && family === 6)).to.deep.equal({
      path: 'policy-denies',
      family: 6,
      tried: 2,
      failed: 0,
    });
    expect(formatReport(report)).to.match(/Everything is as it should be, on a, b\.$/);
  });
  it('names each path that is not', () => {
    const report = reportOf(scene, [
      tried('stranger', { result: { tried: 12, failures: [[5, '"ns/closed-0" answered']] } }),
    ]);
    expect(report.isWell).to.equal(false);
    expect(report.failures).to.deep.equal([
      {
        path: 'policy-denies',
        from: 'stranger on a',
        to: '[fd00::0:2]:8080 (closed-0 on a)',
        expected: 'silence',
        met: '"ns/closed-0" answered',
      },
    ]);
    expect(formatReport(report)).to.include(
      'stranger to a guarded pod: stranger on a to [fd00::0:2]:8080 (closed-0 on a): expected silence, met: "ns/closed-0" answered',
    );
  });
  it('counts a client without a result as a failure of all that it should have tried', () => {
    const report = reportOf(scene, [tried('friend', { problem: 'the client ended with OOMKilled' })]);
    expect(report.failures).to.have.length(4);
    expect(reportOf(scene, []).isWell).to.equal(false);
  });
});
