/**
 * The runtime's half of the Container Network Interface, specification 1.1.0: what containerd does through libcni. Executes
 * the plugins of one network configuration list, each with its parameters in the environment and its configuration on
 * standard input, chains results, and keeps the last result of every attachment on disk so that DEL and CHECK get it
 * back after a restart.
 *
 * Sections named here are those of https://github.com/containernetworking/cni/blob/main/SPEC.md (1.1.0).
 */
import { access, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandResult } from './command.js';
import { isErrno, writePrivate } from './state-dir.js';

export interface PluginConfig {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

export interface NetworkConfigList {
  readonly cniVersion: string;
  readonly name: string;
  readonly disableCheck?: boolean;
  readonly disableGC?: boolean;
  readonly plugins: readonly PluginConfig[];
}

/** One interface of one container. */
export interface Attachment {
  readonly containerId: string;
  readonly netns: string;
  readonly interface: string;
  readonly args: Readonly<Record<string, string>>;
  /** By capability: portMappings, bandwidth, ... */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
}

/** Section 5, "ADD Success": the part a runtime reads. */
export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces?: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
  readonly ips?: readonly { readonly address: string; readonly gateway?: string; readonly interface?: number }[];
  readonly [key: string]: unknown;
}

/** A plugin said no, in the specification's words (section 5, "Error"), or could not say anything. */
export class CniError extends Error {
  override readonly name = 'CniError';

  constructor(
    readonly plugin: string,
    readonly command: string,
    readonly code: number,
    text: string,
  ) {
    super(`Cannot ${command} by CNI plugin "${plugin}": ${text} (code ${code})`);
  }
}

export type ExecPlugin = (
  program: string,
  env: Readonly<Record<string, string>>,
  input: string,
) => Promise<CommandResult>;

interface CachedAttachment {
  readonly kind: 'cniCacheV1';
  readonly networkName: string;
  readonly containerId: string;
  readonly ifName: string;
  readonly netns: string;
  readonly args: Readonly<Record<string, string>>;
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly result: CniResult;
}

type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** Codes 0..99 are the specification's; 999 is ours for a plugin that broke the protocol. */
const PROTOCOL_BROKEN = 999;

export class CniRuntime {
  /**
   * @param path directories that are searched for plugins, in order
   * @param cache where results are kept, one file per attachment
   * @param exec runs a plugin in the node's network namespace
   */
  constructor(
    private readonly list: NetworkConfigList,
    private readonly path: readonly string[],
    private readonly cache: string,
    private readonly exec: ExecPlugin,
  ) {}

