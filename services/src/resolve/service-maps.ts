/** The dispatch maps, entry by entry, and which of them changed since the last drain. */
import type { Family } from 'node-bgp/address';
import { chainKey, type DispatchMap } from '@tortie/policy/ruleset';
import { MAP_ROLES, mapName, MAPS, type MapRole } from '../compile/names.js';

interface HeldMap extends DispatchMap {
  readonly entries: Map<string, string>;
}

export class ServiceMaps {
  private readonly maps = new Map<string, HeldMap>();
  private readonly changed = new Set<HeldMap>();

  constructor() {
    for (const role of MAP_ROLES)
      for (const family of [4, 6] as const) {
        const { table, key } = MAPS[role];
        const map: HeldMap = {
          table,
          name: mapName(role, family),
          key,
          family,
          entries: new Map(),
          otherwise: 'return',
        };
        this.maps.set(`${role} ${family}`, map);
        this.changed.add(map);
      }
  }

  set(role: MapRole, family: Family, key: string, chain: string | undefined): void {
    const map = this.map(role, family);
    if (map.entries.get(key) === chain) return;
    if (chain === undefined) map.entries.delete(key);
    else map.entries.set(key, chain);
    this.changed.add(map);
  }

  isEmpty(...roles: readonly MapRole[]): boolean {
    return roles.every((role) => ([4, 6] as const).every((family) => this.map(role, family).entries.size === 0));
  }

  all(): ReadonlyMap<string, DispatchMap> {
    return new Map([...this.maps.values()].map((map) => [chainKey(map), snapshot(map)]));
  }

  drain(): readonly DispatchMap[] {
    const upserted = [...this.changed].map(snapshot);
    this.changed.clear();
    return upserted;
  }

  private map(role: MapRole, family: Family): HeldMap {
    const map = this.maps.get(`${role} ${family}`);
    if (map === undefined) throw new Error(`No map of role ${role} and family ${family}`);
    return map;
  }
}

const snapshot = (map: HeldMap): DispatchMap => ({ ...map, entries: new Map(map.entries) });
