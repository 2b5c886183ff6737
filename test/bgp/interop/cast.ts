/** Who plays: a vendor's daemon once for each version that a root has. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Bird } from './bird.js';
import { Exabgp } from './exabgp.js';
import { Frr } from './frr.js';
import { Gobgp } from './gobgp.js';
import { Openbgpd } from './openbgpd.js';
import type { Root } from './root.js';
import type { Vendor } from './vendor.js';

/** Below this folder of a root, a second version of a vendor's programs, called like the vendor and a number: `bird3`. */
export const SECOND_VERSIONS = '/opt/tortie-interop';

export interface Vendors {
  readonly package: string;
  readonly programs: readonly string[];
  readonly make: (name: string, root: Root) => Vendor;
}

export const VENDORS: Readonly<Record<string, Vendors>> = {
  bird: { package: 'bird2', programs: ['bird', 'birdc'], make: (name, root) => new Bird(name, root) },
  frr: {
    package: 'frr',
    programs: ['/usr/lib/frr/zebra', '/usr/lib/frr/bfdd', '/usr/lib/frr/bgpd', 'vtysh'],
    make: (name, root) => new Frr(name, root),
  },
  gobgp: { package: 'gobgpd', programs: ['gobgpd', 'gobgp'], make: (name, root) => new Gobgp(name, root) },
  openbgpd: {
    package: 'openbgpd',
    programs: ['/usr/sbin/bgpd', 'bgpctl'],
    make: (name, root) => new Openbgpd(name, root),
  },
  exabgp: { package: 'exabgp', programs: ['exabgp'], make: (name, root) => new Exabgp(name, root) },
};

export interface Role {
  /** `bird`, or `bird3` for a second version. */
  readonly name: string;
  /** A key of `VENDORS`. */
  readonly vendor: string;
  readonly root: Root;
}

/** The daemons as Debian installs them, then the second versions that the root has. */
export function castOf(root: Root): readonly Role[] {
  const folder = root.outside(SECOND_VERSIONS);
  const seconds = root.isMachine || !existsSync(folder) ? [] : readdirSync(folder).sort();
  return [
    ...Object.keys(VENDORS).map((vendor) => ({ name: vendor, vendor, root })),
    ...seconds
      .map((name) => ({ name, vendor: name.replace(/\d+$/, ''), root: root.in(join(SECOND_VERSIONS, name)) }))
      .filter(({ vendor }) => Object.hasOwn(VENDORS, vendor)),
  ];
}

export function vendorOf({ name, vendor, root }: Role): Vendor {
  const entry = VENDORS[vendor];
  if (entry === undefined) throw new Error(`There is no vendor ${vendor}`);
  return entry.make(name, root);
}

/** Programs of the cast that the root lacks. */
export function lackingOf(cast: readonly Role[]): readonly string[] {
  return cast.flatMap(({ vendor, root }) => (VENDORS[vendor]?.programs ?? []).filter((program) => !root.has(program)));
}
