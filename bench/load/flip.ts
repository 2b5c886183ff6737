/** 20 label changes a second through the API, round and round over the measured flows, each opening or closing one. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../node/api-client.js';
import { FLIP_FLOWS, type FlipKind, podPath } from './cluster.js';
import { monotonicMicros } from './flow.js';
import type { Flip } from './latency.js';
import type { ConnectedPod } from './pods.js';

const CHANGES_PER_SECOND = 20;

export interface FlippedFlow {
  readonly kind: FlipKind;
  readonly client: ConnectedPod;
  readonly server: ConnectedPod;
  readonly flips: Flip[];
}

export function flippedFlows(pods: ReadonlyMap<string, ConnectedPod>): readonly FlippedFlow[] {
  return FLIP_FLOWS.flatMap(({ kind, number }) => {
    const [client, server] = [pods.get(`${kind}-client-${number}`), pods.get(`${kind}-server-${number}`)];
    return client === undefined || server === undefined ? [] : [{ kind, client, server, flips: [] }];
  });
}

/** Settles after so many changes, and the time that the last one has. */
export async function flip(api: ApiClient, flows: readonly FlippedFlow[], changes: number): Promise<void> {
  const writes: Promise<void>[] = [];
  const start = performance.now();
  for (let index = 0; index < changes; index++) {
    const flow = flows[index % flows.length];
    if (flow !== undefined) writes.push(flipOne(api, flow));
    await sleep(Math.max(0, start + ((index + 1) * 1000) / CHANGES_PER_SECOND - performance.now()));
  }
  await Promise.all(writes);
  await sleep((1000 * flows.length) / CHANGES_PER_SECOND);
}

async function flipOne(api: ApiClient, { kind, client, server, flips }: FlippedFlow): Promise<void> {
  const isAllowed = !(flips.at(-1)?.isAllowed ?? false);
  const [pod, labels] =
    kind === 'peer' ? [client, { access: isAllowed ? 'granted' : null }] : [server, { open: isAllowed ? 'yes' : null }];
  const sentAt = monotonicMicros();
  const place = flips.push({ isAllowed, sentAt, acknowledgedAt: NaN }) - 1;
  await api.patch(podPath(pod), { metadata: { labels } });
  flips[place] = { isAllowed, sentAt, acknowledgedAt: monotonicMicros() };
}
