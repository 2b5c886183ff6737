/** Whose Services are they: Tortie's, or kube-proxy's? Pure. */

export const SERVICE_SETTINGS = ['auto', 'on', 'off'] as const;
export type ServiceSetting = (typeof SERVICE_SETTINGS)[number];

/** What was seen of a kube-proxy on this node. */
export interface KubeProxySigns {
  /** Its rules, for people: "chain KUBE-SERVICES stands in ..."; undefined when there are none. */
  readonly rules: string | undefined;
  /** Somebody else than we answers on its health port. */
  readonly answersHealth: boolean;
}

export interface ServingChoice {
  readonly serves: boolean;
  /** For people, the end of "Services are (not) served: ...". */
  readonly reason: string;
}

export function chooseServing(setting: ServiceSetting, signs: KubeProxySigns): ServingChoice {
  if (setting === 'off') return { serves: false, reason: 'they are turned off (--services off)' };
  if (setting === 'on')
    return {
      serves: true,
      reason:
        signs.rules === undefined
          ? 'they are turned on (--services on)'
          : `they are turned on (--services on), though kube-proxy's rules are there too: ${signs.rules}`,
    };
  if (signs.answersHealth) return { serves: false, reason: 'kube-proxy answers on its health port of this node' };
  if (signs.rules !== undefined)
    return { serves: false, reason: `kube-proxy's rules are there: ${signs.rules}; kube-proxy --cleanup removes them` };
  return { serves: true, reason: 'no kube-proxy is on this node' };
}
