/**
 * JSON of the schema "netpol-acceptance/v1" to cases. What is wrong with one case makes that case broken, with every
 * problem named by its place; the others run. Pure.
 *
 * A step's cells come from `expect` tables, then from hand-written `assert` cells and `published` tables where `expect` is
 * silent about them. A verdict is 1, 0, ? or -, in a row's text or by itself, then as a number or as true and false too. `?`
 * and `-` are nobody's claim and leave no cell; an assert without family speaks of IPv4 where both ends have it.
 */
import { tryParseAddress, type Family } from 'node-bgp/address';
import { objectKindOf, type KubeObject } from '@tortie/policy/objects';
import {
  cellKey,
  type Action,
  type BrokenCase,
  type Case,
  type CaseFile,
  type CasePod,
  type Cell,
  type Protocol,
  type Step,
  type ValidationObject,
  type World,
} from './case-file.js';
import { isRecord, JsonReader } from './json-reader.js';

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const FAMILIES: readonly Family[] = [4, 6];
const OPERATIONS = [
  'createPolicy',
  'updatePolicy',
  'deletePolicy',
  'createNamespace',
  'setNamespaceLabels',
  'deleteNamespace',
  'createPod',
  'setPodLabels',
  'setPodPhase',
  'setPodTerminating',
  'deletePod',
] as const;

/** The file as a whole is not one of cases. */
export class CaseFileError extends Error {
  override readonly name = 'CaseFileError';
}

