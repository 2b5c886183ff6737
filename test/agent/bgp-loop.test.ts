import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpeakerConfig } from 'node-bgp/config';
import { BgpLoop } from '../../src/agent/bgp-loop.js';
import { createLogger } from '../../src/log.js';

const config = (peers: number): SpeakerConfig => ({
  localAs: 64512,
  routerId: '10.0.0.1',
  peers: Array.from({ length: peers }, (_, i) => ({ address: `10.1.0.${i}`, remoteAs: 65001 })),
});

describe('agent/bgp-loop', () => {
  let directory = '';
  let server: Server;
  /** Number of peers of every configuration that bgpd was told, in order. */
  let told: number[] = [];

  beforeEach((done) => {
    told = [];
    directory = mkdtempSync(join(tmpdir(), 'tortie-bgp-loop-'));
    server = createServer((request, response) => {
      let text = '';
      request
        .setEncoding('utf8')
        .on('data', (chunk: string) => (text += chunk))
        .on('end', () => {
          if (request.method === 'PUT') told.push((JSON.parse(text) as SpeakerConfig).peers?.length ?? 0);
          response.end('{}');
        });
    }).listen(join(directory, 'bgpd.sock'), done);
  });
  afterEach((done) => {
    rmSync(directory, { recursive: true, force: true });
    server.closeAllConnections();
    server.close(() => done());
  });

  it('tells bgpd nothing before it is started: half a state would end the sessions it leaves out', async () => {
    let peers = 4;
    const loop = new BgpLoop({
      socketPath: join(directory, 'bgpd.sock'),
      compute: () => ({ config: config(peers), problems: [] }),
      log: createLogger('test', { level: 'silent' }),
      onHealth: () => undefined,
    });
    loop.changed();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(told).to.deep.equal([]);
    peers = 8;
    loop.start();
    while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    loop.stop();
    expect(told).to.deep.equal([8]);
  });
});
