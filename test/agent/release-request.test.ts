import { expect } from 'chai';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RELEASE_PATH, releaseListener } from '../../src/agent/release-request.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import { ownerOf } from './ipam-world.js';

describe('agent/release-request', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tortie-release-'));
  const socket = join(directory, 'agent.sock');
  const released: string[] = [];
  const server = createServer(
    releaseListener({
      holderOf: (address) => (/[789]$/.test(address) ? undefined : ownerOf(address)),
      hasPod: ({ pod }) => (pod === '10.0.0.4' ? undefined : pod === '10.0.0.2'),
      hasInterface: ({ pod }) => pod === '10.0.0.3',
      release: async ({ pod }) => void released.push(pod),
      keptFor: (address) => ({ '10.0.0.8': 'StatefulSet s/web-0', '10.0.0.7': 'Pod s/p' })[address],
      free: async (address) => address === '10.0.0.8',
    }),
  );
  before(() => new Promise<void>((resolve) => server.listen(socket, resolve)));
  after(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });

  const ask = (body: unknown, method = 'POST', path = RELEASE_PATH) =>
    requestOverUnixSocket(socket, method, path, body);

  it('releases what neither a pod nor a sandbox has, and says of the rest why not', async () => {
    const addresses = [
      '10.0.0.1',
      '10.0.0.2',
      '10.0.0.3',
      '10.0.0.4',
      '10.0.0.7',
      '10.0.0.8',
      '10.0.0.9',
      'rubbish',
      'FD00::1',
    ];
    const { status, body } = await ask({ addresses });
    expect(status).to.equal(200);
    expect((body as { readonly message: string }[]).map(({ message }) => message)).to.deep.equal([
      'Released 10.0.0.1 of pod "default/10.0.0.1"',
      'Cannot release 10.0.0.2: pod "default/10.0.0.2" has it',
      'Cannot release 10.0.0.3: the sandbox of pod "default/10.0.0.3" is still there (container "10.0.0.3"); the runtime has to remove it',
      'Cannot release 10.0.0.4: this node cannot read pods from the API server now',
      'Cannot release 10.0.0.7: Pod s/p has just got it',
      'Released 10.0.0.8, which was kept for StatefulSet s/web-0',
      'Cannot release 10.0.0.9: nobody has it on this node',
      'Cannot release rubbish: expected an address',
      'Released fd00::1 of pod "default/fd00::1"',
    ]);
    expect(released).to.deep.equal(['10.0.0.1', 'fd00::1']);
  });

  it('takes nothing else', async () => {
    expect((await ask({ addresses: [1] })).status).to.equal(400);
    expect((await ask({})).status).to.equal(400);
    expect((await ask(undefined, 'GET')).status).to.equal(405);
    expect((await ask({}, 'POST', '/v1/other')).status).to.equal(404);
  });
});
