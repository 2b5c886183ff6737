/**
 * Writes a plan into the kernel through one iptables program, and when something is refused finds out what, so that one
 * bad rule costs its own chain and nothing else.
 *
 * First everything in one restore. Refused: the changes on the blamed lines are set aside and the rest is tried again; with nobody to
 * blame (the legacy program blames COMMIT) the list is halved. A chain that is set aside keeps its old rules if it has any; a new one that
 * others jump to is created closed (everything dropped). A blame may be one line off, so what was set aside gets a try of
 * its own before it counts as refused.
 */
import { ChildError } from './child.js';
import type { IptablesProgram } from './iptables-program.js';
import { buildRestoreScript, subjectOf, type RestoreScript, type TableChange } from './restore-script.js';

export interface ChangeRefusal {
  readonly change: TableChange;
  /** With the rule as written and the program's words. */
  readonly message: string;
}

export interface WriteOutcome {
  readonly done: readonly TableChange[];
  readonly refused: readonly ChangeRefusal[];
  /** The program itself failed (missing, locked out, killed): nothing can be said about the rest. */
  readonly broken?: string;
}

export interface TableWriterOptions {
  readonly program: IptablesProgram;
  /** Does the chain exist in the kernel already? Then it can be left alone; otherwise others need it created. */
  readonly isInKernel: (change: TableChange) => boolean;
  readonly onStart: (pid: number) => void;
}

export async function writeTables(changes: readonly TableChange[], options: TableWriterOptions): Promise<WriteOutcome> {
  const run: Run = { ...options, done: [], refused: [], all: changes, settled: new Set(), attempts: 0 };
  try {
    await writeGroup(run, changes);
    await closeRefused(run);
    return { done: run.done, refused: run.refused };
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    return { done: run.done, refused: run.refused, broken: error.message };
  }
}

interface Run extends TableWriterOptions {
  readonly all: readonly TableChange[];
  readonly done: TableChange[];
  readonly refused: ChangeRefusal[];
  /** Chains that exist since this run wrote or closed them. */
  readonly settled: Set<TableChange>;
  attempts: number;
}

/** BOUNDED: restores of one run. So much refusal has one cause (a module is missing), and the next run goes on where this one ends. */
const MAX_ATTEMPTS = 64;

async function writeGroup(run: Run, group: readonly TableChange[]): Promise<void> {
  if (group.length === 0) return;
  const closed = group.length === run.all.length ? [] : closings(run, group);
  const script = buildRestoreScript([...closed, ...group]);
  if (++run.attempts > MAX_ATTEMPTS)
    throw new ChildError(
      `Cannot write ${group.length} of ${run.all.length} changes: gave up after ${MAX_ATTEMPTS} attempts`,
    );
  const outcome = await run.program.restore(script.text, run.onStart);
  switch (outcome.type) {
    case 'locked':
      throw new ChildError(outcome.text);
    case 'done':
      for (const change of group) run.settled.add(change);
      for (const one of [...closed, ...group]) run.done.push(one);
      return;
    case 'refused': {
      const [only] = group;
      if (group.length === 1 && only !== undefined)
        return setAside(run, only, await blameLine(run, only, script, outcome.lines), outcome.text);
      const blamed = blamedChanges(group, script, outcome.lines);
      const [first, second] =
        blamed.length > 0 ? [group.filter((one) => !blamed.includes(one)), blamed] : halves(group);
      await writeGroup(run, first);
      if (blamed.length > 0) for (const one of second) await writeGroup(run, [one]);
      else await writeGroup(run, second);
    }
  }
}

/** New chains outside the group that its rules may jump to. */
function closings(run: Run, group: readonly TableChange[]): readonly TableChange[] {
  const inGroup = new Set(group);
  return closingsOf(
    run,
    run.all.filter((change) => !inGroup.has(change)),
  );
}

function closingsOf(run: Run, changes: readonly TableChange[]): readonly TableChange[] {
  const closed: TableChange[] = [];
  for (const change of changes) {
    if (change.type !== 'write' || run.settled.has(change) || run.isInKernel(change)) continue;
    closed.push({ type: 'close', table: change.table, name: change.chain.name });
  }
  return closed;
}

/** Every wanted chain exists afterwards, so that what refers to it later is not refused for its sake. */
async function closeRefused(run: Run): Promise<void> {
  const closed = closingsOf(
    run,
    run.refused.map((refusal) => refusal.change),
  );
  if (closed.length === 0) return;
  const outcome = await run.program.restore(buildRestoreScript(closed).text, run.onStart);
  if (outcome.type !== 'done') throw new ChildError(`Cannot create ${closed.length} chains closed: ${outcome.text}`);
  for (const one of closed) run.done.push(one);
}

function setAside(run: Run, change: TableChange, line: string | undefined, text: string): void {
  const rule = line === undefined ? '' : ` at "${line}"`;
  const verb = change.type === 'delete' ? 'delete' : 'write';
  // The legacy program passes on no reason of the kernel's.
  const reason = /^line \d+ failed$/.test(text) ? 'the kernel refused it (its log may say why)' : text;
  run.refused.push({ change, message: `Cannot ${verb} ${subjectOf(change)}${rule}: ${reason}` });
}

/** The rule that was refused: the blamed line, or where nobody is blamed the first one that the kernel refuses in a chain of its own. */
async function blameLine(
  run: Run,
  change: TableChange,
  script: RestoreScript,
  lines: readonly number[],
): Promise<string | undefined> {
  const blamed = lines.find((line) => script.changeAt.get(line) === change);
  if (blamed !== undefined) return script.lineAt(blamed);
  if (change.type !== 'write') return undefined;
  let accepted = 0;
  let refused = change.chain.lines.length;
  while (refused - accepted > 1) {
    const middle = (accepted + refused) >> 1;
    if (await tryRules(run, change, middle)) accepted = middle;
    else refused = middle;
  }
  await run.program.restore(
    buildRestoreScript([{ type: 'delete', table: change.table, name: TRIAL_CHAIN }]).text,
    run.onStart,
  );
  return change.chain.lines[refused - 1];
}

/** A chain that nobody jumps to; should we die now, the next start finds it as nobody's and removes it. */
const TRIAL_CHAIN = 'TORTIE-TRIAL';

async function tryRules(run: Run, change: TableChange & { readonly type: 'write' }, count: number): Promise<boolean> {
  const lines = change.chain.lines
    .slice(0, count)
    .map((line) => line.replace(`-A ${change.chain.name} `, `-A ${TRIAL_CHAIN} `));
  const trial: TableChange = { ...change, chain: { ...change.chain, name: TRIAL_CHAIN, lines } };
  const outcome = await run.program.restore(buildRestoreScript([trial]).text, run.onStart);
  return outcome.type === 'done';
}

const blamedChanges = (
  group: readonly TableChange[],
  script: RestoreScript,
  lines: readonly number[],
): readonly TableChange[] => {
  const blamed = new Set(lines.map((line) => script.changeAt.get(line)));
  return group.filter((change) => blamed.has(change));
};

function halves(group: readonly TableChange[]): readonly [readonly TableChange[], readonly TableChange[]] {
  const middle = group.length >> 1;
  return [group.slice(0, middle), group.slice(middle)];
}
