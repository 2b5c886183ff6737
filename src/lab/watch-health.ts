/** Tells the log when a watch is lost and when it is back, not every attempt in between. */
import type { Logger } from '../log.js';

export function logHealth(log: Logger): (kind: string, problem: string | undefined) => void {
  const lost = new Set<string>();
  return (kind, problem) => {
    if (problem === undefined) {
      if (lost.delete(kind)) log.info({ kind }, 'the API server is watched again');
    } else if (!lost.has(kind)) {
      lost.add(kind);
      log.warn({ kind, problem }, 'the API server cannot be watched');
    }
  };
}
