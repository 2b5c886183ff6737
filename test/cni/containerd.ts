/**
 * containerd and runc of this machine on one node: in the node's network namespace, with every directory of its own, its sandbox
 * image made on the spot. What containerd keeps in fixed places (the shims' sockets in /run/containerd) is unique to a sandbox
 * and goes with it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NodeProcess } from '../../bench/node/process.js';
import { CriClient } from './cri-client.js';

export interface ContainerdPlan {
  /** Path of the node's namespace. */
  readonly netns: string;
  /** For its files; removed afterwards by the caller. */
  readonly directory: string;
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  /** The machine's paths that are these folders or files instead, for containerd and all that it starts: the node's own file system. */
  readonly hostPaths?: Readonly<Record<string, string>>;
}

/** Mounts each of the following pairs, so that what is mounted there later is seen by whoever follows, then becomes containerd. */
const IN_FILE_SYSTEM = `config=$1; shift; mount --make-rshared /
while [ $# -gt 0 ]; do mount --bind "$2" "$1"; mount --make-rshared "$1"; shift 2; done
exec containerd --config "$config"`;
const IMAGE = 'tortie.test/sandbox:1';
/** All that the sandbox's own program has to do is to be there. */
const PAUSE = `#include <signal.h>
#include <unistd.h>
static void end(int signal) { _exit(0); }
int main(void) { signal(SIGTERM, end); for (;;) pause(); }
`;
const SERVES_WITHIN = 30_000;

/** Why containerd cannot be tried here; undefined where it can. */
export function whyNoContainerd(): string | undefined {
  for (const program of ['containerd', 'ctr', 'containerd-shim-runc-v2', 'runc'])
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `${program} is not installed`;
  const probe = `/sys/fs/cgroup/${existsSync('/sys/fs/cgroup/pids') ? 'pids/' : ''}tortie-test-${process.pid}-probe`;
  try {
    mkdirSync(probe);
    rmdirSync(probe);
  } catch (error) {
    return `cannot make control groups: ${String(error)}`;
  }
  return undefined;
}

export class Containerd {
  readonly cgroupParent = `/tortie-test-${process.pid}`;
  private daemon: NodeProcess | undefined;
  private client: CriClient | undefined;

  private commands = 0;

  constructor(private readonly plan: ContainerdPlan) {}

  get cri(): CriClient {
    if (this.client === undefined) throw new Error('Cannot call containerd: it does not run');
    return this.client;
  }

  get version(): string {
    return execFileSync('containerd', ['--version'], { encoding: 'utf8' }).trim();
  }

