/**
 * The network configuration list that makes a runtime call Tortie, and its installation together with the plugin: what the
 * agent does to a node at start. `10-tortie.conflist` sorts before other networks' files; runtimes take the first.
 *
 * Every file appears whole or not at all (written aside, fsynced, renamed), the plugin before the list that names it, and
 * what is already as wanted is left alone: runtimes reload at every change.
 */
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mergeConflist, takesPortMappings } from './conflist-merge.js';
import { replaceFile } from '../replace-file.js';
import { CNI_VERSIONS, type CniVersion, isCniVersion, LATEST_CNI_VERSION } from './version.js';

export const CONFLIST_NAME = '10-tortie.conflist';
export const PLUGIN_NAME = 'tortie';

/** A plugin to call after Tortie, as it stands in a conflist: `{ type: 'portmap', capabilities: { portMappings: true } }`. */
export type ChainedPlugin = Readonly<Record<string, unknown>> & { readonly type: string };

export interface ConflistOptions {
  /** The agent's unix socket. */
  readonly socketPath: string;
  /** The network's name; default "tortie". */
  readonly name?: string;
  readonly mtu?: number;
  readonly chained?: readonly ChainedPlugin[];
  /** Default: the newest; see `commonVersion` for chains. */
  readonly cniVersion?: CniVersion;
}

/** The conflist as text. Host ports are ours, unless a chained plugin takes them (`portmap`). */
export function renderConflist(options: ConflistOptions): string {
  const { socketPath, mtu, chained = [] } = options;
  const list = {
    cniVersion: options.cniVersion ?? LATEST_CNI_VERSION,
    name: options.name ?? 'tortie',
    plugins: [
      {
        type: PLUGIN_NAME,
        socket: socketPath,
        ...(mtu === undefined ? {} : { mtu }),
        ...(chained.some(takesPortMappings) ? {} : { capabilities: { portMappings: true } }),
      },
      ...chained,
    ],
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/**
 * The newest version that we and every chained plugin speak, by asking them (VERSION). Throws an Error that names the
 * plugin that is missing or too old: with it in the chain, no pod would start.
 */
export async function commonVersion(pluginDirectory: string, chained: readonly ChainedPlugin[]): Promise<CniVersion> {
  let versions: readonly CniVersion[] = CNI_VERSIONS;
  for (const { type } of chained) {
    const supported = await askVersions(join(pluginDirectory, type), type);
    versions = versions.filter((version) => supported.includes(version));
    if (versions.length > 0) continue;
    const spoken = supported.length === 0 ? 'no version that Tortie knows' : supported.join(', ');
    throw new Error(
      `Cannot chain CNI plugin "${type}": it speaks ${spoken}, expected one of ${CNI_VERSIONS.join(', ')}`,
    );
  }
  return versions[versions.length - 1] ?? LATEST_CNI_VERSION;
}

/**
 * Puts the compiled client (dist/cni/tortie) where the runtime looks for plugins: /opt/cni/bin. Returns its path, or undefined
 * if it was there already.
 */
export function installPlugin(directory: string, clientFile: string): string | undefined {
  const path = join(directory, PLUGIN_NAME);
  return replaceFile(path, readFileSync(clientFile), 0o755) ? path : undefined;
}

export interface InstallOptions extends ConflistOptions {
  /** Keeps what was written here, to tell it from what an operator has changed since. */
  readonly recordPath?: string;
  /** Keys of the conflist that were asked for by an option, and win over an edit: "cniVersion", "mtu". */
  readonly asked?: ReadonlySet<string>;
}

export interface InstalledConflist {
  /** Undefined if it was there already. */
  readonly path: string | undefined;
  /** What stood there led nowhere and is kept under this name, which runtimes pass over; and why. */
  readonly aside?: { readonly path: string; readonly why: string };
}

/**
 * Puts the conflist where the runtime looks for networks: /etc/cni/net.d. Its appearance says that the node can serve pods, so
 * it comes last. What an operator has written into it stays (conflist-merge.ts).
 */
export function installConflist(directory: string, options: InstallOptions): InstalledConflist {
  const path = join(directory, CONFLIST_NAME);
  const wanted = renderConflist(options);
  const found = readText(path);
  const { text, unusable } = mergeConflist(found, wanted, lastWritten(found, options), options.asked);
  const aside = unusable === undefined || found === undefined ? undefined : { path: `${path}.unusable`, why: unusable };
  if (aside !== undefined) replaceFile(aside.path, Buffer.from(found ?? '', 'utf8'), 0o600);
  const isChanged = replaceFile(path, Buffer.from(text, 'utf8'), 0o600);
  if (options.recordPath !== undefined) replaceFile(options.recordPath, Buffer.from(wanted, 'utf8'), 0o600);
  return { path: isChanged ? path : undefined, ...(aside === undefined ? {} : { aside }) };
}

/** Releases without a record wrote the newest version, whatever the runtime spoke. */
function lastWritten(found: string | undefined, options: InstallOptions): string | undefined {
  const recorded = options.recordPath === undefined ? undefined : readText(options.recordPath);
  if (recorded !== undefined) return recorded;
  const first = renderConflist({ socketPath: options.socketPath });
  return found === first || found === withoutCapabilities(first) ? first : undefined;
}

/** As it was before host ports were ours. */
function withoutCapabilities(conflist: string): string {
  const list = JSON.parse(conflist) as { readonly plugins: readonly Readonly<Record<string, unknown>>[] };
  const plugins = list.plugins.map(({ capabilities, ...plugin }) => plugin);
  return `${JSON.stringify({ ...list, plugins }, undefined, 2)}\n`;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Takes the conflist away, so that runtimes call Tortie no more; the plugin stays for the DELs that are still to come. */
export function uninstallConflist(directory: string): void {
  rmSync(join(directory, CONFLIST_NAME), { force: true });
}

async function askVersions(file: string, type: string): Promise<readonly CniVersion[]> {
  let stdout: string;
  try {
    const asked = promisify(execFile)(file, [], {
      env: { CNI_COMMAND: 'VERSION' },
      timeout: 10_000,
      maxBuffer: 65_536,
    });
    // A plugin that does not read its input closes it; what it prints decides.
    asked.child.stdin?.on('error', () => undefined).end(JSON.stringify({ cniVersion: '1.0.0' }));
    ({ stdout } = await asked);
  } catch (error) {
    throw new Error(
      `Cannot chain CNI plugin "${type}": "${file}" does not run: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  const answer: unknown = JSON.parse(stdout);
  const versions =
    typeof answer === 'object' && answer !== null && 'supportedVersions' in answer
      ? answer.supportedVersions
      : undefined;
  return Array.isArray(versions)
    ? versions.filter((version): version is CniVersion => typeof version === 'string' && isCniVersion(version))
    : [];
}
