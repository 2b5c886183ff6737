import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootedSpeaker } from '../../../bench/bgp/rooted.js';
import { SCENARIOS } from '../../../bench/bgp/scenarios.js';

describe('bench bgp: peers of a root', () => {
  const cache = mkdtempSync(join(tmpdir(), 'tortie-rooted-'));
  before(() => {
    mkdirSync(join(cache, 'sid/etc'), { recursive: true });
    mkdirSync(join(cache, 'sid/usr/lib/frr'), { recursive: true });
    writeFileSync(join(cache, 'sid/etc/passwd'), 'root:x:0:0::/root:/bin/sh\nfrr:x:104:107::/nonexistent:/bin/false\n');
    writeFileSync(join(cache, 'sid/usr/lib/frr/mgmtd'), '');
  });
  after(() => rmSync(cache, { recursive: true, force: true }));
  const topology = (): (typeof SCENARIOS)[string]['topology'] => {
    const scenario = SCENARIOS['v4_100k'];
    if (scenario === undefined) throw new Error('There is no scenario v4_100k');
    return scenario.topology;
  };

  it('runs a second version out of its own folder of the root', () => {
    const speaker = rootedSpeaker('bird3@sid', cache);
    expect(speaker?.needs.file).to.equal(join(cache, 'sid/opt/tortie-interop/bird3/usr/sbin/bird'));
    const [command = []] = speaker?.launch(topology(), '/tmp/b').commands ?? [];
    expect(command).to.include(join(cache, 'sid')).and.include('/opt/tortie-interop/bird3/usr/sbin/bird');
  });

  it("gives FRR its mgmtd first, and directories to the root's own user", () => {
    const launch = rootedSpeaker('frr@sid', cache)?.launch(topology(), '/tmp/b');
    expect(launch?.commands.map((argv) => argv.find((word) => word.startsWith('/usr/lib/frr/')))).to.deep.equal(
      ['mgmtd', 'zebra', 'bgpd'].map((name) => `/usr/lib/frr/${name}`),
    );
    expect(launch?.directories).to.deep.equal([
      { path: '/tmp/b/frr', owner: '104' },
      { path: join(cache, 'sid/run/frr'), owner: '104' },
    ]);
  });

  it('knows no others', () => {
    for (const name of ['quagga@sid', 'tortie@sid', 'bird@', 'bird@../etc'])
      expect(rootedSpeaker(name, cache), name).to.equal(undefined);
  });
});
