/** The options of `tortie agent` about taking its node out of service, understood. */
import { UserError } from '../errors.js';
import type { DrainSettings } from './drain-loop.js';

export interface DrainFlags {
  /** Seconds. */
  readonly drainWait: string;
  /** Nodes. */
  readonly drainFloor: string;
}

/** @throws UserError */
export const parseDrainFlags = ({ drainWait, drainFloor }: DrainFlags): DrainSettings => ({
  wait: 1_000 * whole(drainWait, '--drain-wait', 0, 600, 'seconds'),
  floor: whole(drainFloor, '--drain-floor', 1, 100, 'nodes'),
});

function whole(text: string, flag: string, least: number, most: number, unit: string): number {
  const value = /^\d{1,3}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most))
    throw new UserError(`Cannot use ${flag} "${text}": expected ${unit}, ${least} to ${most}`, 2);
  return value;
}
