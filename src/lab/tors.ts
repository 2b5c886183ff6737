/**
 * What runs in a router's namespace: BIRD, FRR or our own bgpd, from one description of the rack. A flavour writes its
 * files, says which processes to keep running, and how its own command line client is reached.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderBird } from './bird.js';
import { run } from './command.js';
import type { DaemonSpec } from './daemon.js';
import { renderFrr } from './frr.js';
import type { Rack, RackTor } from './rack.js';
import type { TorKind } from './state-dir.js';
import { renderTortieTor, renderTortieTorRoutes } from './tortie-tor.js';
import { tortieArgv } from './tortie-argv.js';
import { writeWrapper } from './wrapper.js';

/** Writes the router's files below `directory` and returns the processes to run, in the order of their start. */
export async function prepareTor(kind: TorKind, rack: Rack, tor: RackTor, directory: string): Promise<readonly DaemonSpec[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  switch (kind) {
    case 'bird':
      return prepareBird(rack, tor, directory);
    case 'frr':
      return prepareFrr(rack, tor, directory);
    case 'tortie':
      return prepareTortie(rack, tor, directory);
  }
}

async function prepareBird(rack: Rack, tor: RackTor, directory: string): Promise<readonly DaemonSpec[]> {
  const config = join(directory, 'bird.conf');
  const socket = join(directory, 'bird.ctl');
  await writeFile(config, renderBird(rack, tor), { mode: 0o600 });
  await writeWrapper(directory, 'birdc', ['/usr/sbin/birdc', '-s', socket]);
  return [{ name: `${tor.name} bird`, netns: tor.netns, argv: ['/usr/sbin/bird', '-f', '-c', config, '-s', socket, '-P', join(directory, 'bird.pid')] }];
}

/** FRR's daemons drop to their own user unless told to stay; their sockets and configuration lie in the router's directory. */
async function prepareFrr(rack: Rack, tor: RackTor, directory: string): Promise<readonly DaemonSpec[]> {
  const config = join(directory, 'frr.conf');
  await writeFile(config, renderFrr(rack, tor), { mode: 0o600 });
  await writeWrapper(directory, 'vtysh', ['/usr/bin/vtysh', '--vty_socket', directory]);
  const daemon = (name: 'zebra' | 'staticd' | 'bgpd', extra: readonly string[]): DaemonSpec => ({
    name: `${tor.name} ${name}`,
    netns: tor.netns,
    argv: [`/usr/lib/frr/${name}`, '-u', 'root', '-g', 'root', '-f', config, '-i', join(directory, `${name}.pid`), '-z', join(directory, 'zserv.api'),
      '--vty_socket', directory, '-A', '127.0.0.1', '--log', 'stdout', ...extra],
  });
  return [daemon('zebra', []), daemon('staticd', []), daemon('bgpd', [])];
}

async function prepareTortie(rack: Rack, tor: RackTor, directory: string): Promise<readonly DaemonSpec[]> {
  const config = join(directory, 'bgpd.yaml');
  await writeFile(config, renderTortieTor(rack, tor), { mode: 0o600 });
  await run(['ip', '-n', tor.netns, '-batch', '-'], renderTortieTorRoutes(rack, tor).join('\n'));
  await writeWrapper(directory, 'tortie', tortieArgv());
  const argv = tortieArgv('bgpd', '--config', config, '--run-dir', join(directory, 'run'), '--state-dir', join(directory, 'state'));
  return [{ name: `${tor.name} bgpd`, netns: tor.netns, argv }];
}
