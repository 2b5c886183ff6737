/** `--flows ...`: whether flows are recorded, and for how long they are kept. */
import type { DenyReports } from '@tortie/policy';
import { REPORT_GROUP } from '../dataplane/flow-events.js';
import { UserError } from '../errors.js';
import type { FlowSettings } from './flow-loop.js';

export interface FlowFlags {
  readonly flows: string;
  /** Days. */
  readonly flowDays: string;
  /** MiB. */
  readonly flowSize: string;
}

const MEBIBYTE = 1024 * 1024;
const MOST_DAYS = 365;
const MOST_MEBIBYTES = 102_400;

/** What one rule may report. A node with many rules under attack is bounded by the socket's buffer, and counts what did not fit. */
export const DENY_REPORTS: DenyReports = { group: REPORT_GROUP, perSecond: 100, burst: 500 };

/** Undefined: none are recorded. @throws UserError */
export function parseFlowFlags({ flows, flowDays, flowSize }: FlowFlags): FlowSettings | undefined {
  if (flows !== 'on' && flows !== 'off') throw new UserError(`Cannot use --flows "${flows}": expected on or off`, 2);
  const days = wholeNumber('--flow-days', flowDays, MOST_DAYS);
  const bytes = wholeNumber('--flow-size', flowSize, MOST_MEBIBYTES) * MEBIBYTE;
  return flows === 'on' ? { days, bytes } : undefined;
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new UserError(`Cannot use ${option} "${text}": expected 1 to ${most}`, 2);
  return value;
}
