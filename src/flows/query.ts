/** Which flows somebody asks for: from the options of `tortie flows` to a query string, and from there to a test of each flow. Pure. */
import { containsAddress, tryParseAddress, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { UserError } from '../errors.js';
import { type Connection, type Flow, type FlowEnd, type FlowSubject, policiesOf } from './flow.js';

/** As written: by the user, and in the query string. */
export interface FlowQuery {
  /** NAMESPACE, NAMESPACE/NAME (a pod or its owner), node:NAME, an address or a prefix. */
  readonly from?: string;
  readonly to?: string;
  /** Either end. */
  readonly with?: string;
  readonly verdict?: string;
  /** NAME, NAMESPACE/NAME or KIND/NAMESPACE/NAME; staged ones too. */
  readonly policy?: string;
  /** 80, 53/UDP or ICMP. */
  readonly port?: string;
  /** 15m, 24h, 7d, or a time as 2026-12-01T10:00:00Z. */
  readonly since?: string;
  readonly until?: string;
  /** The newest so many. */
  readonly limit?: string;
}

export const QUERY_KEYS = ['from', 'to', 'with', 'verdict', 'policy', 'port', 'since', 'until', 'limit'] as const;

export interface ParsedQuery {
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly until: number;
  readonly limit: number;
  readonly matches: (subject: FlowSubject) => boolean;
}

export const DEFAULT_SINCE = '1h';
export const DEFAULT_LIMIT = 10_000;
export const MOST_LIMIT = 1_000_000;
/** BOUNDED: of one value. */
const MOST_LENGTH = 1_000;

/** @param now milliseconds since 1970. @throws UserError that names the option, its value and what was expected */
export function parseQuery(query: FlowQuery, now: number): ParsedQuery {
  for (const key of QUERY_KEYS)
    if ((query[key]?.length ?? 0) > MOST_LENGTH)
      throw new UserError(`Cannot use --${key}: expected at most ${MOST_LENGTH} characters`, 2);
  const tests: ((subject: FlowSubject) => boolean)[] = [];
  const { from, to, verdict, policy, port } = query;
  if (from !== undefined) {
    const isWanted = parseEnd(from, 'from');
    tests.push((subject) => isWanted(subject.from));
  }
  if (to !== undefined) {
    const isWanted = parseEnd(to, 'to');
    tests.push((subject) => isWanted(subject.to));
  }
  if (query.with !== undefined) {
    const isWanted = parseEnd(query.with, 'with');
    tests.push((subject) => isWanted(subject.from) || isWanted(subject.to));
  }
  if (verdict !== undefined) {
    if (verdict !== 'allowed' && verdict !== 'denied')
      throw new UserError(`Cannot use --verdict "${verdict}": expected allowed or denied`, 2);
    tests.push((subject) => subject.verdict === verdict);
  }
  if (policy !== undefined) tests.push(parsePolicy(policy));
  if (port !== undefined) tests.push(parsePort(port));
  return {
    since: parseTime(query.since ?? DEFAULT_SINCE, now, 'since'),
    until: query.until === undefined ? Number.POSITIVE_INFINITY : parseTime(query.until, now, 'until'),
    limit: parseLimit(query.limit),
    matches: (subject) => tests.every((test) => test(subject)),
  };
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws UserError */
export function parseTime(text: string, now: number, option: string): number {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * (UNITS[unit] ?? 0);
  const at = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new UserError(`Cannot use --${option} "${text}": expected 15m, 24h, 7d or a time as 2026-12-01T10:00:00Z`, 2);
  return at;
}

function parseLimit(text: string | undefined): number {
  const limit = text === undefined ? DEFAULT_LIMIT : Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LIMIT)
    throw new UserError(`Cannot use --limit "${text}": expected 1 to ${MOST_LIMIT}`, 2);
  return limit;
}

function parseEnd(text: string, option: string): (end: FlowEnd) => boolean {
  const prefix = prefixFrom(text);
  if (prefix !== undefined)
    return ({ address }) => {
      const parsed = address === undefined ? undefined : tryParseAddress(address);
      return parsed !== undefined && containsAddress(prefix, parsed);
    };
  if (text.startsWith('node:')) return ({ type, name }) => type === 'node' && name === text.slice('node:'.length);
  const [namespace = '', name, ...more] = text.split('/');
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(namespace) || name === '' || more.length > 0 || /[\s:]/.test(text))
    throw new UserError(
      `Cannot use --${option} "${text}": expected NAMESPACE, NAMESPACE/NAME, node:NAME, an address or a prefix`,
      2,
    );
  return (end) =>
    end.type === 'pod' &&
    end.namespace === namespace &&
    (name === undefined || end.name === name || end.owner?.name === name);
}

function prefixFrom(text: string): IpPrefix | undefined {
  if (text.includes('/')) return tryParsePrefix(text);
  const address = tryParseAddress(text);
  return address === undefined ? undefined : tryParsePrefix(`${text}/${address.family === 4 ? 32 : 128}`);
}

function parsePolicy(text: string): (subject: FlowSubject) => boolean {
  const parts = text.split('/');
  if (parts.includes('') || parts.length > 3)
    throw new UserError(`Cannot use --policy "${text}": expected NAME, NAMESPACE/NAME or KIND/NAMESPACE/NAME`, 2);
  const [name = '', namespace, kind] = parts.reverse();
  return ({ egress, ingress }) =>
    [egress, ingress].some(
      (decision) =>
        decision !== undefined &&
        [...policiesOf(decision), ...decision.staged.map((staged) => staged.policy)].some(
          (policy) =>
            policy.name === name &&
            (namespace === undefined || policy.namespace === namespace) &&
            (kind === undefined || policy.kind === kind),
        ),
    );
}

function parsePort(text: string): (subject: FlowSubject) => boolean {
  const [, digits, after, alone] =
    /^(?:(\d{1,5})(?:\/([A-Za-z][A-Za-z0-9]*))?|([A-Za-z][A-Za-z0-9]*))$/.exec(text) ?? [];
  const protocol = after ?? alone;
  const port = digits === undefined ? undefined : Number(digits);
  if ((port === undefined && protocol === undefined) || (port !== undefined && port > 65_535))
    throw new UserError(`Cannot use --port "${text}": expected such as 80, 53/UDP or ICMP`, 2);
  return (subject) =>
    (port === undefined || subject.port === port) &&
    (protocol === undefined || subject.protocol.toUpperCase() === protocol.toUpperCase());
}

/** Does a flow's time lie in what was asked for? */
export const isWithin = (flow: Flow | Connection, { since, until }: ParsedQuery): boolean =>
  (flow.type === 'flow' ? flow.last : flow.at) >= since && (flow.type === 'flow' ? flow.start : flow.at) <= until;
