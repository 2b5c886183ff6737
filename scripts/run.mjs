#!/usr/bin/env node
/**
 * What stands behind `npm test` and `npm run` lab, cases, bench, interop, image and real: brings a fresh
 * Debian machine to the point where the command can run, says what it installs and why, then runs it. Plain JavaScript without
 * dependencies, because it runs before anything is installed or compiled.
 *
 * Every step looks first and does nothing when there is nothing to do, so a second run starts within seconds.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OLDEST_NODE = [20, 19];

/** Debian package, a file that proves it is there, why it is needed, and by which commands. */
const packages = [
  { name: 'iproute2', file: 'ip', why: 'network namespaces', by: ['lab', 'test', 'cases', 'bench', 'interop', 'real'] },
  {
    name: 'iptables',
    file: 'iptables',
    why: 'policy rules (legacy and nft)',
    by: ['lab', 'test', 'cases', 'bench', 'interop', 'real', 'image'],
  },
  {
    name: 'ipset',
    file: 'ipset',
    why: 'address sets of policies',
    by: ['lab', 'test', 'cases', 'bench', 'interop', 'real', 'image'],
  },
  {
    name: 'gcc',
    file: 'gcc',
    why: 'the CNI client and the prober, two small C programs',
    by: ['lab', 'test', 'cases', 'bench', 'interop', 'real', 'image'],
  },
  {
    name: 'libc6-dev',
    file: '/usr/include/stdio.h',
    why: 'the same',
    by: ['lab', 'test', 'cases', 'bench', 'interop', 'real', 'image'],
  },
  {
    name: 'linux-libc-dev',
    file: '/usr/include/linux/if.h',
    why: 'the same',
    by: ['lab', 'test', 'cases', 'bench', 'interop', 'real', 'image'],
  },
  {
    name: 'musl-tools',
    file: 'musl-gcc',
    why: 'linking them statically, 37 KB instead of 670',
    by: ['lab', 'test', 'cases', 'bench', 'interop', 'real', 'image'],
  },
  { name: 'bird2', file: 'birdc', why: 'the top-of-rack routers', by: ['lab', 'test', 'bench', 'interop', 'real'] },
  { name: 'kubernetes-client', file: 'kubectl', why: 'kubectl', by: ['lab', 'test', 'bench', 'real'] },
  { name: 'net-tools', file: 'route', why: 'route -n', by: ['lab', 'test'] },
  { name: 'iputils-ping', file: 'ping', why: 'checking reachability', by: ['lab', 'test', 'interop'] },
  { name: 'conntrack', file: 'conntrack', why: 'reading connection tracking', by: ['lab', 'test', 'real'] },
  { name: 'nftables', file: 'nft', why: 'reading what iptables-nft wrote', by: ['test', 'bench', 'real'] },
  { name: 'frr', file: '/usr/lib/frr/bgpd', why: 'an interoperability peer', by: ['test', 'bench', 'interop'] },
  { name: 'gobgpd', file: 'gobgpd', why: 'an interoperability peer', by: ['test', 'bench', 'interop'] },
  { name: 'openbgpd', file: '/usr/sbin/bgpctl', why: 'an interoperability peer', by: ['test', 'bench', 'interop'] },
  { name: 'exabgp', file: 'exabgp', why: 'an injector of odd routes', by: ['test', 'interop'] },
  {
    name: 'containernetworking-plugins',
    file: '/usr/lib/cni/ptp',
    why: 'CNI plugins to chain with and to compare with',
    by: ['test', 'bench', 'real'],
  },
  { name: 'containerd', file: 'containerd', why: 'a container runtime that calls us', by: ['test', 'real'] },
  { name: 'runc', file: 'runc', why: 'what it starts sandboxes with', by: ['test', 'real'] },
  { name: 'debootstrap', file: 'debootstrap', why: 'newer Debians to take peers from', by: ['interop', 'image'] },
  { name: 'redis-server', file: 'redis-server', why: 'a datastore', by: ['test', 'bench'] },
  { name: 'redis-sentinel', file: 'redis-sentinel', why: 'who decides which of them counts', by: ['test'] },
  { name: 'tcpdump', file: 'tcpdump', why: 'looking at packets', by: ['test', 'bench'] },
  { name: 'iperf3', file: 'iperf3', why: 'measuring throughput', by: ['bench'] },
  { name: 'etcd-server', file: 'etcd', why: 'what the API server keeps its objects in', by: ['real'] },
  { name: 'openssl', file: 'openssl', why: 'certificates of API servers', by: ['test', 'real'] },
  { name: 'ebtables', file: 'ebtables', why: 'kubelet looks for it', by: ['real'] },
  { name: 'ethtool', file: 'ethtool', why: 'kubelet looks for it', by: ['real'] },
  { name: 'socat', file: 'socat', why: 'a way to the API server that can stand still', by: ['real'] },
  { name: 'busybox-static', file: '/bin/busybox', why: 'images of pods', by: ['real'] },
  { name: 'netcat-openbsd', file: 'nc.openbsd', why: 'the same', by: ['real'] },
  { name: 'curl', file: 'curl', why: 'the same', by: ['real'] },
];

const say = (line) => process.stdout.write(`${line}\n`);
const fail = (sentence) => {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
};

/** Runs argv, its output shown only when it fails unless `show`. */
const run = (argv, { show = false, env = {} } = {}) => {
  const result = spawnSync(argv[0], argv.slice(1), {
    cwd: root,
    encoding: 'utf8',
    stdio: show ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    maxBuffer: 1 << 26,
  });
  if (result.error) return { ok: false, output: result.error.message };
  return { ok: result.status === 0, output: show ? '' : `${result.stdout}${result.stderr}`, status: result.status };
};

