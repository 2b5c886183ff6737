/** Bad parts of objects are named, and everything beside them is served. */
import { expect } from 'chai';
import { ServicesEngine, type ServiceKubeObject } from '@tortie/services';

const service = (name: string, spec: object, more: object = {}): ServiceKubeObject => ({
  metadata: { namespace: 'shop', name },
  ...{ spec, ...more },
});
const slice = (of: string, more: object, name = `${of}-1`): ServiceKubeObject => ({
  metadata: { namespace: 'shop', name, labels: { 'kubernetes.io/service-name': of } },
  ...{ addressType: 'IPv4', ports: [{ name: '', protocol: 'TCP', port: 8080 }], endpoints: [], ...more },
});

function engineWith(services: readonly ServiceKubeObject[], slices: readonly ServiceKubeObject[] = []): ServicesEngine {
  const engine = new ServicesEngine({ nodeName: 'n1' });
  for (const object of services) engine.apply({ type: 'upsert', kind: 'Service', object });
  for (const object of slices) engine.apply({ type: 'upsert', kind: 'EndpointSlice', object });
  return engine;
}

const messages = (engine: ServicesEngine): readonly string[] =>
  engine.problems().flatMap(({ kind, name, problems }) => problems.map(({ message }) => `${kind} ${name}: ${message}`));

const outcome = (engine: ServicesEngine, destination: string, port: number): string => {
  const verdict = engine.verdict({
    source: '10.65.0.9',
    destination,
    protocol: 'tcp',
    port,
    isFromNode: false,
    isToNode: false,
  });
  if (verdict.type === 'balanced') return verdict.choices.map(({ endpoint }) => endpoint.address).join(' ');
  return verdict.type === 'refused' ? verdict.by : 'none';
};

const ONE_PORT = { clusterIPs: ['10.96.0.1'], ports: [{ port: 80 }] } as const;
const GOOD = { addresses: ['10.65.1.1'], nodeName: 'n2' } as const;

