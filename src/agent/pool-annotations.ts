/** Which pools a pod asks for: Calico's annotations, JSON lists of pool names or CIDRs. */
import type { Family } from 'node-bgp/address';
import type { Pod } from '../api/core.js';

const POOL_ANNOTATIONS: readonly (readonly [Family, string])[] = [
  [4, 'cni.projectcalico.org/ipv4pools'],
  [6, 'cni.projectcalico.org/ipv6pools'],
];

/** @throws Error that names the annotation and its value */
export function poolsAskedFor(pod: Pod): ReadonlyMap<Family, readonly string[]> {
  const pools = new Map<Family, readonly string[]>();
  for (const [family, annotation] of POOL_ANNOTATIONS) {
    const text = pod.metadata.annotations?.[annotation];
    if (text !== undefined) pools.set(family, parseNames(text, annotation));
  }
  return pools;
}

function parseNames(text: string, annotation: string): readonly string[] {
  const wrong = new Error(
    `Cannot read annotation ${annotation}: it is ${JSON.stringify(text)}; ` +
      'expected a JSON list of pool names such as ["blue"]',
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong;
  }
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) throw wrong;
  return value as string[];
}