/** Throws CaseFileError only if no case can be told from another. */
export function readCaseFile(text: string): CaseFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CaseFileError(`Cannot read the cases: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const problems: string[] = [];
  const root = new JsonReader(problems, 'file', json);
  if (!isRecord(json)) throw new CaseFileError('Cannot read the cases: expected a JSON object with a list "cases"');
  const cases = root
    .field('cases')
    .list()
    .map((one, i) => readCase(one.value, `cases[${i}]`, json));
  const validation = root.field('validation').list().map(readValidation);
  if (problems.length > 0) throw new CaseFileError(`Cannot read the cases: ${problems.join('; ')}`);
  return { cases, validation };
}

function readCase(value: unknown, path: string, file: Record<string, unknown>): Case | BrokenCase {
  const problems: string[] = [];
  const reader = new JsonReader(problems, path, value);
  const id = reader.field('id').text();
  const title = reader.field('title').textOr('');
  const world = readWorld(worldOf(reader, file));
  const steps = reader
    .field('steps')
    .list()
    .map((step) => readStep(step, world));
  return problems.length > 0 ? { id, title, problems } : { id, title, world, steps };
}

/** A case's world is the name of one in the file, or stands in the case. */
function worldOf(reader: JsonReader, file: Record<string, unknown>): JsonReader {
  const world = reader.field('world');
  if (typeof world.value !== 'string') return world;
  const worlds = file['worlds'];
  if (isRecord(worlds) && Object.hasOwn(worlds, world.value))
    return new JsonReader(reader.problems, `worlds.${world.value}`, worlds[world.value]);
  world.fail('a world of the file');
  return new JsonReader([], 'worlds', {});
}

function readWorld(reader: JsonReader): World {
  return {
    nodes: reader
      .field('nodes')
      .list()
      .map((node) => ({ name: node.field('name').text(), ips: readIps(node), labels: node.field('labels').labels() })),
    namespaces: reader
      .field('namespaces')
      .list()
      .map((one) => ({ name: one.field('name').text(), labels: one.field('labels').labels() })),
    pods: reader.field('pods').list().map(readPod),
    externals: reader
      .field('externals')
      .list()
      .map((one) => ({ name: one.field('name').text(), ips: readIps(one) })),
  };
}

function readIps(owner: JsonReader): readonly string[] {
  const seen = new Set<Family>();
  return owner
    .field('ips')
    .list()
    .map((reader) => {
      const text = reader.text();
      const address = tryParseAddress(text);
      if (address === undefined) reader.fail('an IP address');
      else if (seen.has(address.family)) reader.fail(`at most one IPv${address.family} address`);
      else seen.add(address.family);
      return text;
    });
}

function readPod(reader: JsonReader): CasePod {
  const phase = reader.field('phase');
  return {
    namespace: reader.field('namespace').text(),
    name: reader.field('name').text(),
    labels: reader.field('labels').labels(),
    ips: readIps(reader),
    node: reader.field('node').text(),
    ports: reader
      .field('ports')
      .list()
      .map((port) => ({
        ...(port.field('name').isMissing ? {} : { name: port.field('name').text() }),
        port: port.field('port').integer(1, 65535),
        protocol: port.field('protocol').isMissing ? 'TCP' : (port.field('protocol').oneOf(PROTOCOLS) ?? 'TCP'),
        sidecar: port.field('sidecar').flag(),
      })),
    hostNetwork: reader.field('hostNetwork').flag(),
    ...(phase.isMissing ? {} : { phase: phase.text() }),
    terminating: reader.field('terminating').flag(),
  };
}

function readStep(reader: JsonReader, world: World): Step {
  const actions = reader
    .field('actions')
    .list()
    .flatMap((action) => readAction(action) ?? []);
  const cells = new Map<string, Cell>();
  const claim = (cell: Cell): void => {
    if (!cells.has(cellKey(cell))) cells.set(cellKey(cell), cell);
  };
  const endpoints = reader
    .field('endpoints')
    .list()
    .map((one) => one.text());
  for (const table of reader.field('expect').list()) readTable(table, endpoints).forEach(claim);
  const addresses = addressesOf(world, actions);
  for (const cell of reader.field('assert').list()) readAssertion(cell, addresses).forEach(claim);
  for (const table of reader.field('published').list()) {
    const own = table.field('endpoints');
    readTable(table, own.isMissing ? endpoints : own.list().map((one) => one.text())).forEach(claim);
  }
  return { actions, cells: [...cells.values()] };
}

function readTable(reader: JsonReader, endpoints: readonly string[]): readonly Cell[] {
  const protocol = reader.field('protocol').oneOf(PROTOCOLS) ?? 'TCP';
  const port = reader.field('port').integer(1, 65535);
  const family = reader.field('family').oneOf(FAMILIES) ?? 4;
  const rows = reader.field('rows').list();
  if (rows.length !== endpoints.length) reader.field('rows').fail(`${endpoints.length} rows, one per endpoint`);
  const cells: Cell[] = [];
  rows.forEach((row, i) => {
    const verdicts = readRow(row, endpoints.length);
    endpoints.forEach((to, j) => {
      const allow = verdicts[j];
      const from = endpoints[i];
      if (from !== undefined && typeof allow === 'boolean') cells.push({ from, to, protocol, port, family, allow });
    });
  });
  return cells;
}

/** True, false, or nobody's claim. */
type Claim = boolean | 'open';

/** A text with a character per endpoint, or a list of as many verdicts. */
function readRow(row: JsonReader, length: number): readonly Claim[] {
  if (Array.isArray(row.value)) {
    if (row.value.length !== length) row.fail(`${length} verdicts`);
    return row.list().map((one) => claimOf(one.value) ?? refusedClaim(one));
  }
  const text = row.text();
  if (text.length !== length || !/^[01?-]*$/.test(text)) row.fail(`${length} characters of 0, 1, ? and -`);
  return [...text].map((character) => claimOf(character) ?? 'open');
}

function claimOf(verdict: unknown): Claim | undefined {
  switch (verdict) {
    case true:
    case 1:
    case '1':
      return true;
    case false:
    case 0:
    case '0':
      return false;
    case '?':
    case '-':
      return 'open';
    default:
      return undefined;
  }
}

function refusedClaim(reader: JsonReader): Claim {
  reader.fail('1 or true, 0 or false, ? or -');
  return 'open';
}

function readAssertion(reader: JsonReader, addresses: (id: string) => readonly string[]): readonly Cell[] {
  const verdict = reader.field('allow');
  const allow = verdict.isMissing ? 'open' : (claimOf(verdict.value) ?? refusedClaim(verdict));
  const from = reader.field('from').text();
  const to = reader.field('to').text();
  const given = reader.field('family');
  if (allow === 'open') return [];
  const has = (family: Family): boolean =>
    [from, to].every((id) => addresses(id).some((ip) => tryParseAddress(ip)?.family === family));
  return [
    {
      from,
      to,
      protocol: reader.field('protocol').isMissing ? 'TCP' : (reader.field('protocol').oneOf(PROTOCOLS) ?? 'TCP'),
      port: reader.field('port').integer(1, 65535),
      family: given.isMissing ? (has(4) || !has(6) ? 4 : 6) : (given.oneOf(FAMILIES) ?? 4),
      allow,
    },
  ];
}

/** Addresses of an endpoint id, of pods that the step creates too. */
function addressesOf(world: World, actions: readonly Action[]): (id: string) => readonly string[] {
  const created = actions.flatMap((action) => (action.op === 'createPod' ? [action.pod] : []));
  const table = new Map<string, readonly string[]>([
    ...world.nodes.map((node) => [`node:${node.name}`, node.ips] as const),
    ...world.externals.map((one) => [`ext:${one.name}`, one.ips] as const),
    ...[...world.pods, ...created].map((pod) => [`${pod.namespace}/${pod.name}`, pod.ips] as const),
  ]);
  return (id) => table.get(id) ?? [];
}

function readAction(reader: JsonReader): Action | undefined {
  const op = reader.field('op').oneOf(OPERATIONS);
  const identity = (): { namespace: string; name: string } => ({
    namespace: reader.field('namespace').text(),
    name: reader.field('name').text(),
  });
  switch (op) {
    case undefined:
      return undefined;
    case 'createPolicy':
    case 'updatePolicy':
      return { op, object: readObject(reader.field('object')) };
    case 'deletePolicy': {
      const namespace = reader.field('namespace');
      return {
        op,
        kind: reader.field('kind').text(),
        name: reader.field('name').text(),
        ...(namespace.isMissing ? {} : { namespace: namespace.text() }),
      };
    }
    case 'createNamespace':
    case 'setNamespaceLabels':
      return { op, name: reader.field('name').text(), labels: reader.field('labels').labels() };
    case 'deleteNamespace':
      return { op, name: reader.field('name').text() };
    case 'createPod':
      return { op, pod: readPod(reader.field('pod')) };
    case 'setPodLabels':
      return { op, ...identity(), labels: reader.field('labels').labels() };
    case 'setPodPhase':
      return { op, ...identity(), phase: reader.field('phase').text() };
    case 'setPodTerminating':
    case 'deletePod':
      return { op, ...identity() };
  }
}

function readObject(reader: JsonReader): KubeObject {
  if (!isRecord(reader.value)) {
    reader.fail('a Kubernetes object');
    return {};
  }
  const object: KubeObject = reader.value;
  if (objectKindOf(object) === undefined) reader.fail('a policy kind that Tortie knows, by apiVersion and kind');
  reader.field('metadata').field('name').text();
  return object;
}

function readValidation(reader: JsonReader): ValidationObject {
  const { value } = reader.field('valid');
  if (typeof value !== 'boolean') reader.field('valid').fail('true or false');
  const object = reader.field('object');
  if (!isRecord(object.value)) object.fail('a Kubernetes object');
  return { id: reader.field('id').text(), isValid: value === true, object: isRecord(object.value) ? object.value : {} };
}
