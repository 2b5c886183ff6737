/**
 * From anything to a SpeakerConfig, or to every problem it has: the shape of each field first, then what fields mean to
 * each other. A configuration that passes can be applied without a further check.
 */
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from '../address.js';
import type { DynamicPeersConfig, SpeakerConfig } from '../config.js';
import { checkKeys } from './key-rules.js';
import { checkPeer, checkReferences, checkSession, isPlace, peerLocation, peerName, remoteAsOf } from './peer-rules.js';
import { checkOriginatedPrefix, checkRule, isNeverRouted } from './route-rules.js';
import { isObject, joinPath, type JsonSchema, type Problem } from './schema.js';
import { speakerShape } from './shape.js';
import { soundParts } from './sound-parts.js';

export type { Problem } from './schema.js';

export type Validated =
  | { readonly type: 'valid'; readonly config: ParsedConfig }
  | { readonly type: 'invalid'; readonly problems: readonly Problem[] };

/** JSON Schema of the configuration, for editors. */
export const speakerSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Configuration of a BGP speaker',
  ...speakerShape.schema,
};

/** Checks everything and reports all at once; relations between fields of those parts that by themselves are right. */
export function validateConfig(value: unknown): Validated {
  const problems: Problem[] = [];
  speakerShape.check(value, '', problems);
  if (problems.length > 0) return { type: 'invalid', problems: [...problems, ...problemsOfSoundParts(value)] };
  const config = withoutNulls(value) as ParsedConfig;
  checkRelations(config, problems);
  checkSessions(config, problems);
  return problems.length > 0 ? { type: 'invalid', problems } : { type: 'valid', config };
}

function problemsOfSoundParts(value: unknown): readonly Problem[] {
  const sound = soundParts(withoutNulls(value));
  if (sound === undefined) return [];
  const { config, hasAs, placed } = sound;
  const problems: Problem[] = [];
  checkRelations(config, problems);
  if (hasAs) checkSessions(config, problems);
  else
    for (const name of ['peers', 'dynamicPeers'] as const)
      for (const [index, session] of (config[name] ?? []).entries())
        checkReferences(config, session, `${name}[${index}]`, problems);
  return problems.map(placed);
}

/** Of names, keys, addresses and prefixes, which need no session. */
function checkRelations(config: SpeakerConfig, problems: Problem[]): void {
  checkNames(config, problems);
  checkKeys(config, problems);
  checkPlaces(config, problems);
  checkOriginated(config, problems);
  checkFilters(config, problems);
}

function checkSessions(config: SpeakerConfig, problems: Problem[]): void {
  for (const [index, peer] of (config.peers ?? []).entries()) {
    checkPeer(config, peer, `peers[${index}]`, problems);
    checkSession(config, peer, remoteAsOf(config, peer), `peers[${index}]`, problems);
  }
  for (const [index, range] of (config.dynamicPeers ?? []).entries()) {
    checkRange(config, range, `dynamicPeers[${index}]`, problems);
    for (const remoteAs of [range.remoteAs].flat())
      checkSession(config, range, remoteAs, `dynamicPeers[${index}]`, problems);
  }
}

/** A configuration that has been checked. */
export type ParsedConfig = SpeakerConfig & { readonly [PARSED]: true };
declare const PARSED: unique symbol;

/** From JSON, YAML or anything else that nobody has checked. Throws ConfigError with every problem. */
export function parseConfig(value: unknown): ParsedConfig {
  const validated = validateConfig(value);
  if (validated.type === 'invalid') throw new ConfigError(validated.problems);
  return validated.config;
}

/** A configuration that cannot be used; `problems` has every reason. Nothing was changed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly problems: readonly Problem[]) {
    super(`Cannot use the configuration: ${problems.map(formatProblem).join('; ')}`);
  }
}

/** One sentence per problem: `peers[0].holdTime is 2; expected ...`. */
export function formatProblem(problem: Problem): string {
  const where = problem.path === '' ? 'the configuration' : problem.path;
  if (problem.value === undefined) return `${where}: expected ${problem.expected}`;
  const text =
    typeof problem.value === 'string' ? `"${problem.value}"` : (JSON.stringify(problem.value) ?? String(problem.value));
  return `${where} is ${text.length > 80 ? `${text.slice(0, 77)}...` : text}; expected ${problem.expected}`;
}

