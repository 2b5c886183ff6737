/** The dispatch maps, entry by entry, and what changed in them since the last drain. */
import type { Family } from 'node-bgp/address';
import { chainKey, type DispatchMap, type MapChange } from '@tortie/policy/ruleset';
import { MAP_ROLES, mapName, MAPS, type MapRole } from '../compile/names.js';

export interface MapsDelta {
  readonly upserted: readonly DispatchMap[];
  readonly changed: readonly MapChange[];
}

interface HeldMap {
  readonly map: DispatchMap;
  readonly entries: Map<string, string>;
  /** What each key touched since the last drain led to then. */
  readonly before: Map<string, string | undefined>;
}

export class ServiceMaps {
  private readonly maps = new Map<string, HeldMap>();
  private isTold = false;

  constructor() {
    for (const role of MAP_ROLES)
      for (const family of [4, 6] as const) {
        const { table, key } = MAPS[role];
        const entries = new Map<string, string>();
        const map: DispatchMap = { table, name: mapName(role, family), key, family, entries, otherwise: 'return' };
        this.maps.set(`${role} ${family}`, { map, entries, before: new Map() });
      }
  }

  set(role: MapRole, family: Family, key: string, chain: string | undefined): void {
    const { entries, before } = this.held(role, family);
    const now = entries.get(key);
    if (now === chain) return;
    if (!before.has(key)) before.set(key, now);
    if (chain === undefined) entries.delete(key);
    else entries.set(key, chain);
  }

  isEmpty(...roles: readonly MapRole[]): boolean {
    return roles.every((role) => ([4, 6] as const).every((family) => this.held(role, family).entries.size === 0));
  }

  all(): ReadonlyMap<string, DispatchMap> {
    return new Map([...this.maps.values()].map(({ map }) => [chainKey(map), snapshot(map)]));
  }

  /** Whole maps the first time, from then on entries. */
  drain(): MapsDelta {
    const held = [...this.maps.values()];
    const changed = this.isTold ? held.flatMap((one) => changeOf(one)) : [];
    const upserted = this.isTold ? [] : held.map(({ map }) => snapshot(map));
    for (const { before } of held) before.clear();
    this.isTold = true;
    return { upserted, changed };
  }

  private held(role: MapRole, family: Family): HeldMap {
    const held = this.maps.get(`${role} ${family}`);
    if (held === undefined) throw new Error(`No map of role ${role} and family ${family}`);
    return held;
  }
}

function changeOf({ map: { table, name, key: kind }, entries, before }: HeldMap): readonly MapChange[] {
  const added = new Map<string, string>();
  const removed: string[] = [];
  for (const [key, old] of before) {
    const chain = entries.get(key);
    if (chain === old) continue;
    if (old !== undefined) removed.push(key);
    if (chain !== undefined) added.set(key, chain);
  }
  return added.size + removed.length === 0 ? [] : [{ table, name, key: kind, added, removed }];
}

const snapshot = (map: DispatchMap): DispatchMap => ({ ...map, entries: new Map(map.entries) });
