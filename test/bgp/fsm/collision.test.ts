import { expect } from 'chai';
import { resolveCollision } from 'node-bgp/fsm/collision';

describe('bgp/fsm collision (RFC 4271 6.8, RFC 6286 2.3)', () => {
  const rows = [
    { local: { identifier: 2, as: 1 }, remote: { identifier: 1, as: 9 }, keeps: 'ours' },
    { local: { identifier: 1, as: 9 }, remote: { identifier: 2, as: 1 }, keeps: 'theirs' },
    { local: { identifier: 0xfffffffe, as: 1 }, remote: { identifier: 1, as: 1 }, keeps: 'ours' },
    { local: { identifier: 7, as: 65002 }, remote: { identifier: 7, as: 65001 }, keeps: 'ours' },
    { local: { identifier: 7, as: 65001 }, remote: { identifier: 7, as: 4200000000 }, keeps: 'theirs' },
  ] as const;
  for (const { local, remote, keeps } of rows)
    it(`${local.identifier}/AS${local.as} against ${remote.identifier}/AS${remote.as} keeps ${keeps}, and the other end agrees`, () => {
      expect(resolveCollision(local, remote)).to.equal(keeps);
      expect(resolveCollision(remote, local)).to.equal(keeps === 'ours' ? 'theirs' : 'ours');
    });
});