/** YAML writes an absent value as null. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => entry !== null && entry !== undefined)
      .map(([key, entry]) => [key, withoutNulls(entry)]),
  );
}

function checkNames(config: SpeakerConfig, problems: Problem[]): void {
  const names = new Map<string, string>();
  const claim = (name: string, path: string, remedy: string): void => {
    const first = names.get(name);
    if (first !== undefined) problems.push({ path, value: name, expected: `${remedy}; ${first} has the same` });
    else names.set(name, path);
  };
  const sessions = new Map<string, string>();
  for (const [index, peer] of (config.peers ?? []).entries()) {
    const field = peer.address === undefined ? 'interface' : 'address';
    if (peer.name === undefined)
      claim(peerName(peer), `peers[${index}].${field}`, `an ${field} or a "name" of its own`);
    else claim(peer.name, `peers[${index}].name`, 'a name of its own');
    const session =
      peer.address === undefined
        ? peerLocation(peer)
        : `${peerLocation(peer)} ${peer.port ?? 179} ${peer.localAddress ?? ''}`;
    const first = sessions.get(session);
    if (first !== undefined && peer.name !== undefined)
      problems.push({
        path: `peers[${index}].${field}`,
        value: peer[field],
        expected: `an ${field} of its own; ${first} has the same`,
      });
    else if (first === undefined) sessions.set(session, `peers[${index}].${field}`);
  }
  for (const [index, range] of (config.dynamicPeers ?? []).entries())
    claim(range.name, `dynamicPeers[${index}].name`, 'a name of its own');
}

/** Of what stands beside the peers. */
function checkPlaces({ listen = [], bmp = [] }: SpeakerConfig, problems: Problem[]): void {
  for (const [index, { address }] of listen.entries())
    if (parseAddress(address).value !== 0n && !isPlace(address))
      problems.push({
        path: `listen[${index}].address`,
        value: address,
        expected: 'an address of this host, or 0.0.0.0 or :: for all of them',
      });
  for (const [index, { address }] of bmp.entries())
    if (!isPlace(address))
      problems.push({ path: `bmp[${index}].address`, value: address, expected: 'the address of a host' });
}

function checkRange(config: SpeakerConfig, range: DynamicPeersConfig, path: string, problems: Problem[]): void {
  const prefix = parsePrefix(range.range);
  if (isNeverRouted(prefix) && !isPlace(formatAddress(prefix)))
    problems.push({ path: `${path}.range`, value: range.range, expected: 'a range of addresses that hosts can have' });
  if (formatPrefix(prefix) === 'fe80::/10' && range.interface === undefined)
    problems.push({
      path: `${path}.interface`,
      value: undefined,
      expected: 'an interface: link-local addresses are those of one link',
    });
  if ((config.listen?.length ?? 1) === 0)
    problems.push({
      path: `${path}.range`,
      value: range.range,
      expected: 'a "listen" entry: peers out of a range have to be able to connect',
    });
  for (const [index, other] of (config.dynamicPeers ?? []).entries())
    if (
      other !== range &&
      other.range === range.range &&
      other.interface === range.interface &&
      `dynamicPeers[${index}]` < path
    )
      problems.push({
        path: `${path}.range`,
        value: range.range,
        expected: `a range of its own; dynamicPeers[${index}] has the same`,
      });
}

function checkOriginated(config: SpeakerConfig, problems: Problem[]): void {
  const seen = new Map<string, number>();
  for (const [index, originated] of (config.originate ?? []).entries()) {
    const { prefix } = originated;
    const parsed = parsePrefix(prefix);
    const key = parsed.family === 6 ? formatPrefix(parsed) : prefix; // IPv4 text that was let in has one form
    const first = seen.get(key);
    if (first !== undefined)
      problems.push({
        path: `originate[${index}].prefix`,
        value: prefix,
        expected: `each prefix once; originate[${first}] has it`,
      });
    else seen.set(key, index);
    checkOriginatedPrefix(originated, parsed, `originate[${index}]`, problems);
  }
}

function checkFilters(config: SpeakerConfig, problems: Problem[]): void {
  for (const [name, filter] of Object.entries(config.filters ?? {}))
    for (const [index, rule] of filter.rules.entries())
      checkRule(rule, `${joinPath('filters', name)}.rules[${index}]`, problems);
}
