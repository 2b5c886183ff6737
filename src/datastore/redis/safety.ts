/**
 * May this server lose what it has acknowledged, silently? Read from INFO, which every user of a server may have; CONFIG is often
 * closed. Pure: what INFO says in, sentences out.
 */
import type { RedisLocation } from './location.js';

export type Info = ReadonlyMap<string, string>;

export function parseInfo(text: string): Info {
  const found = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) found.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return found;
}

/** Which life of which server this is: another one may know less than the last. */
export const historyOf = (info: Info): string => `${info.get('run_id') ?? ''} ${info.get('master_replid') ?? ''}`;

/** Why writes may be lost; what is in no way ours to accept comes first. */
export function dangers(info: Info, location: Pick<RedisLocation, 'form' | 'quorum'>): readonly string[] {
  const { form, quorum } = location;
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  const replicas = Number(info.get('connected_slaves') ?? '0');
  const found: string[] = [];
  if (policy.startsWith('allkeys'))
    found.push(`it drops keys when its memory is full (maxmemory-policy is ${policy}; expected noeviction)`);
  if (info.get('aof_enabled') !== '1')
    found.push('it forgets its last writes when it ends (appendonly is no; expected yes)');
  if (quorum > replicas) found.push(`wait=${quorum} asks for that many replicas (it has ${replicas})`);
  if (form !== 'single' && quorum === 0)
    found.push(
      'a failover may lose writes that no replica had (wait=0; expected the number of replicas that must have each write)',
    );
  return found;
}

/** What makes it of no use at all, whatever one accepts. */
export function impediment(info: Info): string | undefined {
  if (info.get('role') === 'slave') return 'it is a replica; expected its primary';
  const version = (info.get('redis_version') ?? '').split('.').map(Number);
  const [major = 0] = version;
  return major < 6 ? `it is version ${info.get('redis_version') ?? 'unknown'}; expected 6 or newer` : undefined;
}
