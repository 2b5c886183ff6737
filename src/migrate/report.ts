/** `tortie migrate calico`: the plan in words, or as manifests. */
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf, UserError } from '../errors.js';
import { nameOf, writeManifests } from '../install/manifest.js';
import { userText } from '../user-text.js';
import { planCalico, type CalicoPlan } from './calico-plan.js';
import { readCalico } from './read-calico.js';

export interface MigrateFlags {
  readonly kubeconfig?: string;
  readonly print?: boolean;
}

/** @throws UserError when the cluster does not answer */
export async function migrateCalicoText(flags: MigrateFlags): Promise<string> {
  const client = KubernetesClient.load(flags.kubeconfig ?? process.env['KUBECONFIG']);
  let plan: CalicoPlan;
  try {
    plan = planCalico(await readCalico(client));
  } catch (error) {
    throw new UserError(`Cannot read Calico's resources at ${client.url}: ${messageOf(error)}`, 1, { cause: error });
  }
  return flags.print === true ? manifestsOf(plan) : wordsOf(plan);
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

/** For kubectl: objects, then blocks; what does not act is said above. */
function manifestsOf(plan: CalicoPlan): string {
  const remarks = wordsOf(plan).trimEnd().split('\n');
  const manifests = [...plan.objects.map(({ manifest }) => manifest), ...plan.blocks];
  return `${lines(remarks.map((line) => `# ${line}`))}${writeManifests(manifests)}`;
}
