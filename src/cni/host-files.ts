/**
 * Files that tell a host's network managers to leave Tortie's interfaces and routes alone. Each is a drop-in of our own name; what
 * operators have written elsewhere stays. A manager that is not installed gets none, and one that runs reads them at its next reload
 * or restart.
 *
 *   NetworkManager   would manage the veths, take their addresses and put its own MAC and MTU on them (NetworkManager.conf(5))
 *   systemd-networkd removes routes, rules and next hops that it did not make when it starts (networkd.conf(5)), and what it finds on a
 *                    link that one of its files matches, as `[Match] Name=*` does (systemd.network(5))
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { INTERFACE_PREFIX } from '../dataplane/endpoint-name.js';
import { SHAPER_PREFIX } from '../dataplane/shaper.js';
import { replaceFile } from '../replace-file.js';

interface HostFile {
  /** Below the host's /etc. Written only where this folder is. */
  readonly manager: string;
  readonly path: string;
  readonly content: string;
}

const HEAD = '# Written by the agent of Tortie, and written anew when it starts (docs/host.md).\n';

export const HOST_FILES: readonly HostFile[] = [
  {
    manager: 'NetworkManager',
    path: 'NetworkManager/conf.d/90-tortie.conf',
    // "+=": beside what others do not want managed.
    content: `${HEAD}[keyfile]\nunmanaged-devices+=interface-name:${INTERFACE_PREFIX}*;interface-name:${SHAPER_PREFIX}*\n`,
  },
  {
    manager: 'systemd',
    // The first file that matches a link has it, by name over all folders.
    path: 'systemd/network/00-tortie.network',
    content: `${HEAD}[Match]\nName=${INTERFACE_PREFIX}* ${SHAPER_PREFIX}*\n\n[Link]\nUnmanaged=yes\n`,
  },
  {
    manager: 'systemd',
    path: 'systemd/networkd.conf.d/90-tortie.conf',
    // Versions that do not know one of them say so in their log and go on: routes and rules came with 246 and 249, next hops with 256.
    content: `${HEAD}[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\nManageForeignNextHops=no\n`,
  },
];

/**
 * Writes what is not there as it should be; answers which files. @param etc the host's /etc, wherever it is mounted.
 * Throws what the file system says.
 */
export function installHostFiles(etc: string): readonly string[] {
  return HOST_FILES.filter(({ manager }) => existsSync(join(etc, manager))).flatMap(({ path, content }) => {
    const file = join(etc, path);
    mkdirSync(dirname(file), { recursive: true });
    return replaceFile(file, Buffer.from(content), 0o644) ? [file] : [];
  });
}
