/** Where this build of Tortie lies: its command line program, its manifests, its native programs. */
import { fileURLToPath } from 'node:url';

/** The repository's or package's root, seen from dist/src/lab. */
const root = new URL('../../../', import.meta.url);

export const packageFile = (path: string): string => fileURLToPath(new URL(path, root));

/**
 * A node has better uses for 32 MB than the agent's young generation (docs/decisions/0051-load.md). Whoever starts the agent
 * passes this, a unit file or a DaemonSet as the lab does.
 */
const AGENT_NODE_FLAGS = ['--max-semi-space-size=4'];

/** `tortie ARGS...` with the very Node that runs us. */
export const tortieArgv = (...args: readonly string[]): readonly string[] => [
  process.execPath,
  ...(args[0] === 'agent' ? AGENT_NODE_FLAGS : []),
  packageFile('dist/src/cli.js'),
  ...args,
];

export const DEFAULT_TOPOLOGY = packageFile('src/lab/topologies/default.yaml');
export const PROBER = packageFile('dist/bin/tortie-prober');
export const CNI_BIN = packageFile('dist/cni');
