import { expect } from 'chai';
import { AddressPublisher } from '../../src/agent/address-publisher.js';
import type { NodeAddresses } from '../../src/api/ipam.js';
import { createLogger } from '../../src/log.js';
import { ownerOf } from './ipam-world.js';

describe('agent/address-publisher', () => {
  let stored: NodeAddresses | undefined;
  let calls: string[];
  let isAway: boolean;
  let hasNode: boolean;
  let addresses: string[];
  let publisher: AddressPublisher;

  const answer = (call: string, object: NodeAddresses | undefined): NodeAddresses | undefined => {
    calls.push(call);
    if (isAway) throw new Error('connection refused');
    stored = object;
    return object;
  };

  beforeEach(() => {
    stored = undefined;
    calls = [];
    isAway = false;
    hasNode = true;
    addresses = ['10.0.0.2', '10.0.0.1'];
    publisher = new AddressPublisher({
      node: 'n',
      datastore: {
        get: (async () => answer('get', stored)) as never,
        create: (async (_: unknown, object: NodeAddresses) => answer('create', object)) as never,
        replace: (async (_: unknown, object: NodeAddresses) => answer('replace', object)) as never,
      },
      owners: () => addresses.map((address) => ({ owner: ownerOf(`pod-${address}`), addresses: [address] })),
      hasNode: () => hasNode,
      log: createLogger('test', { level: 'silent' }),
      delay: 1,
      interval: 20,
    });
  });
  afterEach(() => publisher.stop());

  const until = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 400 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(holds(), `never held; calls: ${calls.join()}`).to.equal(true);
  };
  const told = () => stored?.spec.addresses?.map(({ address, pod }) => `${address} ${pod}`);

  it('tells who has which address, a burst in one write, and what is new later', async () => {
    for (let i = 0; i < 100; i++) publisher.changed();
    await until(() => told()?.length === 2);
    expect(told()).to.deep.equal(['10.0.0.1 pod-10.0.0.1', '10.0.0.2 pod-10.0.0.2']);
    expect(calls).to.deep.equal(['get', 'create']);
    addresses = ['10.0.0.3'];
    publisher.changed();
    await until(() => told()?.join() === '10.0.0.3 pod-10.0.0.3');
    expect(calls).to.deep.equal(['get', 'create', 'replace']);
  });

  it('does not tell again what it has told', async () => {
    publisher.changed();
    await until(() => stored !== undefined);
    publisher.changed();
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(calls).to.deep.equal(['get', 'create']);
  });

  it('tries again when the API server is away', async () => {
    isAway = true;
    publisher.changed();
    await until(() => calls.length >= 2);
    isAway = false;
    await until(() => told()?.length === 2);
  });

  it('tells nothing of a node that is deleted', async () => {
    hasNode = false;
    publisher.changed();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(calls).to.deep.equal([]);
  });
});
