/** The chapter on policy: kubectl apply changes what the kernel forwards, and nothing else. */
import { renderMatrix, type Cell, type Matrix } from '../reachability.js';
import { checkAllAnswer } from './routing.js';
import type { LabView } from './lab-view.js';
import { ClaimFailed, eventually, type Narrator } from './narrator.js';

const ENFORCED_WITHIN = 10_000;

const POLICIES = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web-from-cart-only, namespace: shop }
spec:
  podSelector: { matchLabels: { app: web } }
  policyTypes: [Ingress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: cart } } }]
      ports: [{ protocol: TCP, port: http }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: guest-stays-inside, namespace: lobby }
spec:
  podSelector: { matchLabels: { app: guest } }
  policyTypes: [Egress]
  egress:
    - to: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: shop } } }]
`;

export async function tellPolicy(view: LabView, narrator: Narrator): Promise<void> {
  narrator.heading('kubectl apply of a NetworkPolicy changes what the kernel forwards');
  narrator.note(
    'Two policies: shop/web takes TCP "http" from pods labelled app=cart only; lobby/guest may talk to namespace shop only.',
  );
  narrator.show('kubectl apply -f -', await view.kubectl(['apply', '-f', '-'], POLICIES));
  const nodeOf = new Map((await view.status()).pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.node]));
  let matrix = await view.matrix();
  await narrator.claim('exactly the forbidden pairs went silent, in both families', () =>
    eventually(ENFORCED_WITHIN, async () => {
      matrix = await view.matrix();
      return checkAgainst(matrix, (cell) => isAllowed(cell, nodeOf));
    }),
  );
  narrator.show('tortie lab probe', renderMatrix(matrix));
  narrator.show('kubectl delete -f -', await view.kubectl(['delete', '-f', '-'], POLICIES));
  await narrator.claim('without the policies everything answers again', () =>
    eventually(ENFORCED_WITHIN, async () => checkAllAnswer(await view.matrix())),
  );
}

/** The two policies in words, independent of any engine: own node and own pod always reach a pod. */
function isAllowed({ from, to }: Cell, nodeOf: ReadonlyMap<string, string>): boolean {
  if (from === to || nodeOf.get(to) === from) return true;
  if (to === 'shop/web' && from !== 'shop/cart') return false;
  return from !== 'lobby/guest' || to.startsWith('shop/');
}

async function checkAgainst(matrix: Matrix, isWanted: (cell: Cell) => boolean): Promise<string> {
  const wrong = matrix.cells.filter(
    (cell) => (cell.verdict === 'allow') !== isWanted(cell) || (cell.verdict !== 'allow' && cell.verdict !== 'drop'),
  );
  if (wrong.length > 0)
    throw new ClaimFailed(
      `${wrong.length} of ${matrix.cells.length} are not as the policies say: ${wrong
        .slice(0, 6)
        .map((cell) => `${cell.from} -> ${cell.to} IPv${cell.family} ${cell.verdict}`)
        .join(', ')}`,
    );
  const silent = matrix.cells.filter((cell) => cell.verdict === 'drop').length;
  return `${silent} pairs went silent, ${matrix.cells.length - silent} still answer, none differs from what the two policies say`;
}
