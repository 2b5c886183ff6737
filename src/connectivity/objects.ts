/** The objects that a connectivity test makes, all in one namespace of its own. Pure. */
import type { Container, Namespace, Pod, Service } from '../api/core.js';
import type { NetworkPolicy } from '../api/networking.js';
import { SERVER_PORT, type ClientKind, type Server, type Target } from './targets.js';

export const LABEL = 'app.kubernetes.io/managed-by';
export const LABEL_VALUE = 'tortie-connectivity';
export const SERVICE_PORT = 80;
const ROLE = 'tortie.dev/role';

export const namespaceObject = (name: string): Namespace => ({
  metadata: {
    name,
    // A pod on the host's network is none that a restricted namespace takes.
    labels: { [LABEL]: LABEL_VALUE, 'pod-security.kubernetes.io/enforce': 'privileged' },
  },
});

export interface Place {
  readonly namespace: string;
  readonly image: string;
}

export const serverPod = (place: Place, kind: Server['kind'], node: string, index: number): Pod =>
  pod(place, `${kind}-${index}`, kind, node, {
    name: 'server',
    image: place.image,
    args: ['connectivity', 'serve', '--name', `${place.namespace}/${kind}-${index}`, '--port', String(SERVER_PORT)],
    ports: [{ containerPort: SERVER_PORT }],
  });

export function clientPod(
  place: Place,
  {
    kind,
    node,
    index,
    targets,
  }: { readonly kind: ClientKind; readonly node: string; readonly index: number; readonly targets: readonly Target[] },
): Pod {
  const made = pod(place, `${kind}-${index}`, kind, node, {
    name: 'client',
    image: place.image,
    args: ['connectivity', 'probe', '--targets', JSON.stringify(targets)],
  });
  return kind === 'node' ? { ...made, spec: { ...made.spec, hostNetwork: true } } : made;
}

/** Bound by hand: what is tested is the network of that node, whatever taints and schedulers think. */
function pod({ namespace }: Place, name: string, role: string, node: string, container: Container): Pod {
  const isServer = role === 'open' || role === 'closed';
  return {
    metadata: { name, namespace, labels: { [LABEL]: LABEL_VALUE, [ROLE]: role } },
    spec: {
      nodeName: node,
      restartPolicy: isServer ? 'Always' : 'Never',
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: 'Exists' }],
      automountServiceAccountToken: false,
      containers: [
        {
          ...container,
          imagePullPolicy: 'IfNotPresent',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            runAsNonRoot: true,
            runAsUser: 65534,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
        },
      ],
    },
  };
}

export const serviceObject = ({ namespace }: Place): Service => ({
  metadata: { name: 'open', namespace, labels: { [LABEL]: LABEL_VALUE } },
  spec: {
    selector: { [ROLE]: 'open' },
    ipFamilyPolicy: 'PreferDualStack',
    ports: [{ port: SERVICE_PORT, targetPort: SERVER_PORT }],
  },
});

export const policyObject = ({ namespace }: Place): NetworkPolicy => ({
  metadata: { name: 'closed', namespace, labels: { [LABEL]: LABEL_VALUE } },
  spec: {
    podSelector: { matchLabels: { [ROLE]: 'closed' } },
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ podSelector: { matchLabels: { [ROLE]: 'friend' } } }] }],
  },
});
