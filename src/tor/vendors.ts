/** Which routers we can write for. */
import { renderBird } from './bird.js';
import { renderEos } from './eos.js';
import { renderFrr, renderSonic } from './frr.js';
import { renderJunos } from './junos.js';
import { renderNxos } from './nxos.js';
import type { RouterPlan } from './plan.js';

export const VENDORS = {
  frr: renderFrr,
  bird: renderBird,
  eos: renderEos,
  junos: renderJunos,
  nxos: renderNxos,
  sonic: renderSonic,
} as const satisfies Readonly<Record<string, (plan: RouterPlan) => string>>;

export type Vendor = keyof typeof VENDORS;
export const VENDOR_NAMES = Object.keys(VENDORS) as readonly Vendor[];
