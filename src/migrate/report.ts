/** `tortie migrate`: the plan in words, or as manifests. */
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf, UserError } from '../errors.js';
import { nameOf, writeManifests, type Manifest } from '../install/manifest.js';
import { userText } from '../user-text.js';
import { planCalico, type CalicoPlan } from './calico-plan.js';
import { planFlannel, type FlannelPlan } from './flannel-plan.js';
import { readCalico } from './read-calico.js';
import { readFlannel } from './read-flannel.js';

export interface MigrateFlags {
  readonly kubeconfig?: string;
  readonly print?: boolean;
}

/** @throws UserError when the cluster does not answer */
export async function migrateCalicoText(flags: MigrateFlags): Promise<string> {
  const plan = await read(flags, "Calico's resources", async (client) => planCalico(await readCalico(client)));
  return flags.print === true
    ? printed(wordsOf(plan), [...plan.objects.map(({ manifest }) => manifest), ...plan.blocks])
    : wordsOf(plan);
}

/** @throws UserError when the cluster does not answer, or has no flannel */
export async function migrateFlannelText(flags: MigrateFlags): Promise<string> {
  const plan = await read(flags, "flannel's configuration", async (client) => planFlannel(await readFlannel(client)));
  return flags.print === true ? printed(flannelWords(plan), [...plan.pools, ...plan.blocks]) : flannelWords(plan);
}

async function read<T>(flags: MigrateFlags, what: string, work: (client: KubernetesClient) => Promise<T>): Promise<T> {
  const client = KubernetesClient.load(flags.kubeconfig ?? process.env['KUBECONFIG']);
  try {
    return await work(client);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`Cannot read ${what} at ${client.url}: ${messageOf(error)}`, 1, { cause: error });
  }
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

/** For people: what acts, what does not. */
export function wordsOf({ objects, blocks, left }: CalicoPlan): string {
  const unwell = objects.filter(({ problems }) => problems.length > 0);
  return lines([
    `${objects.length} objects of projectcalico.org: ${objects.length - unwell.length} act as a whole, ${unwell.length} not`,
    ...unwell.flatMap(({ manifest, problems }) => [
      `  ${userText(nameOf(manifest))}`,
      ...problems.map((problem) => `    ${userText(problem)}`),
    ]),
    `${blocks.length} blocks keep their nodes`,
    ...(left.length === 0 ? [] : ['left out:', ...left.map((sentence) => `  ${userText(sentence)}`)]),
  ]);
}

export const flannelWords = ({ pools, blocks, meanwhile, left }: FlannelPlan): string =>
  lines([
    ...pools.map((pool) => `${userText(nameOf(pool))}: ${userText(JSON.stringify(pool['spec']))}`),
    `${blocks.length} blocks: each node keeps its podCIDR`,
    'while both run:',
    ...meanwhile.map((sentence) => `  ${userText(sentence)}`),
    ...(left.length === 0 ? [] : ['left out:', ...left.map((sentence) => `  ${userText(sentence)}`)]),
    'peers and the AS number are yours to say: `tortie install --print --peer ...` takes the pools that are there',
  ]);

/** For kubectl: what does not act is said above. */
function printed(words: string, manifests: readonly Manifest[]): string {
  const remarks = words.trimEnd().split('\n');
  return `${lines(remarks.map((line) => `# ${line}`))}${writeManifests(manifests)}`;
}
