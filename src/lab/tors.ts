/**
 * What runs in a router's namespace: BIRD, FRR or our own bgpd, from one description of the rack. A flavour writes its
 * files, says which processes to keep running, and how its own command line client is reached.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { renderBird } from './bird.js';
import { run } from './command.js';
import type { DaemonSpec } from './daemon.js';
import { renderFrr, type FrrDaemon } from './frr.js';
import type { Rack, RackTor } from './rack.js';
import { LABS_ROOT, type TorKind } from './state-dir.js';
import { renderTortieTor, renderTortieTorRoutes } from './tortie-tor.js';
import { tortieArgv } from './tortie-argv.js';
import { writeWrapper } from './wrapper.js';

/** Writes the router's files below `directory` and returns the processes to run, in the order of their start. */
export async function prepareTor(
  kind: TorKind,
  rack: Rack,
  tor: RackTor,
  directory: string,
): Promise<readonly DaemonSpec[]> {
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
  return [
    {
      name: `${tor.name} bird`,
      netns: tor.netns,
      argv: ['/usr/sbin/bird', '-f', '-c', config, '-s', socket, '-P', join(directory, 'bird.pid')],
    },
  ];
}

/**
 * FRR's daemons insist on their own user (only bgpd can be told to skip that), so their directory is that user's and the ones
 * above it let its group pass: traversable for nobody else, and readable for nobody but root.
 */
async function prepareFrr(rack: Rack, tor: RackTor, directory: string): Promise<readonly DaemonSpec[]> {
  const configs = Object.entries(renderFrr(rack, tor)).map(([daemon, text]) => ({
    path: join(directory, `${daemon}.conf`),
    text,
  }));
  for (const { path, text } of configs) await writeFile(path, text, { mode: 0o600 });
  await writeWrapper(directory, 'vtysh', ['/usr/bin/vtysh', '--vty_socket', directory]);
  await run(['chown', 'frr:frr', directory, ...configs.map(({ path }) => path)]);
  for (let parent = dirname(directory); parent.startsWith(LABS_ROOT); parent = dirname(parent)) {
    await run(['chown', 'root:frr', parent]);
    await chmod(parent, 0o710);
  }
  const zebra = join(directory, 'zserv.api');
  const daemon = (name: FrrDaemon, after?: string): DaemonSpec => ({
    name: `${tor.name} ${name}`,
    ...(after === undefined ? {} : { after }),
    netns: tor.netns,
    argv: [
      `/usr/lib/frr/${name}`,
      '-f',
      join(directory, `${name}.conf`),
      '-i',
      join(directory, `${name}.pid`),
      '-z',
      zebra,
      '--vty_socket',
      directory,
      '-A',
      '127.0.0.1',
      '--log',
      'stdout',
    ],
  });
  return [daemon('zebra'), daemon('staticd', zebra), daemon('bgpd', zebra)];
}

async function prepareTortie(rack: Rack, tor: RackTor, directory: string): Promise<readonly DaemonSpec[]> {
  const config = join(directory, 'bgpd.yaml');
  await writeFile(config, renderTortieTor(rack, tor), { mode: 0o600 });
  await run(['ip', '-n', tor.netns, '-batch', '-'], renderTortieTorRoutes(rack, tor).join('\n'));
  await writeWrapper(directory, 'tortie', tortieArgv());
  const argv = tortieArgv(
    'bgpd',
    '--config',
    config,
    '--run-dir',
    join(directory, 'run'),
    '--state-dir',
    join(directory, 'state'),
  );
  return [{ name: `${tor.name} bgpd`, netns: tor.netns, argv }];
}
