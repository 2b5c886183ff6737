/** The package node-bgp: what is in it, what its types allow, and what it does where nothing but Node is there. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PackedProject, REPOSITORY } from './packed-project.js';

const PORT = 32_000 + (process.pid % 2_000);

describe('package node-bgp', function () {
  this.timeout(60_000);
  let project: PackedProject;

  before(() => {
    project = new PackedProject();
  });
  after(() => project.remove());

  const run = (program: string): string =>
    execFileSync(process.execPath, [project.write('program.mjs', program)], { encoding: 'utf8', timeout: 20_000 });

  it('has programs, types, a page and its licence, and nothing else', () => {
    const strange = project.files
      .map(({ path }) => path)
      .filter((path) => !/^(dist\/.*\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/.test(path));
    expect(strange).to.deep.equal([]);
    expect(project.files.map(({ path }) => path)).to.include.members([
      'dist/index.js',
      'dist/index.d.ts',
      'dist/bfd/bfd-worker.js',
      'LICENSE',
    ]);
    expect(project.size, 'octets').to.be.lessThan(400_000);
  });

  it('stands alone: one optional dependency, which is not there', () => {
    expect(
      run(`
      import manifest from 'node-bgp/package.json' with { type: 'json' };
      const koffi = await import('koffi').then(() => 'there', () => 'not there');
      console.log(JSON.stringify([manifest.license, manifest.dependencies ?? {}, Object.keys(manifest.optionalDependencies), koffi]));
    `),
    ).to.equal('["Apache-2.0",{},["koffi"],"not there"]\n');
  });

  it('has types that resolve in a strict project, and forbid what a speaker would refuse', () => {
    project.addTypeScript();
    const { status, stdout } = spawnSync(join(REPOSITORY, 'node_modules/.bin/tsc'), ['-p', project.directory], {
      encoding: 'utf8',
    });
    expect([status, stdout]).to.deep.equal([0, '']);
  });

  it('peers with itself, tells events and routes, and ends', () => {
    const out = run(`
      import { Speaker } from 'node-bgp';
      const speakerAt = (self, other, more) => ({
        localAs: 64500 + self, routerId: '10.0.0.' + self, listen: [{ address: '127.0.3.' + self, port: ${PORT} }],
        peers: [{ address: '127.0.3.' + other, port: ${PORT}, localAddress: '127.0.3.' + self,
          remoteAs: 64500 + other, multihop: 2 }],
        ...more,
      });
      const [one, two] = [new Speaker({ keepRoutes: true }), new Speaker()];
      const up = one.events(['peer-up']).next();
      const originate = [{ prefix: '10.65.3.0/24' }, { prefix: 'fd00:65::/64' }];
      await Promise.all([one.configure(speakerAt(2, 3)), two.configure(speakerAt(3, 2, { originate }))]);
      console.log((await up).value.remoteAs);
      for await (const { prefix, via } of one.routes()) {
        console.log(prefix, via[0]?.address);
        if (prefix === '10.65.3.0/24' && via.length > 0) two.originate([]);
        else if (via.length === 0) break;
      }
      await Promise.all([one.stop(), two.stop()]);
    `);
    expect(out).to.equal('64503\n10.65.3.0/24 127.0.3.3\n10.65.3.0/24 undefined\n');
  });

  for (const [what, peer, sentence] of [
    ['TCP-MD5', { multihop: 2, password: 'secret' }, /TCP-MD5.*koffi/i],
    ['TTL security', { ttlSecurityHops: 1 }, /TTL security.*koffi/i],
  ] as const)
    it(`says what ${what} needs, instead of going without`, () => {
      const out = run(`
        import { Speaker } from 'node-bgp';
        const speaker = new Speaker();
        const failed = speaker.events(['attempt-failed', 'peer-up']).next();
        const peer = { address: '127.0.3.9', port: ${PORT}, remoteAs: 64503, ...${JSON.stringify(peer)} };
        await speaker.configure({ localAs: 64502, routerId: '10.0.0.2', listen: [], peers: [peer] });
        console.log((await failed).value.reason, JSON.stringify(speaker.summary().peers[0].lastError));
        await speaker.stop();
      `);
      expect(out).to.match(sentence).and.not.contain('secret');
    });

  it('says what BFD needs, and keeps the session', () => {
    const out = run(`
      import { Speaker } from 'node-bgp';
      const speakerAt = (self, other, more) => ({
        localAs: 64500 + self, routerId: '10.0.0.' + self, listen: [{ address: '127.0.3.' + self, port: ${PORT} }],
        peers: [{ address: '127.0.3.' + other, port: ${PORT}, localAddress: '127.0.3.' + self,
          remoteAs: 64500 + other, multihop: 2, ...more }],
      });
      const [one, two] = [new Speaker(), new Speaker()];
      const told = one.events(['peer-warning']).next();
      await Promise.all([one.configure(speakerAt(4, 5, { bfd: {} })), two.configure(speakerAt(5, 4))]);
      console.log((await told).value.reason, one.summary().peers[0].isEstablished);
      await Promise.all([one.stop(), two.stop()]);
    `);
    expect(out).to.match(/true\n$/);
    expect(out).to.match(/BFD.*koffi/i);
  });
});
