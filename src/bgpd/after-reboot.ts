/**
 * What a bgpd announces after the machine was started anew, until whoever gave it its configuration gives the next: not what only a kernel
 * that holds policy, pods' routes and rules of Services can serve. Sessions come up, and routes are learned.
 */
import { isObject } from 'node-bgp/config/schema';

/** Of originated prefixes: those that something on this machine has to be behind. */
const HELD_TAGS: ReadonlySet<unknown> = new Set(['block', 'service', 'borrowed']);

export interface AfterReboot {
  readonly text: string;
  /** How many prefixes wait. */
  readonly held: number;
}

/** @param text the saved configuration, JSON; anything else is for its parser to refuse, and comes back as it is */
export function afterReboot(text: string): AfterReboot {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return { text, held: 0 };
    throw error;
  }
  if (!isObject(config) || !Array.isArray(config['originate'])) return { text, held: 0 };
  const all: readonly unknown[] = config['originate'];
  const originate = all.filter((route) => !isHeld(route));
  return { text: JSON.stringify({ ...config, originate }), held: all.length - originate.length };
}

const isHeld = (route: unknown): boolean =>
  isObject(route) && Array.isArray(route['tags']) && route['tags'].some((tag) => HELD_TAGS.has(tag));
