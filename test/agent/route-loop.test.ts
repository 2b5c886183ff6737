import { expect } from 'chai';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import type { OwnRoutes } from '../../src/agent/kernel.js';
import { RouteLoop, type RouteLoopOptions } from '../../src/agent/route-loop.js';
import { createLogger } from '../../src/log.js';
import type { PeeringAddress } from '../../src/topology/node-side.js';

type Desired = ReturnType<RouteLoopOptions['desired']>;

describe('agent/route-loop', () => {
  let desired: Desired;
  let refused: readonly string[];
  let told: (OwnRoutes | readonly PeeringAddress[])[];
  let loop: RouteLoop;

  beforeEach(() => {
    desired = { blocks: [], endpoints: [], gateways: [], peering: [], overlay: [] };
    refused = [];
    told = [];
    loop = new RouteLoop({
      kernel: {
        level: (routes) => {
          told.push(routes);
          return refused;
        },
        levelPeering: (addresses) => {
          told.push(addresses);
          return [];
        },
      },
      desired: () => desired,
      log: createLogger('test', { level: 'silent' }),
      onHealth: () => undefined,
    });
  });
  afterEach(() => loop.stop());

  /** Starts it anew: that looks at once. */
  const look = (): void => {
    loop.stop();
    loop.start();
  };

  it('states blocks, pods and gateways whole', () => {
    const gateway = { address: '192.0.2.1', gateway: '10.1.1.2', field: 'BGPPeer/far spec.reachableBy' };
    const hop = {
      prefix: parsePrefix('10.65.9.0/26'),
      gateway: parseAddress('10.0.0.9'),
      interfaceName: 'vxlan.tortie',
    };
    desired = {
      ...desired,
      overlay: [hop],
      blocks: [
        { prefix: parsePrefix('10.65.0.0/26'), pool: 'a' },
        { prefix: parsePrefix('10.65.1.7/32'), pool: 'a' },
      ] as unknown as Desired['blocks'],
      endpoints: [{ hostInterface: 'tort1', addresses: ['10.65.0.1', 'fd00:65::1'] }],
      gateways: [gateway],
    };
    look();
    expect(told[0]).to.deep.equal({
      blocks: [parsePrefix('10.65.0.0/26')],
      pods: [
        { address: '10.65.0.1', hostInterface: 'tort1' },
        { address: 'fd00:65::1', hostInterface: 'tort1' },
      ],
      gateways: [gateway],
      overlay: [hop],
    });
  });

  it("looks at addresses of pods' interfaces once after a start, then only while there are or were any", () => {
    const address = { hostInterface: 'tort1', address: '169.254.0.179' };
    const looks = (peering: readonly PeeringAddress[]): readonly PeeringAddress[][] => {
      desired = { ...desired, peering };
      told = [];
      look();
      return told.filter((each): each is PeeringAddress[] => Array.isArray(each));
    };
    expect(looks([]), 'what a former process left').to.deep.equal([[]]);
    expect(looks([])).to.deep.equal([]);
    expect(looks([address])).to.deep.equal([[address]]);
    expect(looks([address])).to.deep.equal([[address]]);
    expect(looks([])).to.deep.equal([[]]);
    expect(looks([])).to.deep.equal([]);
  });

  it('names the field behind a gateway that the kernel refuses, and no field for other refusals', () => {
    const gateway = { address: '192.0.2.1', gateway: '10.9.9.9', field: 'BGPPeer/far spec.reachableBy' };
    desired = { ...desired, gateways: [gateway, { ...gateway, field: 'BGPPeer/fa spec.reachableBy' }] };
    refused = ['BGPPeer/far spec.reachableBy is "10.9.9.9"; expected a gateway', 'Cannot add route 10.65.0.1/32'];
    look();
    expect(loop.problems()).to.deep.equal(refused);
    expect(loop.fieldProblems()).to.deep.equal([
      {
        resource: 'BGPPeer/far',
        field: 'spec.reachableBy',
        message: 'spec.reachableBy is "10.9.9.9"; expected a gateway',
        severity: 'problem',
      },
    ]);
  });
});