describe('services: bad objects', () => {
  for (const [what, spec, wanted] of [
    ['an external address that is none', { externalIPs: ['x'] }, 'must be an IPv4 or IPv6 address'],
    ['a loopback external address', { externalIPs: ['127.0.0.1'] }, 'must not be a loopback address'],
    ['a link-local external address', { externalIPs: ['fe80::1'] }, 'must not be a link-local address'],
    ['a number for an address', { externalIPs: [7] }, 'must be an IPv4 or IPv6 address'],
    ['a list that is none', { externalIPs: {} }, 'must be an array'],
    ['a policy that nobody knows', { externalTrafficPolicy: 'Far', type: 'NodePort' }, 'supported values'],
    ['an affinity that nobody knows', { sessionAffinity: 'Cookie' }, 'supported values'],
    ['an affinity without end', affinity(0), 'must be between 1 and 86400'],
    ['an affinity too long', affinity(86_401), 'must be between 1 and 86400'],
    ['a type that nobody knows', { type: 'Magic' }, 'supported values'],
    ['a health check port out of range', healthCheck(70_000), 'must be between 1 and 65535'],
    [
      'a source range that is none',
      { type: 'LoadBalancer', loadBalancerSourceRanges: ['ten'] },
      'must be a CIDR value',
    ],
  ] as const)
    it(`${what} is named, the cluster IP is served`, () => {
      const engine = engineWith([service('web', { ...ONE_PORT, ...spec })], [slice('web', { endpoints: [GOOD] })]);
      expect(messages(engine).join('\n')).to.contain(wanted);
      expect(messages(engine).join('\n')).to.match(/^Service web: spec\./);
      expect(outcome(engine, '10.96.0.1', 80)).to.equal('10.65.1.1');
    });

  it('a bad port and a port that stands twice are left out, the others are served', () => {
    const ports = [
      { name: '', port: 80 },
      { name: 'b', port: 80 },
      { name: 'c', port: 0 },
      { name: 'd', port: 90, protocol: 'GRE' },
      { name: '', port: 91 },
      { name: 'e', port: 92, nodePort: 70_000 },
    ];
    const engine = engineWith(
      [service('web', { ...ONE_PORT, ports })],
      [slice('web', { endpoints: [GOOD], ports: [{ port: 1 }, { name: 'e', port: 2 }] })],
    );
    expect(messages(engine)).to.deep.equal([
      'Service web: spec.ports[1].port: Duplicate value: 80',
      'Service web: spec.ports[2].port: Invalid value: 0: must be between 1 and 65535',
      'Service web: spec.ports[3].protocol: Unsupported value: "GRE": supported values: "TCP", "UDP", "SCTP"',
      'Service web: spec.ports[4].name: Duplicate value: ""',
      'Service web: spec.ports[5].nodePort: Invalid value: 70000: must be between 1 and 65535',
    ]);
    expect([80, 90, 91, 92].map((port) => outcome(engine, '10.96.0.1', port))).to.deep.equal([
      '10.65.1.1',
      'none',
      'none',
      '10.65.1.1',
    ]);
  });

  it('endpoints in loopback, link-local and other impossible ranges are named and left out', () => {
    const bad = ['127.0.0.1', '169.254.1.1', '224.0.0.1', '0.0.0.0', '255.255.255.255', 'fd00::1', 'x'];
    const engine = engineWith(
      [service('web', ONE_PORT)],
      [slice('web', { endpoints: [...bad.map((address) => ({ addresses: [address] })), {}, GOOD] })],
    );
    expect(messages(engine)).to.have.lengthOf(bad.length + 1);
    expect(messages(engine)[0]).to.equal(
      'EndpointSlice web-1: endpoints[0].addresses[0]: Invalid value: "127.0.0.1": must not be a loopback address',
    );
    expect(outcome(engine, '10.96.0.1', 80)).to.equal('10.65.1.1');
  });

  it('a slice of unknown type is named, one of names is not', () => {
    const engine = engineWith(
      [service('web', ONE_PORT)],
      [
        slice('web', { addressType: 'IPX', endpoints: [GOOD] }, 'a'),
        slice('web', { addressType: 'FQDN', endpoints: [{ addresses: ['example.org'] }] }, 'b'),
        slice('web', { endpoints: [GOOD] }, 'c'),
      ],
    );
    expect(messages(engine)).to.deep.equal([
      'EndpointSlice a: addressType: Unsupported value: "IPX": supported values: "IPv4", "IPv6", "FQDN"',
    ]);
    expect(outcome(engine, '10.96.0.1', 80)).to.equal('10.65.1.1');
  });

  it('an address that two Services claim goes to a cluster IP first, then to the older one; the other is told', () => {
    const [rogue, older, newer] = [
      service('rogue', { clusterIPs: ['10.96.0.9'], ports: [{ port: 80 }], externalIPs: ['10.96.0.1'] }),
      service('older', { clusterIPs: ['10.96.0.2'], ports: [{ port: 80 }], externalIPs: ['198.51.100.1'] }),
      service('newer', { clusterIPs: ['10.96.0.3'], ports: [{ port: 80 }], externalIPs: ['198.51.100.1'] }),
    ];
    const at = (object: ServiceKubeObject, creationTimestamp: string): ServiceKubeObject => ({
      ...object,
      metadata: { ...object.metadata, creationTimestamp },
    });
    const objects = [
      at(rogue, '2026-01-01T00:00:00Z'),
      at(newer, '2026-01-03T00:00:00Z'),
      at(older, '2026-01-02T00:00:00Z'),
      at(service('web', ONE_PORT), '2026-01-04T00:00:00Z'),
    ];
    const slices = ['web', 'rogue', 'older', 'newer'].map((name, index) =>
      slice(name, { endpoints: [{ addresses: [`10.65.2.${index + 1}`] }] }),
    );
    for (const order of [objects, [...objects].reverse()]) {
      const engine = engineWith(order, slices);
      expect(outcome(engine, '10.96.0.1', 80)).to.equal('10.65.2.1');
      expect(outcome(engine, '198.51.100.1', 80)).to.equal('10.65.2.3');
      expect([...messages(engine)].sort()).to.deep.equal([
        'Service newer: spec.externalIPs: Invalid value: "198.51.100.1": must not have tcp port 80, which Service ' +
          '"shop/older" has already',
        'Service rogue: spec.externalIPs: Invalid value: "10.96.0.1": must not have tcp port 80, which Service ' +
          '"shop/web" has already',
      ]);
      engine.apply({ type: 'delete', kind: 'Service', namespace: 'shop', name: 'older' });
      expect(outcome(engine, '198.51.100.1', 80)).to.equal('10.65.2.4');
      expect(messages(engine)).to.have.lengthOf(1);
    }
  });

  it('source ranges that nobody can read close the load balancer', () => {
    const spec = { ...ONE_PORT, type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/33'] };
    const status = { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } };
    const engine = engineWith([service('web', spec, { status })], [slice('web', { endpoints: [GOOD] })]);
    expect(outcome(engine, '198.51.100.1', 80)).to.equal('source-range');
    expect(outcome(engine, '10.96.0.1', 80)).to.equal('10.65.1.1');
  });

  it('objects of nothing but nonsense throw nothing', () => {
    const nonsense = [null, 7, 'x', [], {}, { ports: 7 }, { clusterIPs: [null] }, { ports: [null], clusterIP: 9 }];
    const engine = new ServicesEngine({ nodeName: 'n1' });
    for (const [index, spec] of nonsense.entries()) {
      const metadata = { namespace: 'x', name: `o${index}`, labels: { 'kubernetes.io/service-name': `o${index}` } };
      const more = spec as object;
      engine.apply({ type: 'upsert', kind: 'Service', object: { metadata, ...{ spec: more, status: more } } });
      engine.apply({
        type: 'upsert',
        kind: 'EndpointSlice',
        object: { metadata, ...{ addressType: 'IPv4', endpoints: more, ports: more } },
      });
      engine.apply({ type: 'upsert', kind: 'Node', object: { metadata: { name: 'n1' }, ...{ status: more } } });
    }
    engine.flush();
    expect(engine.problems().length).to.be.greaterThan(0);
  });
});

function affinity(timeoutSeconds: number): object {
  return { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
}

function healthCheck(healthCheckNodePort: number): object {
  return { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort };
}