  /** Section 4, "Adding an attachment": in order, each plugin sees the result before it. The last result counts. */
  async add(attachment: Attachment): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const plugin of this.list.plugins)
      result = parseResult(plugin.type, await this.invoke('ADD', plugin, attachment, result));
    if (result === undefined) throw new Error(`Cannot add to network "${this.list.name}": it has no plugins`);
    await this.remember(attachment, result);
    return result;
  }

  /** Section 4, "Deleting an attachment": in reverse order, every plugin gets the final result of ADD; repeatable. */
  async delete(attachment: Attachment): Promise<void> {
    const result = (await this.recall(attachment.containerId, attachment.interface))?.result;
    for (const plugin of [...this.list.plugins].reverse()) await this.invoke('DEL', plugin, attachment, result);
    await rm(this.cacheFile(attachment.containerId, attachment.interface), { force: true });
  }

  /** Section 4, "Checking an attachment". Silent when all is well; CniError otherwise. */
  async check(attachment: Attachment): Promise<void> {
    if (this.list.disableCheck === true) return;
    const cached = await this.recall(attachment.containerId, attachment.interface);
    if (cached === undefined) throw new Error(`Cannot check container "${attachment.containerId}": it was never added`);
    for (const plugin of this.list.plugins) await this.invoke('CHECK', plugin, attachment, cached.result);
  }

  /** Section 4, "Garbage-collecting a network": first DEL of what the cache has and nobody owns, then GC to every plugin. */
  async collectGarbage(valid: readonly { readonly containerId: string; readonly interface: string }[]): Promise<void> {
    if (this.list.disableGC === true) return;
    const wanted = new Set(valid.map((attachment) => `${attachment.containerId} ${attachment.interface}`));
    for (const cached of await this.recallAll()) {
      if (wanted.has(`${cached.containerId} ${cached.ifName}`)) continue;
      await this.delete({
        containerId: cached.containerId,
        interface: cached.ifName,
        netns: cached.netns,
        args: cached.args,
        runtimeConfig: cached.runtimeConfig,
      });
    }
    const attachments = valid.map((attachment) => ({
      containerID: attachment.containerId,
      ifname: attachment.interface,
    }));
    for (const plugin of this.list.plugins)
      await this.invoke('GC', { ...plugin, 'cni.dev/valid-attachments': attachments });
  }

  /** Section 2, STATUS: may containers be added now? Throws CniError (codes 50, 51) when not. */
  async status(): Promise<void> {
    for (const plugin of this.list.plugins) await this.invoke('STATUS', plugin);
  }

  /** Section 2, VERSION: every plugin must know the version of the list. */
  async checkVersions(): Promise<void> {
    for (const plugin of this.list.plugins) {
      const answer = JSON.parse(await this.invoke('VERSION', plugin)) as {
        readonly supportedVersions?: readonly string[];
      };
      if (answer.supportedVersions?.includes(this.list.cniVersion) !== true)
        throw new CniError(
          plugin.type,
          'VERSION',
          1,
          `version ${this.list.cniVersion} is wanted and ${answer.supportedVersions?.join(', ') ?? 'none'} supported`,
        );
    }
  }

  /** Section 3, "Execution protocol"; section 4, "Deriving execution configuration from plugin configuration". */
  private async invoke(
    command: Command,
    plugin: PluginConfig,
    attachment?: Attachment,
    prevResult?: CniResult,
  ): Promise<string> {
    const config =
      command === 'VERSION'
        ? { cniVersion: this.list.cniVersion }
        : {
            ...plugin,
            cniVersion: this.list.cniVersion,
            name: this.list.name,
            ...runtimeConfigOf(plugin, attachment),
            ...(prevResult === undefined ? {} : { prevResult }),
          };
    const env = {
      CNI_COMMAND: command,
      CNI_PATH: this.path.join(':'),
      ...(attachment === undefined ? {} : parametersOf(attachment)),
    };
    const result = await this.exec(await this.find(plugin.type), env, JSON.stringify(config));
    if (result.code === 0) return result.stdout;
    throw errorOf(plugin.type, command, result);
  }

  private async find(type: string): Promise<string> {
    for (const directory of this.path) {
      const candidate = join(directory, type);
      if (
        await access(candidate).then(
          () => true,
          () => false,
        )
      )
        return candidate;
    }
    throw new CniError(type, 'find', PROTOCOL_BROKEN, `it is in none of ${this.path.join(', ')}`);
  }

  private cacheFile(containerId: string, ifName: string): string {
    return join(this.cache, `${this.list.name}-${containerId}-${ifName}`);
  }

  private async remember(attachment: Attachment, result: CniResult): Promise<void> {
    const cached: CachedAttachment = {
      kind: 'cniCacheV1',
      networkName: this.list.name,
      containerId: attachment.containerId,
      ifName: attachment.interface,
      netns: attachment.netns,
      args: attachment.args,
      runtimeConfig: attachment.runtimeConfig,
      result,
    };
    await mkdir(this.cache, { recursive: true, mode: 0o700 });
    await writePrivate(this.cacheFile(attachment.containerId, attachment.interface), JSON.stringify(cached));
  }

  private async recall(containerId: string, ifName: string): Promise<CachedAttachment | undefined> {
    try {
      return JSON.parse(await readFile(this.cacheFile(containerId, ifName), 'utf8')) as CachedAttachment;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  private async recallAll(): Promise<readonly CachedAttachment[]> {
    const names = await readdir(this.cache).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    });
    const files = names.filter((name) => name.startsWith(`${this.list.name}-`) && !name.endsWith('.tmp'));
    return Promise.all(
      files.map(async (name) => JSON.parse(await readFile(join(this.cache, name), 'utf8')) as CachedAttachment),
    );
  }
}

const parametersOf = ({ containerId, netns, interface: name, args }: Attachment): Readonly<Record<string, string>> => ({
  CNI_CONTAINERID: containerId,
  CNI_NETNS: netns,
  CNI_IFNAME: name,
  CNI_ARGS: Object.entries(args)
    .map(([key, value]) => `${key}=${value}`)
    .join(';'),
});

/** Only the capabilities that a plugin declares are handed to it. */
function runtimeConfigOf(
  plugin: PluginConfig,
  attachment: Attachment | undefined,
): { readonly runtimeConfig?: Readonly<Record<string, unknown>> } {
  const given = Object.entries(attachment?.runtimeConfig ?? {}).filter(
    ([capability]) => plugin.capabilities?.[capability] === true,
  );
  return given.length === 0 ? {} : { runtimeConfig: Object.fromEntries(given) };
}

function parseResult(plugin: string, text: string): CniResult {
  try {
    return JSON.parse(text) as CniResult;
  } catch {
    throw new CniError(plugin, 'ADD', PROTOCOL_BROKEN, `its answer is not JSON: ${JSON.stringify(text.slice(0, 200))}`);
  }
}

function errorOf(plugin: string, command: Command, result: CommandResult): CniError {
  try {
    const { code, msg, details } = JSON.parse(result.stdout) as {
      readonly code: number;
      readonly msg: string;
      readonly details?: string;
    };
    return new CniError(plugin, command, code, details === undefined || details === '' ? msg : `${msg}: ${details}`);
  } catch {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(0, 500);
    return new CniError(
      plugin,
      command,
      PROTOCOL_BROKEN,
      `it ended with ${result.signal === null ? `exit code ${result.code}` : `signal ${result.signal}`}${said === '' ? '' : `: ${said}`}`,
    );
  }
}
