/**
 * Kernel parameters under /proc/sys, of the calling thread's network namespace (enter one with `inNamespace`).
 *
 * Names are paths in segments, because interface names may contain dots: ['net', 'ipv4', 'conf', 'eth0.1', 'forwarding'].
 *
 * A container without privileges has /proc/sys read-only. TORTIE_PROC_SYS names where the host's is mounted writable; what is seen
 * there is, as in /proc/sys, the calling thread's namespace (net_ctl_header_lookup in net/sysctl_net.c).
 */
import { readFileSync, writeFileSync } from 'node:fs';

const root = process.env['TORTIE_PROC_SYS'] ?? '/proc/sys';

export type SysctlPath = readonly string[];

/** A parameter could not be read or written; the message names it as sysctl(8) does. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';

  constructor(
    message: string,
    /** True when this kernel has no such parameter. */ readonly isMissing: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function readSysctl(path: SysctlPath): string {
  const file = fileOf(path);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw failure('read', path, error);
  }
}

export function writeSysctl(path: SysctlPath, value: string | number): void {
  const file = fileOf(path);
  try {
    writeFileSync(file, String(value));
  } catch (error) {
    throw failure(`set to ${value}`, path, error);
  }
}

/** Writes only if the value differs, so that a read-only /proc/sys with the right value is no error. */
export function ensureSysctl(path: SysctlPath, value: string | number): void {
  if (readSysctl(path) !== String(value)) writeSysctl(path, value);
}

/** "net.ipv4.ip_forward"; dots within a segment become slashes, as sysctl(8) writes them. */
export const formatSysctl = (path: SysctlPath): string => path.map((segment) => segment.replaceAll('.', '/')).join('.');

function fileOf(path: SysctlPath): string {
  for (const segment of path)
    if (segment === '' || segment === '.' || segment === '..' || segment.includes('/'))
      throw new RangeError(`"${segment}" is no segment of a sysctl name`);
  return `${root}/${path.join('/')}`;
}

function failure(action: string, path: SysctlPath, error: unknown): SysctlError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const isMissing = code === 'ENOENT';
  const why = isMissing ? 'this kernel has no such parameter' : code === 'EROFS' ? `${root} is read-only` : code;
  return new SysctlError(
    `Cannot ${action === 'read' ? 'read' : 'set'} ${formatSysctl(path)}${action === 'read' ? '' : action.slice(3)}: ${why}`,
    isMissing,
    { cause: error },
  );
}
