/**
 * `npm run real -- COMMAND`: a real Kubernetes with Tortie on one machine (docs/real-cluster.md). Says which scripts a command
 * runs; each of them looks first and does only what is missing. Everything that is built, kept and logged lies in one
 * folder, $TORTIE_REAL.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const nodes = ['node1', 'node2', 'node3'];
const checks = readdirSync(join(here, 'checks')).map((name) => name.replace(/\.sh$/, ''));

const commands = {
  build: () => [['build.sh'], ['build-containerd.sh'], ['images.sh']],
  'build-suite': () => [['build-suite.sh']],
  'build-helm': () => [['build-helm.sh']],
  up: () => [
    ['tortie-image.sh'],
    ['certificates.sh'],
    ['control-plane.sh'],
    // With the image, before anything asks for it.
    ...nodes.map((name) => ['node.sh', name, 'start']),
    ['objects.sh'],
    ...nodes.map((name) => ['node.sh', name, 'up']),
  ],
  check: (names) => (names.length === 0 ? checks : names).map((name) => [join('checks', `${name}.sh`)]),
  e2e: (args) => [['dns.sh'], ['e2e.sh', ...args]],
  node: ([name = '', action = 'up']) => [['node.sh', name, action]],
  kubectl: (args) => [['kubectl.sh', ...args]],
  down: () => [['down.sh']],
};

const usage = `Usage: npm run real -- COMMAND
  build                     Kubernetes and containerd from their Go modules, images of what this machine has: half an hour
  build-suite               the network part of Kubernetes' end-to-end suite
  build-helm                Helm, for the check of that name
  up                        routers, control plane, three nodes with kubelet, kube-proxy and Tortie
  check [NAME...]           what no suite of others asks: ${checks.join(', ')}
  e2e [FOCUS [SKIP]]        the suite; by default NetworkPolicy
  node NAME up|down|reboot  one node
  kubectl ARGS...
  down                      takes everything away but what was built

$TORTIE_REAL   where everything lies (default: ~/.cache/tortie-real)
$CONTAINERD    "debian": the runtime of the distribution instead of the built one
$PROXY_MODE    of kube-proxy: iptables (default), nftables, ipvs, or none: Tortie serves Services
$TORTIE_AS     how Tortie runs: daemonset (default), or process: beside kubelet, without an image
$AGENT_FLAGS   further ones of \`tortie agent\``;

const [name, ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
if (command === undefined) {
  process.stderr.write(`${usage}\n`);
  process.exit(2);
}
if (name === 'check' && args.some((arg) => !checks.includes(arg))) {
  process.stderr.write(`Cannot check ${args.join(', ')}: expected some of ${checks.join(', ')}.\n`);
  process.exit(2);
}
const env = {
  ...process.env,
  REAL: process.env.TORTIE_REAL ?? join(homedir(), '.cache/tortie-real'),
  NODE: process.execPath,
};
let worst = 0;
for (const [script, ...rest] of command(args)) {
  const { status } = spawnSync('bash', [join(here, script), ...rest], { stdio: 'inherit', env });
  worst = Math.max(worst, status ?? 1);
  // Checks are independent of one another; steps are not.
  if (status !== 0 && name !== 'check') break;
}
process.exit(worst);
