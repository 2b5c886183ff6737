/**
 * Which Redis or Valkey a URL means, how to get in, and how much must be safe before a write counts.
 *
 *   redis://[user@]host[:port][/database]         one server          rediss:// the same over TLS
 *   redis-sentinel://[user@]host,host.../master   whom Sentinel names rediss-sentinel://
 *   redis-cluster://[user@]host,host...           a cluster           rediss-cluster://
 *
 * No secret is ever in a URL, for command lines can be read by everybody: passwords come from files.
 */
import { readFileSync } from 'node:fs';
import { messageOf, UserError } from '../../errors.js';

export interface RedisLocation {
  readonly form: 'single' | 'sentinel' | 'cluster';
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** What Sentinel calls the server. */
  readonly master: string;
  readonly database: number;
  readonly user?: string;
  readonly password?: string;
  readonly sentinelUser?: string;
  readonly sentinelPassword?: string;
  readonly tls?: TlsFiles;
  /** All keys begin with "{prefix}", so all are in one slot of a cluster. */
  readonly prefix: string;
  /** Replicas that must have a write before it counts. */
  readonly quorum: number;
  /** Milliseconds that they may take. */
  readonly quorumTimeout: number;
  /** Milliseconds after a failover in which nodes say again what is theirs, and nobody claims anything new. */
  readonly settle: number;
  /** A server that may lose what it has acknowledged will do. */
  readonly acceptsLoss: boolean;
  /** Events of each kind that are kept for those who were away. */
  readonly history: number;
  /** The URL without anything that opens a door: for messages. */
  readonly display: string;
}

export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
}

const SCHEMES = {
  'redis:': { form: 'single', isSecure: false },
  'rediss:': { form: 'single', isSecure: true },
  'redis-sentinel:': { form: 'sentinel', isSecure: false },
  'rediss-sentinel:': { form: 'sentinel', isSecure: true },
  'redis-cluster:': { form: 'cluster', isSecure: false },
  'rediss-cluster:': { form: 'cluster', isSecure: true },
} as const;

const PARAMETERS = [
  'password-file',
  'sentinel-user',
  'sentinel-password-file',
  'ca-file',
  'cert-file',
  'key-file',
  'server-name',
  'prefix',
  'wait',
  'wait-timeout',
  'settle',
  'accept-loss',
  'history',
] as const;
type Parameter = (typeof PARAMETERS)[number];

export const isRedisUrl = (url: string): boolean => /^rediss?(-sentinel|-cluster)?:/i.test(url);

/** @throws UserError that says what was expected, without any secret that was in the URL */
export function parseRedisUrl(url: string): RedisLocation {
  const match = /^([a-z-]+:)\/\/(?:([^@/?]*)@)?([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/i.exec(url);
  const scheme = SCHEMES[(match?.[1] ?? '').toLowerCase() as keyof typeof SCHEMES];
  if (match === null || scheme === undefined)
    throw refused('expected redis://host[:port][/database], or -sentinel or -cluster');
  const [, , credentials = '', hosts = '', path = ''] = match;
  if (credentials.includes(':'))
    throw refused(
      'a password in a URL can be read by everybody who lists processes; expected user@ alone, and ?password-file=FILE',
    );
  const given = parametersOf(match[5] ?? '');
  const { form, isSecure } = scheme;
  const tlsGiven = (['ca-file', 'cert-file', 'key-file', 'server-name'] as const).find((name) => given.has(name));
  if (!isSecure && tlsGiven !== undefined) throw refused(`${tlsGiven} goes with TLS; expected rediss... as its scheme`);
  const segment = path.replace(/^\//, '');
  const master = form === 'sentinel' ? segment : '';
  if (form === 'sentinel' && master === '')
    throw refused('expected the name of the master after the hosts, as in /mymaster');
  if (form === 'cluster' && segment !== '')
    throw refused(`a cluster has no databases; expected nothing in place of "${path}"`);
  const secrets = (name: Parameter): string | undefined => secretFrom(given.get(name), name);
  const user = credentials === '' ? undefined : decodeURIComponent(credentials);
  const [password, sentinelUser, sentinelPassword] = [
    secrets('password-file'),
    given.get('sentinel-user'),
    secrets('sentinel-password-file'),
  ];
  return {
    form,
    hosts: hostsOf(hosts, form),
    master,
    database: form === 'single' && segment !== '' ? whole('database', segment, 0, 1_000_000) : 0,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(sentinelUser === undefined ? {} : { sentinelUser }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    ...(isSecure ? { tls: tlsOf(given) } : {}),
    prefix: prefixOf(given.get('prefix') ?? 'tortie'),
    quorum: whole('wait', given.get('wait') ?? '0', 0, 100),
    quorumTimeout: whole('wait-timeout', given.get('wait-timeout') ?? '2000', 1, 60_000),
    settle: whole('settle', given.get('settle') ?? '10000', 0, 600_000),
    acceptsLoss: isYes(given.get('accept-loss')),
    history: whole('history', given.get('history') ?? '10000', 1, 10_000_000),
    display: `${(match[1] ?? '').toLowerCase()}//${hosts}${path}`,
  };
}

const refused = (why: string): UserError => new UserError(`Cannot use the datastore's URL: ${why}`, 2);

function parametersOf(query: string): ReadonlyMap<Parameter, string> {
  const given = new Map<Parameter, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const known = PARAMETERS.find((parameter) => parameter === name);
    if (known === undefined) throw refused(`"${name}" is unknown; expected ${PARAMETERS.join(', ')}`);
    if (given.has(known)) throw refused(`"${known}" is given twice`);
    given.set(known, value);
  }
  return given;
}

function hostsOf(text: string, form: RedisLocation['form']): RedisLocation['hosts'] {
  const defaultPort = form === 'sentinel' ? 26_379 : 6379;
  const hosts = text.split(',').map((each) => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d+))?$/.exec(each);
    if (match === null)
      throw refused(`"${each}" is no host; expected NAME, ADDRESS or [ADDRESS], each with :PORT if need be`);
    const port = match[2] === undefined ? defaultPort : whole('port', match[2], 1, 65_535);
    return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port };
  });
  if (form === 'single' && hosts.length > 1)
    throw refused('one server has one host; expected redis-sentinel:// or redis-cluster:// for several');
  return hosts;
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most)
    throw refused(`${name} is "${text}"; expected a whole number from ${least} to ${most}`);
  return value;
}

function isYes(text: string | undefined): boolean {
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw refused(`accept-loss is "${text}"; expected true or false`);
}

function prefixOf(text: string): string {
  if (!/^[A-Za-z0-9._:-]{1,64}$/.test(text))
    throw refused(`prefix is "${text}"; expected 1 to 64 letters, digits, ".", "_", ":" or "-"`);
  return text;
}

/** Editors end files with a line break, which is in no password. */
const secretFrom = (file: string | undefined, name: string): string | undefined =>
  file === undefined
    ? undefined
    : read(file, name)
        .toString('utf8')
        .replace(/\r?\n$/, '');

function read(file: string, name: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UserError(`Cannot read ${name} of the datastore's URL: ${messageOf(error)}`, 1, { cause: error });
  }
}

function tlsOf(given: ReadonlyMap<Parameter, string>): TlsFiles {
  const file = (name: Parameter): Buffer | undefined => {
    const path = given.get(name);
    return path === undefined ? undefined : read(path, name);
  };
  const [ca, cert, key, servername] = [file('ca-file'), file('cert-file'), file('key-file'), given.get('server-name')];
  if ((cert === undefined) !== (key === undefined)) throw refused('cert-file and key-file go together');
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
  };
}
