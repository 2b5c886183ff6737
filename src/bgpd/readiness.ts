/**
 * Whether a bgpd does its work, for who replaces daemons node by node: the next one waits until this one has its configuration, has come
 * through its restart, keeps the kernel's table and has somebody to talk to.
 */
import type { HealthCheck } from '../health.js';
import type { Daemon } from './daemon.js';

export function readinessOf({ speaker, fibStatus }: Pick<Daemon, 'speaker' | 'fibStatus'>): readonly HealthCheck[] {
  if (speaker.config === undefined)
    return [{ name: 'configuration', problems: ['there is none yet; the agent of this node brings it'] }];
  const { peers, listen, isRestarting } = speaker.summary();
  const isAnybodyThere = peers.length === 0 || peers.some(({ isEstablished }) => isEstablished);
  const refused = fibStatus?.refused ?? 0;
  return [
    { name: 'configuration', problems: [] },
    { name: 'restart', problems: isRestarting ? ['routes of before the restart wait for what peers still send'] : [] },
    { name: 'listen', problems: listen.map(({ problem }) => problem).filter((problem) => problem !== undefined) },
    { name: 'sessions', problems: isAnybodyThere ? [] : [`none of ${peers.length} is established`] },
    { name: 'kernel', problems: refused === 0 ? [] : [`it refuses ${refused} routes`] },
  ];
}
