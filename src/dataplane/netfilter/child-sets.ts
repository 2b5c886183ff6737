/**
 * Address sets through the ipset program: the way out where netlink cannot be spoken from this process (no FFI for this
 * libc). A batch is one `ipset restore`; when it is refused, its operations run one by one to find which.
 */
import { ChildError, runChild, type Within } from './child.js';
import { memberKey, parseMember } from './set-member.js';
import { kernelTypeOf, setTypeOf, type SetHeader } from './set-protocol.js';
import { isOurSet, type SetOperation, type SetRefusal, type SetTransport } from './set-transport.js';

export class ChildSets implements SetTransport {
  readonly type = 'child';

  constructor(private readonly within: Within) {}

  async headers(): Promise<readonly SetHeader[]> {
    return [...parseListing(await this.list([])).values()]
      .map((set) => set.header)
      .filter((header) => isOurSet(header.name));
  }

  async members(name: string): Promise<ReadonlySet<string> | undefined> {
    const { status, stdout, stderr } = await runChild('ipset', ['list', name], { within: this.within });
    if (status !== 0 && /does not exist/.test(stderr)) return undefined;
    if (status !== 0) throw new ChildError(`Cannot list set "${name}": ${stderr.trim()}`);
    return parseListing(stdout).get(name)?.members;
  }

  async apply(operations: readonly SetOperation[]): Promise<readonly SetRefusal[]> {
    if (operations.length === 0) return [];
    const { status } = await this.restore(operations.flatMap(commandsOf));
    if (status === 0) return [];
    const refusals: SetRefusal[] = [];
    for (const operation of operations) {
      const { status: one, stderr } = await this.restore(commandsOf(operation));
      if (one === 0) continue;
      if (operation.type !== 'add' && operation.type !== 'delete') refusals.push(refusalOf(operation, stderr));
      else for (const each of await this.applySingly(operation)) refusals.push(each);
    }
    return refusals;
  }

  close(): void {}

  private async applySingly(
    operation: SetOperation & { readonly type: 'add' | 'delete' },
  ): Promise<readonly SetRefusal[]> {
    const refusals: SetRefusal[] = [];
    for (const member of operation.members) {
      const { status, stderr } = await this.restore(commandsOf({ ...operation, members: [member] }));
      if (status !== 0) refusals.push({ ...refusalOf(operation, stderr), member });
    }
    return refusals;
  }

  private restore(lines: readonly string[]): ReturnType<typeof runChild> {
    return runChild('ipset', ['restore', '-exist'], { input: `${lines.join('\n')}\n`, within: this.within });
  }

  private async list(args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runChild('ipset', ['list', ...args], { within: this.within });
    if (status !== 0) throw new ChildError(`Cannot list the sets: ${stderr.trim()}`);
    return stdout;
  }
}

function commandsOf(operation: SetOperation): readonly string[] {
  switch (operation.type) {
    case 'create': {
      const { name, type, family, maxElements, timeoutSeconds } = operation.set;
      const timeout = timeoutSeconds === undefined ? '' : ` timeout ${timeoutSeconds}`;
      const inet = family === 4 ? 'inet' : 'inet6';
      return [`create ${name} ${kernelTypeOf(type)} family ${inet} maxelem ${maxElements}${timeout}`];
    }
    case 'add':
      return operation.members.map((member) => `add ${operation.set.name} ${member}`);
    case 'delete':
      return operation.members.map((member) => `del ${operation.set.name} ${member}`);
    case 'swap':
      return [`swap ${operation.name} ${operation.other}`];
    case 'destroy':
      return [`destroy ${operation.name}`];
  }
}

function refusalOf(operation: SetOperation, stderr: string): SetRefusal {
  const text = stderr.trim().replace(/^ipset v[0-9.]+: (Error in line \d+: )?/, '');
  return {
    operation,
    cause: causeOf(text),
    message: `Cannot run "ipset ${commandsOf(operation)[0] ?? operation.type}": ${text}`,
  };
}

function causeOf(text: string): SetRefusal['cause'] {
  if (/in use by a kernel component/.test(text)) return 'in-use';
  if (/already exists/.test(text)) return 'exists';
  if (/does not exist/.test(text)) return 'missing';
  return /Hash is full/.test(text) ? 'full' : 'other';
}

interface ListedSet {
  readonly header: SetHeader;
  readonly members: ReadonlySet<string>;
}

/** `ipset list`: "Name:", "Type:", "Header: family inet ... maxelem N", "References:", "Number of entries:", "Members:". */
function parseListing(text: string): ReadonlyMap<string, ListedSet> {
  const sets = new Map<string, ListedSet>();
  for (const block of text.split(/\n(?=Name: )/)) {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
    const name = field('Name');
    if (name === '' || !isOurSet(name)) continue;
    const header: SetHeader = {
      name,
      kernelType: field('Type'),
      type: setTypeOf(field('Type')),
      family: /family inet6/.test(field('Header')) ? 6 : 4,
      maxElements: Number(/maxelem (\d+)/.exec(field('Header'))?.[1] ?? 0),
      elements: Number(field('Number of entries')),
      references: Number(field('References')),
    };
    sets.set(name, {
      header,
      members: parseMembers(header, block.slice(block.indexOf('Members:') + 'Members:'.length)),
    });
  }
  return sets;
}

function parseMembers(header: SetHeader, text: string): ReadonlySet<string> {
  const members = new Set<string>();
  if (header.type === undefined) return members;
  for (const line of text
    .split('\n')
    .map((one) => one.trim())
    .filter((one) => one !== '')) {
    const member = parseMember(header.type, header.family, line.split(' ')[0] ?? line);
    members.add(memberKey(member));
  }
  return members;
}
