/** Reads what flannel's own manifests and chart make: ConfigMap kube-flannel-cfg and DaemonSet kube-flannel-ds, in any namespace. */
import type { ConfigMap, Node } from '../api/core.js';
import { kinds, resourcePath } from '../api/kinds.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { UserError } from '../errors.js';
import type { FlannelResources } from './flannel-plan.js';

type Asks = Pick<KubernetesClient, 'request'>;

interface List<T> {
  readonly items?: readonly T[];
}

interface DaemonSet {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: {
    readonly template?: {
      readonly spec?: {
        readonly containers?: readonly { readonly command?: readonly string[]; readonly args?: readonly string[] }[];
      };
    };
  };
}

const CONFIGURATION = 'kube-flannel-cfg';
const DAEMON_SET = /^kube-flannel-ds(-\w+)?$/;

/** @throws UserError when there is no flannel */
export async function readFlannel(client: Asks): Promise<FlannelResources> {
  const byName = `${resourcePath(kinds.configMaps)}?fieldSelector=${encodeURIComponent(`metadata.name=${CONFIGURATION}`)}`;
  const { items: maps = [] } = await client.request<List<ConfigMap>>('GET', byName);
  const configuration = maps[0]?.data?.['net-conf.json'];
  if (configuration === undefined)
    throw new UserError(
      `Cannot find flannel: expected a ConfigMap ${CONFIGURATION} with net-conf.json, in any namespace`,
    );
  const { items: daemonSets = [] } = await client.request<List<DaemonSet>>('GET', '/apis/apps/v1/daemonsets');
  const containers = daemonSets
    .filter(({ metadata }) => DAEMON_SET.test(metadata.name))
    .flatMap(({ spec }) => spec?.template?.spec?.containers ?? []);
  const { items: nodes = [] } = await client.request<List<Node>>('GET', resourcePath(kinds.nodes));
  return { configuration, args: containers.flatMap(({ command = [], args = [] }) => [...command, ...args]), nodes };
}
