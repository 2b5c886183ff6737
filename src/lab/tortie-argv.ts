/** Where this build of Tortie lies: its command line program, its manifests, its native programs. */
import { fileURLToPath } from 'node:url';

/** The repository's or package's root, seen from dist/src/lab. */
const root = new URL('../../../', import.meta.url);

export const packageFile = (path: string): string => fileURLToPath(new URL(path, root));

/** `tortie ARGS...` with the very Node that runs us. */
export const tortieArgv = (...args: readonly string[]): readonly string[] => [process.execPath, packageFile('dist/src/cli.js'), ...args];

export const DEFAULT_TOPOLOGY = packageFile('src/lab/topologies/default.yaml');
export const PROBER = packageFile('dist/bin/tortie-prober');
export const CNI_BIN = packageFile('dist/cni');
