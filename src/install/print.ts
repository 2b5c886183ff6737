/** `tortie install --print`: everything that makes a cluster run Tortie, as one YAML document stream, with what it was concluded from. */
import { formatPrefix } from 'node-bgp/address';
import { fileURLToPath } from 'node:url';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf, UserError } from '../errors.js';
import { userText } from '../user-text.js';
import { lookAtCluster, type ClusterFacts } from './cluster-look.js';
import { forKubernetes, minorVersion } from './for-version.js';
import { loadKustomization } from './kustomization.js';
import { writeManifests, type Manifest } from './manifest.js';
import { objectsOf, parseApiServer, parseAsNumber, parsePodCidr, parseRouterPeer } from './settings.js';

export interface InstallFlags {
  readonly print?: boolean;
  /** A folder for the Helm chart. */
  readonly chart?: string;
  readonly kubeconfig?: string;
  readonly podCidr?: readonly string[];
  readonly asNumber: string;
  readonly peer?: readonly string[];
  readonly image?: string;
  readonly apiServer?: string;
  /** Of a cluster that is not asked. */
  readonly kubernetes?: string;
}

/** The oldest that manifests/ is held against. */
const OLDEST_MINOR = 21;
export const BASE = fileURLToPath(new URL('../../../manifests/base', import.meta.url));

/** The whole text. @throws UserError */
export async function installText(flags: InstallFlags): Promise<string> {
  if (flags.print !== true)
    throw new UserError(
      'Cannot install: expected --print, whose output is for `kubectl apply --server-side -f -`, or --chart DIR',
      2,
    );
  const facts = flags.kubernetes === undefined ? await ask(flags.kubeconfig) : factsOf(flags.kubernetes);
  const minor = minorVersion(facts.version);
  if (minor === undefined || minor < OLDEST_MINOR)
    throw new UserError(`Cannot install on Kubernetes "${facts.version}": expected 1.${OLDEST_MINOR} or newer`);
  const hasPools = facts.pools.length > 0 && flags.podCidr === undefined;
  const cidrs = hasPools ? [] : (flags.podCidr ?? facts.podCidrs);
  if (cidrs.length === 0 && !hasPools)
    throw new UserError(
      'Cannot make a pool: nothing here says which addresses pods have; expected --pod-cidr CIDR, once a family',
    );
  const podCidrs = cidrs.map(parsePodCidr);
  const settings = {
    podCidrs,
    asNumber: parseAsNumber(flags.asNumber, '--as-number'),
    peers: (flags.peer ?? []).map(parseRouterPeer),
    ...(flags.apiServer === undefined ? {} : { apiServer: parseApiServer(flags.apiServer) }),
  };
  const base = forKubernetes(loadKustomization(BASE), minor).map((object) => withImage(object, flags.image));
  const remarks = [
    `Kubernetes ${facts.version}`,
    hasPools ? `pools: ${facts.pools.join(', ')}, which are there` : `pods: ${podCidrs.map(formatPrefix).join(', ')}`,
    settings.peers.length === 0
      ? `all nodes peer with one another, AS ${settings.asNumber}`
      : `all nodes peer with ${settings.peers.map(({ address, asNumber }) => `${address} (AS ${asNumber})`).join(', ')}`,
    ...warningsOf(facts, flags),
  ];
  return `${remarks.map((line) => `# ${userText(line)}`).join('\n')}\n${writeManifests([...base, ...objectsOf(settings)])}`;
}

function warningsOf(facts: ClusterFacts, flags: InstallFlags): readonly string[] {
  const isAsked = flags.kubernetes === undefined;
  return [
    ...(facts.networks.length === 0
      ? []
      : [`ATTENTION: ${facts.networks.join(', ')} gives this cluster its network; two at once do not work`]),
    ...(isAsked && !facts.hasKubeProxy && flags.apiServer === undefined
      ? ['ATTENTION: no DaemonSet kube-proxy; where nothing else serves Services, agents need --api-server HOST:PORT']
      : []),
  ];
}

const factsOf = (version: string): ClusterFacts => ({
  version,
  podCidrs: [],
  pools: [],
  hasKubeProxy: true,
  networks: [],
});

async function ask(kubeconfig: string | undefined): Promise<ClusterFacts> {
  const client = KubernetesClient.load(kubeconfig ?? process.env['KUBECONFIG']);
  try {
    return await lookAtCluster(client);
  } catch (error) {
    throw new UserError(`Cannot look at the cluster at ${client.url}: ${messageOf(error)}`, 1, { cause: error });
  }
}

/** Every container of ours with another image. */
function withImage(object: Manifest, image: string | undefined): Manifest {
  if (image === undefined || (object.kind !== 'DaemonSet' && object.kind !== 'Deployment')) return object;
  return JSON.parse(JSON.stringify(object), (key, value: unknown) => (key === 'image' ? image : value)) as Manifest;
}
