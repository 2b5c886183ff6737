/**
 * Which version of the CNI specification a node's container runtime speaks, from what the kubelet says of it in
 * `status.nodeInfo.containerRuntimeVersion`: "containerd://1.7.22". A runtime given a newer conflist starts no pod at all ("unsupported CNI
 * result version"), one given an older leaves STATUS and GC out; so what is not known to speak 1.1.0 gets 1.0.0.
 */
import type { CniVersion } from './version.js';

/** First release with a libcni that speaks 1.1.0, major and minor. */
const SPEAK_1_1: Readonly<Record<string, readonly [number, number]>> = { containerd: [2, 0], 'cri-o': [1, 32] };

export function runtimeCniVersion(containerRuntimeVersion: string | undefined): CniVersion {
  const match = /^([a-z-]+):\/\/v?(\d+)\.(\d+)/.exec(containerRuntimeVersion ?? '');
  const since = SPEAK_1_1[match?.[1] ?? ''];
  if (match === null || since === undefined) return '1.0.0';
  const [major, minor] = [Number(match[2]), Number(match[3])];
  return major > since[0] || (major === since[0] && minor >= since[1]) ? '1.1.0' : '1.0.0';
}