  /** Settles when it answers; asked again after `kill`, it finds its sandboxes as they were. */
  async start(): Promise<void> {
    const { netns, directory } = this.plan;
    mkdirSync(directory, { recursive: true });
    const config = join(directory, 'config.toml');
    writeFileSync(config, this.config());
    const { hostPaths } = this.plan;
    const binds = Object.entries(hostPaths ?? {}).flat();
    const argv =
      hostPaths === undefined
        ? ['containerd', '--config', config]
        : ['unshare', '-m', '--propagation', 'private', 'sh', '-euc', IN_FILE_SYSTEM, 'sh', config, ...binds];
    this.daemon = new NodeProcess(netns, directory, 'containerd', argv);
    const end = Date.now() + SERVES_WITHIN;
    for (;;) {
      const client = new CriClient(this.socket);
      try {
        await client.conditions();
        this.client = client;
        break;
      } catch (error) {
        client.close();
        const problem = this.daemon.problem() ?? (Date.now() > end ? `${String(error)}: ${this.daemon.tail()}` : '');
        if (problem !== '') throw new Error(`Cannot start containerd: ${problem}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    this.importImage();
  }

  async kill(): Promise<void> {
    this.client?.close();
    this.client = undefined;
    await this.daemon?.stop('SIGKILL');
  }

  /** Ends every sandbox, the daemon, and what a failure left: shims, mounts, control groups. */
  async stop(): Promise<void> {
    for (const id of (await this.client?.listPodSandboxes().catch(() => [])) ?? [])
      await this.client?.removePodSandbox(id).catch(() => undefined); // What remains is ended below.
    this.client?.close();
    await this.daemon?.stop();
    for (const pid of [...this.containers(), ...this.shims()]) kill(pid);
    for (const mount of readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? ''))
      if (mount.startsWith(`${this.plan.directory}/`)) execFileSync('umount', ['-l', mount]);
    for (const group of this.controlGroups())
      spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
  }

  private get socket(): string {
    return join(this.plan.directory, 'containerd.sock');
  }

  /** Shims name their containerd's socket; it is below our own directory. */
  private shims(): readonly number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(this.socket);
        } catch {
          return false; // It ended while we looked.
        }
      })
      .map(Number);
  }

  private controlGroups(): readonly string[] {
    const root = '/sys/fs/cgroup';
    return [root, ...readdirSync(root).map((name) => join(root, name))]
      .map((folder) => join(folder, this.cgroupParent))
      .filter((folder) => existsSync(folder));
  }

  private containers(): readonly number[] {
    return this.controlGroups()
      .flatMap((group) => readdirSync(group, { recursive: true, encoding: 'utf8' }).map((name) => join(group, name)))
      .filter((path) => path.endsWith('/cgroup.procs'))
      .flatMap((path) => readFileSync(path, 'utf8').split('\n').filter(Boolean).map(Number));
  }

  private config(): string {
    const { directory, cniBinDir, cniConfDir } = this.plan;
    const cri = '[plugins."io.containerd.grpc.v1.cri"';
    return [
      'version = 2',
      `root = "${directory}/root"`,
      `state = "${directory}/state"`,
      'disabled_plugins = ["io.containerd.internal.v1.opt"]',
      '[grpc]',
      `address = "${this.socket}"`,
      '[plugins."io.containerd.grpc.v1.cri"]',
      `sandbox_image = "${IMAGE}"`,
      'restrict_oom_score_adj = true',
      'disable_apparmor = true',
      `netns_mounts_under_state_dir = ${this.plan.hostPaths === undefined}`,
      `${cri}.cni]`,
      `bin_dir = "${cniBinDir}"`,
      `conf_dir = "${cniConfDir}"`,
      `${cri}.containerd]`,
      'snapshotter = "native"',
      `${cri}.containerd.runtimes.runc]`,
      'runtime_type = "io.containerd.runc.v2"',
      '',
    ].join('\n');
  }

  /** One layer with one static program, which waits: as a Docker archive (image specification 1.2). */
  private importImage(): void {
    const work = join(this.plan.directory, 'image');
    if (existsSync(work)) return;
    mkdirSync(join(work, 'layer'), { recursive: true });
    execFileSync('gcc', ['-static', '-Os', '-x', 'c', '-o', join(work, 'layer', 'pause'), '-'], { input: PAUSE });
    const tar = (file: string, from: string, ...names: readonly string[]): void =>
      void execFileSync('tar', ['-C', from, '--owner=0', '--group=0', '-cf', file, ...names]);
    const layer = join(work, 'layer.tar');
    tar(layer, join(work, 'layer'), 'pause');
    const id = createHash('sha256').update(readFileSync(layer)).digest('hex');
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const config = {
      architecture,
      os: 'linux',
      config: { Entrypoint: ['/pause'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${id}`] },
    };
    writeFileSync(join(work, 'config.json'), JSON.stringify(config));
    const manifest = [{ Config: 'config.json', RepoTags: [IMAGE], Layers: ['layer.tar'] }];
    writeFileSync(join(work, 'manifest.json'), JSON.stringify(manifest));
    const archive = join(work, 'archive.tar');
    tar(archive, work, 'manifest.json', 'config.json', 'layer.tar');
    this.importArchive(archive);
  }

  importArchive(file: string): void {
    const address = ['--address', this.socket, '--namespace', 'k8s.io'];
    execFileSync('ctr', [...address, 'images', 'import', '--snapshotter', 'native', file], { stdio: 'pipe' });
  }

  /** The process of a container of ours, as the machine numbers it. */
  pidOf(container: string): number {
    const address = ['--address', this.socket, '--namespace', 'k8s.io'];
    const tasks = execFileSync('ctr', [...address, 'tasks', 'ls'], { encoding: 'utf8' });
    return Number(new RegExp(`^${container}\\s+(\\d+)`, 'm').exec(tasks)?.[1] ?? 0);
  }

  /** Runs a command in a container of ours, as `kubectl exec` does, and settles when it ends. */
  exec(container: string, ...argv: readonly string[]): { readonly status: number | null; readonly stdout: string } {
    const flags = ['--address', this.socket, '--namespace', 'k8s.io', 'tasks', 'exec'];
    const name = `exec-${++this.commands}`;
    return spawnSync('ctr', [...flags, '--exec-id', name, container, ...argv], { encoding: 'utf8', timeout: 60_000 });
  }
}

/** One that has ended meanwhile is as good. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!String(error).includes('ESRCH')) throw error;
  }
}
