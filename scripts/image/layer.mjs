/**
 * What Tortie itself is in an image: the built program and the packages it needs at run time, below /opt/tortie, and `tortie` in the PATH.
 * Used by the Dockerfile (`node scripts/image/layer.mjs FOLDER`) and by the builder without an engine, so that both hold the same.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** Of a package: what nobody reads at run time. */
const UNREAD = /\.(d\.[cm]?ts|map|md|markdown|tsbuildinfo|flow)$|\/\.github$/;
/** A node has better uses for 32 MB than a young generation (docs/decisions/0051-load.md). */
export const NODE_FLAGS = ['--max-semi-space-size=4'];
export const ENTRYPOINT = ['/usr/bin/node', ...NODE_FLAGS, '/opt/tortie/dist/src/cli.js'];

/** Fills `folder`, which is `/` of the layer. */
export function writeLayer(folder) {
  const home = join(folder, 'opt/tortie');
  mkdirSync(home, { recursive: true });
  for (const path of ['package.json', 'LICENSE', 'manifests', 'dist/src', 'dist/cni'])
    copy(join(root, path), join(home, path));
  for (const workspace of workspaces) {
    for (const path of ['package.json', 'dist']) copy(join(root, workspace, path), join(home, workspace, path));
    const { name } = JSON.parse(readFileSync(join(root, workspace, 'package.json'), 'utf8'));
    const link = join(home, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join('/opt/tortie', workspace), link);
  }
  for (const path of productionPackages()) copy(join(root, path), join(home, path), { without: '/node_modules' });
  const program = join(folder, 'usr/bin/tortie');
  mkdirSync(dirname(program), { recursive: true });
  writeFileSync(program, `#!/bin/sh\nexec ${ENTRYPOINT.join(' ')} "$@"\n`);
  chmodSync(program, 0o755);
}

/** Folders of the packages that package-lock.json wants at run time and this machine has (those of other processors it has not). */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true)
    .map(([path]) => path)
    .filter((path) => !/(^|\/)node_modules\/@types\//.test(path) && existsSync(join(root, path)))
    .sort();
}

function copy(from, to, { without } = {}) {
  cpSync(from, to, {
    recursive: true,
    filter: (path) => {
      const inside = path.slice(from.length);
      return !UNREAD.test(inside) && (without === undefined || !inside.startsWith(without));
    },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeLayer(process.argv[2]);
