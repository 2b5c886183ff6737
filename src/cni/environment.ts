/**
 * The plugin's environment: CNI_COMMAND and the parameters that come with it (SPEC.md, "Parameters").
 */
import type { CniArguments, CniAttachment } from './contract.js';
import { type CniProblem, errorOfProblems } from './cni-error.js';
import { NAME_PATTERN } from './network-config.js';
import type { CniCommand } from './version.js';

/** IFNAMSIZ of linux/if.h, less the closing NUL. */
const MAX_INTERFACE_NAME_LENGTH = 15;

const COMMANDS: readonly CniCommand[] = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION'];

/** The command; throws CniError for anything else. */
export function parseCommand(environment: ReadonlyMap<string, string>): CniCommand {
  const value = environment.get('CNI_COMMAND');
  const command = COMMANDS.find((known) => known === value);
  if (command !== undefined) return command;
  throw errorOfProblems('invalidEnvironment', 'the environment', [
    { field: 'CNI_COMMAND', value, expected: `one of ${COMMANDS.join(', ')}` },
  ]);
}

/** What says which container is meant. `netns` is there unless `isNetnsOptional`; throws CniError with all problems. */
export interface CniTarget extends CniAttachment {
  readonly netns: string;
  readonly arguments: CniArguments;
}

export function parseTarget(environment: ReadonlyMap<string, string>, isNetnsOptional: boolean): CniTarget {
  const problems: CniProblem[] = [];
  const containerId = environment.get('CNI_CONTAINERID') ?? '';
  if (!NAME_PATTERN.test(containerId))
    problems.push({
      field: 'CNI_CONTAINERID',
      value: environment.get('CNI_CONTAINERID'),
      expected: 'letters, digits, "_", "." and "-", starting with a letter or digit',
    });
  const interfaceName = environment.get('CNI_IFNAME') ?? '';
  const nameProblem = interfaceNameProblem(interfaceName);
  if (nameProblem !== undefined)
    problems.push({ field: 'CNI_IFNAME', value: environment.get('CNI_IFNAME'), expected: nameProblem });
  const netns = environment.get('CNI_NETNS') ?? '';
  if (netns === '' && !isNetnsOptional)
    problems.push({
      field: 'CNI_NETNS',
      value: environment.get('CNI_NETNS'),
      expected: 'the path of a network namespace',
    });
  const parsed = parseArguments(environment.get('CNI_ARGS') ?? '', problems);
  if (problems.length > 0) throw errorOfProblems('invalidEnvironment', 'the environment', problems);
  return { containerId, interfaceName, netns, arguments: parsed };
}

/** What is expected instead, if the kernel would not take the name (dev_valid_name). */
function interfaceNameProblem(name: string): string | undefined {
  if (name === '' || Buffer.byteLength(name) > MAX_INTERFACE_NAME_LENGTH)
    return `1 to ${MAX_INTERFACE_NAME_LENGTH} bytes`;
  if (name === '.' || name === '..') return 'a name other than "." and ".."';
  return /[/:\s\0]/.test(name) ? 'a name without "/", ":" and blanks' : undefined;
}

/** "K=V;K=V". Keys that we do not know are kept: every runtime adds its own, IgnoreUnknown or not. */
function parseArguments(text: string, problems: CniProblem[]): CniArguments {
  const all = new Map<string, string>();
  for (const pair of text.split(';')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (equals <= 0)
      problems.push({ field: 'CNI_ARGS', value: pair, expected: 'pairs such as K8S_POD_NAME=web, separated by ";"' });
    else all.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  return {
    podNamespace: all.get('K8S_POD_NAMESPACE'),
    podName: all.get('K8S_POD_NAME'),
    podUid: all.get('K8S_POD_UID'),
    all,
  };
}
