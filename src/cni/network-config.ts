/**
 * The plugin's standard input: the network configuration that the runtime made of our object in the conflist, as JSON.
 * Unknown keys are kept and not complained of: they belong to the runtime or to a newer Tortie.
 */
import type { CniAttachment, CniNetworkConfig } from './contract.js';
import { CniError, type CniProblem, errorOfProblems } from './cni-error.js';
import { type CniResult, parseResult } from './result.js';
import { CNI_VERSIONS, type CniCommand, isCniVersion, missingSince } from './version.js';

/** SPEC.md, "Network configuration objects" and CNI_CONTAINERID: the same alphabet for names and container ids. */
export const NAME_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const NAME_EXPECTATION = 'letters, digits, "_", "." and "-", starting with a letter or digit';

/** IPv6 needs 1280 (RFC 8200 section 5); the upper end is the largest packet. */
export const MIN_MTU = 1280;
export const MAX_MTU = 65_535;

const VALID_ATTACHMENTS = 'cni.dev/valid-attachments';

export interface CniInput {
  readonly config: CniNetworkConfig;
  readonly previous?: CniResult;
  /** GC only. */
  readonly valid: readonly CniAttachment[];
}

/** Decodes and validates standard input for a command; throws CniError. */
export function parseNetworkConfig(stdin: string, command: CniCommand): CniInput {
  const raw = parseObject(stdin);
  const version = raw['cniVersion'];
  if (typeof version !== 'string' || !isCniVersion(version))
    throw errorOfProblems('incompatibleVersion', 'the network configuration', [
      { field: 'cniVersion', value: version, expected: `one of ${CNI_VERSIONS.join(', ')}` },
    ]);
  const since = missingSince(command, version);
  if (since !== undefined)
    throw errorOfProblems('incompatibleVersion', `the network configuration for ${command}`, [
      { field: 'cniVersion', value: version, expected: `${since} or newer, which introduced ${command}` },
    ]);

  const problems: CniProblem[] = [];
  const name = parseName(raw['name'], problems);
  const mtu = parseMtu(raw['mtu'], problems);
  const previous = parsePrevious(raw['prevResult'], command, problems);
  const valid = command === 'GC' ? parseValidAttachments(raw[VALID_ATTACHMENTS], problems) : [];
  if (problems.length > 0) throw errorOfProblems('invalidConfig', 'the network configuration', problems);
  return { config: { cniVersion: version, name, mtu, raw }, previous, valid };
}

function parseObject(stdin: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(stdin);
  } catch (error) {
    const why =
      stdin.trim() === '' ? 'standard input is empty' : error instanceof Error ? error.message : String(error);
    throw new CniError(
      'undecodable',
      `Cannot decode the network configuration: ${why}; expected a JSON object on standard input`,
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CniError(
      'undecodable',
      'Cannot decode the network configuration: it is ' +
        `${value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`}; expected a JSON object`,
    );
  return value as Readonly<Record<string, unknown>>;
}

function parseName(value: unknown, problems: CniProblem[]): string {
  if (typeof value === 'string' && NAME_PATTERN.test(value)) return value;
  problems.push({ field: 'name', value, expected: NAME_EXPECTATION });
  return '';
}

function parseMtu(value: unknown, problems: CniProblem[]): number | undefined {
  // Zero is how Go programs write "unset".
  if (value === undefined || value === 0) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= MIN_MTU && value <= MAX_MTU) return value;
  problems.push({ field: 'mtu', value, expected: `a whole number from ${MIN_MTU} to ${MAX_MTU}, or nothing` });
  return undefined;
}

function parsePrevious(value: unknown, command: CniCommand, problems: CniProblem[]): CniResult | undefined {
  if (value === undefined || value === null) {
    if (command === 'CHECK')
      problems.push({ field: 'prevResult', value: undefined, expected: 'the result of the ADD that is to be checked' });
    return undefined;
  }
  // GC and STATUS have no use for one, and DEL must not fail because of one.
  if (command === 'ADD' || command === 'CHECK') return parseResult(value, 'prevResult', problems);
  const previous = parseResult(value, 'prevResult', []);
  return command === 'DEL' ? previous : undefined;
}

/**
 * A missing list is an error, not an empty one: it would make GC remove everything. `null` is an empty one: Go callers with nothing valid
 * write their nil slice so (libcni, ocicni), and that is what a node sends when it has just started.
 */
function parseValidAttachments(value: unknown, problems: CniProblem[]): CniAttachment[] {
  if (value === null) return [];
  if (!Array.isArray(value)) {
    problems.push({ field: VALID_ATTACHMENTS, value, expected: 'a list of the attachments that still exist' });
    return [];
  }
  return value.flatMap((item: unknown, index) => {
    const record = (typeof item === 'object' && item !== null ? item : {}) as Readonly<Record<string, unknown>>;
    const { containerID, ifname } = record;
    if (typeof containerID === 'string' && containerID !== '' && typeof ifname === 'string' && ifname !== '')
      return [{ containerId: containerID, interfaceName: ifname }];
    problems.push({
      field: `${VALID_ATTACHMENTS}[${index}]`,
      value: item,
      expected: 'an object with "containerID" and "ifname"',
    });
    return [];
  });
}