const timed = (label, work) => {
  const start = Date.now();
  process.stdout.write(`  ${label} ... `);
  const result = work();
  say(`${((Date.now() - start) / 1000).toFixed(1)} s`);
  return result;
};

const found = (file) =>
  file.startsWith('/')
    ? existsSync(file)
    : `${process.env.PATH}:/usr/sbin:/sbin`.split(':').some((dir) => existsSync(join(dir, file)));

function checkMachine(command) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    fail(`Cannot run on Node ${process.versions.node}: expected ${OLDEST_NODE.join('.')} or newer.`);
  if (process.platform !== 'linux')
    fail(`Cannot run on ${process.platform}: expected Linux, for its network namespaces.`);
  if (process.getuid() !== 0)
    fail(`Cannot run \`${command}\` as user ${process.getuid()}: expected root, for network namespaces and iptables.`);
}

function installPackages(command) {
  const missing = packages.filter((entry) => entry.by.includes(command) && !found(entry.file));
  if (missing.length === 0) return;
  if (!found('apt-get'))
    fail(
      `Cannot install ${missing.map((entry) => entry.name).join(', ')}: apt-get is not on this machine; install ` +
        `what provides ${missing.map((entry) => entry.file).join(', ')} by hand.`,
    );
  say('Installing Debian packages:');
  for (const entry of missing) say(`  ${entry.name.padEnd(28)} ${entry.why}`);
  withoutServiceStart(() => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    const update = timed('apt-get update', () => run(['apt-get', 'update', '-q'], { env }));
    const names = missing.map((entry) => entry.name);
    const install = timed('apt-get install', () =>
      run(['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...names], { env }),
    );
    if (!install.ok)
      fail(
        `Cannot install ${names.join(', ')}: ${(update.ok ? install : update).output.trim().split('\n').slice(-6).join('\n')}`,
      );
  });
}

/** Debian starts a daemon on installation; routing daemons of the machine itself are none of our business. */
function withoutServiceStart(work) {
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) {
    writeFileSync(policy, '#!/bin/sh\n# Written by the Tortie bootstrap for the time of one installation.\nexit 101\n');
    chmodSync(policy, 0o755);
  }
  try {
    work();
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}

function installModules() {
  const stamp = join(root, 'node_modules', '.tortie-lock');
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(process.version)
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  say('Installing the Node packages of package-lock.json:');
  const result = timed('npm ci', () => run(['npm', 'ci', '--no-audit', '--no-fund']));
  if (!result.ok) fail(`Cannot install the Node packages: ${result.output.trim().split('\n').slice(-6).join('\n')}`);
  const load = [process.execPath, '-e', 'require("koffi").load(null)'];
  if (!run(load).ok) {
    say('There is no build of koffi for this machine; making one:');
    const made = timed('npm rebuild koffi', () => run(['npm', 'rebuild', 'koffi', '--ignore-scripts=false']));
    if (!made.ok) fail(`Cannot build koffi: ${made.output.trim().split('\n').slice(-6).join('\n')}`);
  }
  writeFileSync(stamp, wanted);
}

function build() {
  const tsc = run([process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-b']);
  if (!tsc.ok) fail(`Cannot build:\n${tsc.output.trim()}`);
  for (const script of ['build-cni.mjs', 'build-prober.mjs']) {
    const result = run([process.execPath, join(root, 'scripts', script)]);
    if (!result.ok) fail(`Cannot build (scripts/${script}): ${result.output.trim()}`);
  }
}

/** Everything but `cases --engine` works in network namespaces of this kernel: say at once what it lacks. */
async function checkKernel() {
  const { describeMissing, probeFeatures } = await import(join(root, 'dist/src/dataplane/features.js'));
  const reports = probeFeatures();
  for (const line of describeMissing(reports.filter(({ isRequired }) => !isRequired))) say(line);
  const [first] = describeMissing(reports.filter(({ isRequired }) => isRequired));
  if (first !== undefined) fail(first);
}

const commands = {
  lab: (args) => [join(root, 'dist/src/cli.js'), 'lab', 'run', ...args],
  cases: (args) => [join(root, 'dist/src/cli.js'), 'cases', ...args],
  bench: (args) => [join(root, 'dist/bench/main.js'), ...args],
  interop: (args) => [join(root, 'dist/test/bgp/interop/command/main.js'), ...args],
  real: (args) => [join(root, 'scripts/real/main.mjs'), ...args],
  image: (args) => [join(root, 'scripts/image/main.mjs'), ...args],
  test: (args) => [
    join(root, 'node_modules/mocha/bin/mocha.js'),
    // A word may also be the value of an option before it: --grep 'reverse path'.
    ...(args.some((arg) => arg.endsWith('.js')) ? args : ['dist/test/**/*.test.js', ...args]),
  ],
};

const [name, ...args] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) fail(`Cannot run "${name}": expected one of ${Object.keys(commands).join(', ')}.`);
checkMachine(name === 'test' ? 'npm test' : `npm run ${name}`);
installPackages(name);
installModules();
build();
if (name !== 'image') await checkKernel();
// Ctrl-C reaches the whole foreground group: the command cleans up, this process only waits for it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
const child = spawn(process.execPath, command(args), { cwd: root, stdio: 'inherit' });
child.on('exit', (code) => process.exit(code ?? 1));
