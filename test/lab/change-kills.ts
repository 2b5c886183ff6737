/** A Change that ends one way or the other while agents are killed (-9): of it stands all or nothing, on every node. */
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { changeNamed, listOf, tortie } from './change-fixture.js';
import { soon } from './rack-fixture.js';

const LONGEST_LIFE = 12_000;
const MOST_KILLS = 3;
const API = 'projectcalico.org/v3';

export interface Round {
  readonly ending: 'confirm' | 'revert';
  readonly phase: string;
  readonly kills: readonly string[];
  /** What stands in half, in sentences. */
  readonly problems: readonly string[];
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Two peers of every node and the filter that both name: parts that cannot be told apart from half of them by their own failure. */
function objectsOf(index: number): { readonly objects: readonly object[]; readonly addresses: readonly string[] } {
  const addresses = [`192.0.2.${(index % 120) + 1}`, `192.0.2.${(index % 120) + 121}`];
  const filter = {
    apiVersion: API,
    kind: 'BGPFilter',
    metadata: { name: `kill-${index}` },
    spec: { exportV4: [{ action: 'Reject' }] },
  };
  const peers = addresses.map((peerIP, at) => ({
    apiVersion: API,
    kind: 'BGPPeer',
    metadata: { name: `kill-${index}-${at}` },
    spec: { nodeSelector: 'all()', peerIP, asNumber: 65009, filters: [`kill-${index}`] },
  }));
  return { objects: [filter, ...peers], addresses };
}

export async function killRound(view: LabView, index: number, random: () => number): Promise<Round> {
  const nodes = view.rack.nodes.map(({ name }) => name);
  const name = `kill-${index}`;
  const { objects, addresses } = objectsOf(index);
  const ending = random() < 0.5 ? 'confirm' : 'revert';
  const begun = await tortie(
    view,
    ['apply', '--name', name, '--confirm', '60s', '--canary', nodes[1] ?? '', '--no-wait', '-f', '-'],
    listOf(objects),
  );
  if (begun.status !== 0) throw new Error(`Cannot begin: ${begun.stderr}`);
  const kills = Array.from({ length: 1 + Math.floor(random() * MOST_KILLS) }, () => ({
    node: nodes[Math.floor(random() * nodes.length)] ?? '',
    at: random() * LONGEST_LIFE,
  }));
  await Promise.all([
    ...kills.map(async ({ node, at }) => {
      await pause(at);
      await view.process({ name: `${node} agent`, action: 'kill' });
    }),
    (async () => {
      await pause(random() * LONGEST_LIFE);
      await soon('the end to be taken', async () => {
        const argv = ending === 'confirm' ? ['confirm', '--force', name] : ['change', 'revert', '--no-wait', name];
        const { status } = await tortie(view, argv);
        return status === 0 || (await isOver(view, name));
      });
    })(),
  ]);
  await soon('the Change to be over', () => isOver(view, name));
  const phase = (await changeNamed(view, name)).status?.phase ?? '';
  const wanted = phase === 'Confirmed' ? addresses : [];
  const problems: string[] = [];
  for (const node of nodes)
    await soon(`${node} to have ${wanted.length === 0 ? 'nothing' : 'all'} of it`, async () =>
      same(await heldBy(view, node, addresses), wanted),
    ).catch(async () =>
      problems.push(`${node} has ${(await heldBy(view, node, addresses)).join(' and ') || 'nothing'}; it was ${phase}`),
    );
  const plain = await view.kubectl(['get', 'bgppeers,bgpfilters', '-o', 'name']);
  const written = plain.split('\n').filter((each) => new RegExp(`/${name}(-|$)`).test(each)).length;
  if (written !== (phase === 'Confirmed' ? objects.length : 0))
    problems.push(`${written} objects were written; it was ${phase}`);
  await view.kubectl(['delete', '--ignore-not-found', '-f', '-'], listOf(objects));
  return { ending, phase, kills: kills.map(({ node, at }) => `${node} at ${Math.round(at)} ms`), problems };
}

async function isOver(view: LabView, name: string): Promise<boolean> {
  const { status } = await changeNamed(view, name);
  return status?.phase === 'Confirmed' || status?.phase === 'Reverted';
}

/** Which of the two peers the speaker has. */
async function heldBy(view: LabView, node: string, addresses: readonly string[]): Promise<readonly string[]> {
  const text = await view.output(node, 'tortie', 'bgp', 'summary', '-o', 'json');
  const { peers } = JSON.parse(text) as { readonly peers: readonly { readonly address: string }[] };
  return addresses.filter((address) => peers.some((peer) => peer.address === address));
}

const same = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join();
