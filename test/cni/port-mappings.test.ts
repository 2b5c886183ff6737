import { expect } from 'chai';
import { CniError } from '../../src/cni/cni-error.js';
import { MOST_PORT_MAPPINGS, portMappingsOf, type PortMapping } from '../../src/cni/port-mappings.js';

const parse = (portMappings: unknown): readonly PortMapping[] =>
  portMappingsOf({ raw: { runtimeConfig: { portMappings } } });

describe('CNI port mappings', () => {
  it('are taken as runtimes write them', () => {
    expect(
      parse([
        { hostPort: 8080, containerPort: 80, protocol: 'TCP', hostIP: '' },
        { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '192.0.2.1' },
        { hostPort: 9, containerPort: 9, protocol: 'SCTP', hostIP: '2001:DB8:0::1' },
        { hostPort: 81, containerPort: 81 },
        { hostPort: 0, containerPort: 80, protocol: 'tcp' },
        { containerPort: 80, protocol: 'tcp' },
      ]),
    ).to.deep.equal([
      { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
      { protocol: 'udp', hostPort: 53, containerPort: 5353, hostIP: '192.0.2.1' },
      { protocol: 'sctp', hostPort: 9, containerPort: 9, hostIP: '2001:db8::1' },
      { protocol: 'tcp', hostPort: 81, containerPort: 81 },
    ]);
    for (const raw of [{}, { runtimeConfig: {} }, { runtimeConfig: { portMappings: null } }])
      expect(portMappingsOf({ raw })).to.deep.equal([]);
  });

  it('that are wrong are named, field by field', () => {
    for (const [value, field] of [
      [{}, 'runtimeConfig.portMappings'],
      [
        Array.from({ length: MOST_PORT_MAPPINGS + 1 }, () => ({ hostPort: 1, containerPort: 1 })),
        'runtimeConfig.portMappings',
      ],
      [[{ hostPort: 70_000, containerPort: 80 }], 'runtimeConfig.portMappings[0].hostPort'],
      [[{ hostPort: 80 }], 'runtimeConfig.portMappings[0].containerPort'],
      [[{ hostPort: 80, containerPort: 80, protocol: 'icmp' }], 'runtimeConfig.portMappings[0].protocol'],
      [[{ hostPort: 80, containerPort: 80, hostIP: 'here' }], 'runtimeConfig.portMappings[0].hostIP'],
    ] as const)
      expect(() => parse(value), field).to.throw(CniError, field);
  });
});
