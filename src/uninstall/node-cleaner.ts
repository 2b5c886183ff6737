/**
 * The DaemonSet that takes Tortie off every node while a cluster is uninstalled: made of the one that put it there, so that it goes
 * to the same nodes, by the same image, to the folders that were really used. It lives for as long as the uninstallation. Pure.
 */
import type { Manifest } from '../install/manifest.js';

export const CLEANER = 'tortie-uninstall';
const NAME_LABEL = 'app.kubernetes.io/name';

interface HostVolume {
  readonly name: string;
  readonly hostPath?: { readonly path: string };
}

/** A DaemonSet as it stands in the API or in manifests, as far as it is read here. */
export interface NodeDaemonSet extends Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly nodeSelector?: object;
        readonly tolerations?: readonly object[];
        readonly affinity?: object;
        readonly imagePullSecrets?: readonly object[];
        readonly securityContext?: object;
        readonly priorityClassName?: string;
        readonly volumes: readonly HostVolume[];
        readonly containers: readonly {
          readonly name: string;
          readonly image: string;
          readonly imagePullPolicy?: string;
        }[];
      };
    };
  };
}

/** @param image instead of the one that runs */
export function cleanerOf(installed: NodeDaemonSet, image?: string): Manifest {
  const { spec } = installed.spec.template;
  const { nodeSelector, tolerations, affinity, imagePullSecrets, securityContext, priorityClassName } = spec;
  const [first] = spec.containers;
  const own = {
    image: image ?? first?.image,
    ...(first?.imagePullPolicy === undefined ? {} : { imagePullPolicy: first.imagePullPolicy }),
  };
  const labels = { [NAME_LABEL]: CLEANER, 'app.kubernetes.io/part-of': 'tortie' };
  const folders = foldersOf(spec.volumes);
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: CLEANER, namespace: installed.metadata.namespace ?? 'tortie-system', labels },
    spec: {
      selector: { matchLabels: { [NAME_LABEL]: CLEANER } },
      template: {
        metadata: { labels },
        spec: {
          ...given({ nodeSelector, tolerations, affinity, imagePullSecrets, securityContext, priorityClassName }),
          automountServiceAccountToken: false,
          hostNetwork: true,
          terminationGracePeriodSeconds: 1,
          initContainers: [
            {
              ...own,
              name: 'clean',
              args: ['uninstall', '--this-node', '--yes', ...folders.flatMap(({ flag, path }) => [flag, path])],
              securityContext: { ...HARDENED, capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] } },
              volumeMounts: [
                ...folders.map(({ volume, mountPath }) => ({ name: volume, mountPath })),
                { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
              ],
            },
          ],
          // Only to be seen as ready: this node is done.
          containers: [
            {
              ...own,
              name: 'done',
              command: ['/usr/bin/node', '-e', 'setInterval(() => undefined, 1e9)'],
              securityContext: { ...HARDENED, capabilities: { drop: ['ALL'] } },
            },
          ],
          volumes: [
            ...folders.map(({ volume, hostPath }) => ({ name: volume, hostPath: { path: hostPath } })),
            { name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } },
          ],
        },
      },
    },
  };
}

const HARDENED = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true };

interface CleanedFolder {
  readonly volume: string;
  readonly hostPath: string;
  readonly mountPath: string;
  readonly flag: string;
  readonly path: string;
}

/** A folder that is itself a mount cannot be removed: of our own ones the folder above is mounted. */
function foldersOf(volumes: readonly HostVolume[]): readonly CleanedFolder[] {
  const pathOf = (name: string, usual: string): string =>
    (volumes.find((volume) => volume.name === name)?.hostPath?.path ?? usual).replace(/\/+$/, '');
  const folder = (volume: string, flag: string, usual: string, isRemoved: boolean): CleanedFolder => {
    const path = pathOf(volume, usual);
    const hostPath = isRemoved ? path.slice(0, path.lastIndexOf('/')) || '/' : path;
    return { volume, flag, hostPath, mountPath: `/host${hostPath}`, path: `/host${path}` };
  };
  return [
    folder('cni-conf', '--cni-conf-dir', '/etc/cni/net.d', false),
    folder('cni-bin', '--cni-bin-dir', '/opt/cni/bin', false),
    folder('run', '--run-dir', '/run/tortie', true),
    folder('state', '--state-dir', '/var/lib/tortie', true),
    folder('etc', '--host-etc-dir', '/etc', false),
  ];
}

const given = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
