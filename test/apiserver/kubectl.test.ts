/** The conformance table: what people do with kubectl, run by real kubectl programs, old and current, against one server each. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { ApiClient, eventually } from './api-client.js';
import { Kubectl, oldKubectl, versionOf, type KubectlResult } from './kubectl-run.js';

const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));

const POD = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: main
    image: busybox:1
    ports: [{containerPort: 80, name: http}, {containerPort: 53, protocol: UDP}]
    env: [{name: A, value: one}, {name: B, value: two}]
`;

const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
`;

const POOL = (nat: boolean): string => `
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pods}
spec: {cidr: 10.65.0.0/16, blockSize: 26, natOutgoing: ${nat}}
`;

const SERVICE = (ports: string): string => `
apiVersion: v1
kind: Service
metadata: {name: two}
spec: {selector: {app: web}, ports: ${ports}}
`;

interface Step {
  readonly name: string;
  readonly args: string;
  readonly input?: string;
  /** Expected in standard output (with code 0), or in standard error (with `fails`). */
  readonly expect?: RegExp;
  readonly not?: RegExp;
  readonly fails?: true;
  /** First minor version that can do it. */
  readonly since?: number;
}

const steps: readonly Step[] = [
  {
    name: 'version shows the server',
    args: 'version -o json',
    expect: /"serverVersion"[\s\S]*"v1\.32\.0-tortie\.lab"/,
  },
  {
    name: 'api-resources lists kinds',
    args: 'api-resources',
    expect: /networkpolicies\s+netpol\s+networking\.k8s\.io\/v1\s+true\s+NetworkPolicy/,
  },
  { name: 'api-versions lists groups', args: 'api-versions', expect: /discovery\.k8s\.io\/v1/ },
  { name: 'create namespace', args: 'create namespace blue', expect: /namespace\/blue created/ },
  {
    name: 'a namespace has its name as label',
    args: 'get ns blue --show-labels',
    expect: /kubernetes\.io\/metadata\.name=blue/,
  },
  {
    name: 'and gets it back when somebody takes it off',
    args: 'label ns blue kubernetes.io/metadata.name- team=x',
    expect: /blue/,
  },
  {
    name: 'label restored',
    args: 'get ns blue -o jsonpath={.metadata.labels}',
    expect: /"kubernetes\.io\/metadata\.name":"blue"/,
  },
  { name: 'namespaces have a default service account', args: 'get sa default -n blue', expect: /default/ },
  {
    name: 'create twice is refused',
    args: 'create namespace blue',
    fails: true,
    expect: /namespaces "blue" already exists/,
  },

  { name: 'apply creates', args: 'apply -f -', input: POD, expect: /pod\/web created/ },
  { name: 'apply again changes nothing', args: 'apply -f -', input: POD, expect: /pod\/web unchanged/ },
  {
    name: 'the environment of a running pod cannot change',
    args: 'apply -f -',
    input: POD.replace(', {name: B, value: two}', '')
      .replace('busybox:1', 'busybox:2')
      .replace(/env: .*\n/, ''),
    fails: true,
    expect: /pod updates may not change fields/,
  },
  {
    name: 'apply changes an image',
    args: 'apply -f -',
    input: POD.replace('busybox:1', 'busybox:2'),
    expect: /pod\/web configured/,
  },
  {
    name: 'get shows columns',
    args: 'get pods',
    expect: /NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\nweb\s+0\/1\s+Pending\s+0\s+\d+s/,
  },
  {
    name: 'get -o wide shows more',
    args: 'get pods -o wide',
    expect: /NOMINATED NODE\s+READINESS GATES\nweb .*<none>/,
  },
  {
    name: 'get -o yaml is defaulted',
    args: 'get pod web -o yaml',
    expect: /restartPolicy: Always[\s\S]*phase: Pending/,
  },
  { name: 'get by label', args: 'get pods -l app=web -o name', expect: /^pod\/web$/m },
  { name: 'get by set expression', args: 'get pods -l app\\ in\\ (web,api),!old -o name', expect: /^pod\/web$/m },
  { name: 'get by field', args: 'get pods --field-selector status.phase=Running -o name', expect: /^$/ },
  { name: 'get what is not there', args: 'get pod nobody', fails: true, expect: /pods "nobody" not found/ },
  { name: 'get all', args: 'get all', expect: /pod\/web/ },
  {
    name: 'describe',
    args: 'describe pod web',
    expect: /Name:\s+web[\s\S]*Ports:\s+80\/TCP, 53\/UDP[\s\S]*Events:\s+<none>/,
  },
  { name: 'label', args: 'label pod web tier=front', expect: /pod\/web labeled/ },
  { name: 'label refuses to overwrite', args: 'label pod web tier=back', fails: true, expect: /already has a value/ },
  { name: 'annotate', args: 'annotate pod web note=hello', expect: /pod\/web annotated/ },
  {
    name: 'a bad label is refused',
    args: 'patch pod web --type=merge -p {"metadata":{"labels":{"x":"a_b-"}}}',
    fails: true,
    expect: /metadata\.labels: Invalid value: "a_b-": a valid label must be/,
  },
  {
    name: 'strategic merge patch',
    args: 'patch pod web -p {"spec":{"containers":[{"name":"main","image":"busybox:3"}]}}',
    expect: /pod\/web patched/,
  },
  {
    name: 'strategic merge kept the ports',
    args: 'get pod web -o jsonpath={.spec.containers[0].image}{.spec.containers[0].ports[*].containerPort}',
    expect: /^busybox:380 53$/,
  },
  {
    name: 'merge patch',
    args: 'patch pod web --type=merge -p {"metadata":{"labels":{"tier":null}}}',
    expect: /patched/,
  },
  {
    name: 'JSON patch',
    args: 'patch pod web --type=json -p [{"op":"add","path":"/metadata/labels/zone","value":"a"}]',
    expect: /patched/,
  },
  {
    name: 'JSON patch whose test fails',
    args: 'patch pod web --type=json -p [{"op":"test","path":"/metadata/labels/zone","value":"b"}]',
    fails: true,
    expect: /[Ii]nvalid/,
  },
  {
    name: 'labels after the patches',
    args: 'get pod web -o jsonpath={.metadata.labels}',
    expect: /^\{"app":"web","zone":"a"\}$/,
  },
  { name: 'edit without a change', args: 'edit pod web' },
  {
    name: 'dry run on the server',
    args: 'apply --dry-run=server -f -',
    input: POD.replace('name: web', 'name: ghost'),
    expect: /pod\/ghost created \(server dry run\)/,
  },
  { name: 'and nothing was stored', args: 'get pod ghost', fails: true, expect: /not found/ },
  {
    name: 'diff shows what apply would do',
    args: 'diff -f -',
    input: POD.replace('busybox:1', 'busybox:9'),
    fails: true,
    expect: /\+\s+image: busybox:9/,
  },
  {
    name: 'an unknown field is refused',
    args: 'apply -f -',
    input: POD.replace('image:', 'imagee: x\n    image:'),
    fails: true,
    expect: /unknown field/,
  },
  {
    name: 'a wrong type is refused',
    args: 'create --validate=false -f -',
    input: POD.replace('containerPort: 80', 'containerPort: eighty').replace('name: web', 'name: wrong'),
    fails: true,
    expect: /cannot unmarshal string into field spec\.containers\[0\]\.ports\[0\]\.containerPort/,
  },
  {
    name: 'a bad object is refused with all its faults',
    args: 'create --validate=false -f -',
    input: 'apiVersion: v1\nkind: Pod\nmetadata: {name: Bad}\nspec: {containers: [{name: A}]}',
    fails: true,
    expect:
      /metadata\.name: Invalid value: "Bad"[\s\S]*spec\.containers\[0\]\.name[\s\S]*spec\.containers\[0\]\.image: Required value/,
  },
  { name: 'run', args: 'run tmp --image=busybox:1 --restart=Never', expect: /pod\/tmp created/ },
  {
    name: 'create with generateName',
    args: 'create -f -',
    input: POD.replace('name: web', 'generateName: gen-'),
    expect: /pod\/gen-[a-z0-9]{5} created/,
  },
  {
    name: 'create a deployment',
    args: 'create deployment shop --image=shop:1 --replicas=0',
    expect: /deployment\.apps\/shop created/,
  },
  {
    name: 'a zero that was meant stays',
    args: 'get deployment shop -o jsonpath={.spec.replicas}{.spec.template.spec.containers[0].image}',
    expect: /^0shop:1$/,
  },
  { name: 'create a service', args: 'create service clusterip web --tcp=80:8080', expect: /service\/web created/ },
  {
    name: 'apply a service with two ports',
    args: 'apply -f -',
    input: SERVICE('[{name: a, port: 80}, {name: b, port: 81}]'),
    expect: /service\/two created/,
  },
  {
    name: 'apply it without one: the list item goes',
    args: 'apply -f -',
    input: SERVICE('[{name: b, port: 81}]'),
    expect: /service\/two configured/,
  },
  { name: 'and only that one', args: 'get service two -o jsonpath={.spec.ports[*].name}', expect: /^b$/ },
  {
    name: 'create a config map',
    args: 'create configmap settings --from-literal=a=1',
    expect: /configmap\/settings created/,
  },
  {
    name: 'create a secret',
    args: 'create secret generic token --from-literal=key=sesame',
    expect: /secret\/token created/,
  },
  {
    name: 'explain',
    args: 'explain networkpolicy.spec.podSelector',
    expect: /empty selects all pods of the namespace/,
  },
  { name: 'auth can-i', args: 'auth can-i create pods', expect: /^yes/m },

  {
    name: 'apply a policy',
    args: 'apply -f -',
    input: POLICY,
    expect: /networkpolicy\.networking\.k8s\.io\/deny created/,
  },
  { name: 'its columns', args: 'get netpol', expect: /NAME\s+POD-SELECTOR\s+AGE\ndeny\s+app=web/ },
  {
    name: 'describe a policy',
    args: 'describe netpol deny',
    expect: /PodSelector:\s+app=web[\s\S]*Policy Types: Ingress/,
  },
  {
    name: 'upstream validation of policies',
    args: 'apply -f -',
    input: POLICY.replace(
      'policyTypes: [Ingress]',
      'ingress: [{ports: [{endPort: 9}], from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]',
    ),
    fails: true,
    expect:
      /spec\.ingress\[0\]\.ports\[0\]\.endPort: Invalid value: 9[\s\S]*ipBlock\.cidr: Invalid value: "10\.0\.0\.0\/33"/,
  },

  {
    name: 'apply custom resource definitions',
    args: `apply -f ${CRDS}`,
    expect: /ippools\.projectcalico\.org created/,
  },
  { name: 'apply them again', args: `apply -f ${CRDS}`, not: /created|configured/, expect: /unchanged/ },
  {
    name: 'wait for one',
    args: 'wait --for=condition=Established crd/ippools.projectcalico.org --timeout=10s',
    expect: /condition met/,
  },
  {
    name: 'apply a custom resource',
    args: 'apply -f -',
    input: POOL(true),
    expect: /ippool\.projectcalico\.org\/pods created/,
  },
  {
    name: 'its printer columns',
    args: 'get ippools',
    expect: /NAME\s+CIDR\s+BLOCK\s+NAT\s+DISABLED\s+ACCEPTED\s+AGE\npods\s+10\.65\.0\.0\/16\s+26\s+true/,
  },
  { name: 'change it', args: 'apply -f -', input: POOL(false), expect: /configured/ },
  {
    name: 'the schema is enforced',
    args: 'patch ippool pods --type=merge -p {"spec":{"blockSize":999}}',
    fails: true,
    expect: /spec\.blockSize in body should be less than or equal to 128/,
  },
  {
    name: 'so are its rules',
    args: 'patch ippool pods --type=merge -p {"spec":{"cidr":"10.66.0.0/16"}}',
    fails: true,
    expect: /cidr cannot be changed/,
  },
  {
    name: 'no strategic merge for custom resources',
    args: 'patch ippool pods --type=strategic -p {"spec":{"disabled":true}}',
    fails: true,
    expect: /application\/strategic-merge-patch\+json is not supported|UnsupportedMediaType|unknown format/,
  },
  { name: 'explain a custom resource', args: 'explain ippool.spec.natOutgoing', expect: /Masquerade packets/ },
  { name: 'short names of custom resources', args: 'get gnp', expect: /^$/ },

  {
    name: 'server-side apply creates',
    args: 'apply --server-side -f -',
    input: POD.replace('name: web', 'name: ssa'),
    expect: /pod\/ssa serverside-applied/,
  },
  { name: 'another manager changes a field', args: 'label pod ssa app=changed --overwrite', expect: /labeled/ },
  {
    name: 'server-side apply reports the conflict',
    args: 'apply --server-side -f -',
    input: POD.replace('name: web', 'name: ssa'),
    fails: true,
    expect: /Apply failed with 1 conflict: conflict with "kubectl-label" using v1[^\n]*: \.metadata\.labels\.app/,
    since: 21,
  },
  {
    name: 'server-side apply takes the field by force',
    args: 'apply --server-side --force-conflicts -f -',
    input: POD.replace('name: web', 'name: ssa'),
    expect: /serverside-applied/,
  },
  { name: 'and has it', args: 'get pod ssa -o jsonpath={.metadata.labels.app}', expect: /^web$/ },
  {
    name: 'managed fields are shown',
    args: 'get pod ssa -o yaml --show-managed-fields',
    expect: /manager: kubectl\s+operation: Apply/,
    since: 21,
  },

  {
    name: 'cordon a node',
    args: 'create -f -',
    input: 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}',
    expect: /node\/n1 created/,
  },
  { name: 'cordon', args: 'cordon n1', expect: /n1 cordoned/ },
  { name: 'node columns', args: 'get nodes', expect: /n1\s+Unknown,SchedulingDisabled\s+<none>/ },
  { name: 'taint', args: 'taint node n1 maintenance=yes:NoSchedule', expect: /node\/n1 tainted/ },
  {
    name: 'a pod on the node',
    args: 'create -f -',
    input: POD.replace('name: web', 'name: victim').replace('spec:', 'spec:\n  nodeName: n1'),
    expect: /victim created/,
  },
  {
    name: 'describe a node with its pods',
    args: 'describe node n1',
    expect: /Taints:\s+maintenance=yes:NoSchedule[\s\S]*default\s+victim/,
  },
  { name: 'drain', args: 'drain n1 --force --grace-period=0 --timeout=20s', expect: /pod\/victim (evicted|deleted)/ },
  { name: 'the pod is gone', args: 'get pod victim', fails: true, expect: /not found/ },
  { name: 'uncordon', args: 'uncordon n1', expect: /n1 uncordoned/ },
  {
    name: 'patch the status',
    args:
      'patch node n1 --subresource=status --type=merge -p ' +
      '{"status":{"conditions":[{"type":"Ready","status":"True"}],' +
      '"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"InternalIP","address":"fd00::1"}]}}',
    expect: /patched/,
    since: 24,
  },
  { name: 'a ready node', args: 'get nodes -o wide', expect: /n1\s+Ready\s+<none>\s+\d+s\s+10\.0\.0\.1/, since: 24 },
  {
    name: 'replace',
    args: 'replace -f -',
    input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: "2"}',
    expect: /configmap\/settings replaced/,
  },
  {
    name: 'replaced',
    args: 'get configmap settings -o custom-columns=N:.metadata.name,A:.data.a --no-headers',
    expect: /^settings\s+2$/m,
  },
  { name: 'raw', args: 'get --raw /readyz', expect: /^ok$/ },
  { name: 'whoami', args: 'auth whoami', expect: /lab-admin/, since: 28 },
  {
    name: 'an event',
    args: 'create -f -',
    input:
      'apiVersion: v1\nkind: Event\nmetadata: {name: e1, namespace: default}\ninvolvedObject: {apiVersion: v1, ' +
      'kind: Pod, name: web, namespace: default}\nreason: Started\nmessage: it runs\ntype: Normal\nlastTimestamp: ' +
      '"2026-11-20T18:00:00Z"',
    expect: /event\/e1 created/,
  },
  { name: 'events', args: 'get events', expect: /Normal\s+Started\s+pod\/web\s+it runs/ },
  {
    name: 'events of a pod',
    args: 'get events --field-selector involvedObject.name=web,involvedObject.kind=Pod',
    expect: /it runs/,
  },
  {
    name: 'wait for a field',
    args: 'wait --for=jsonpath={.data.a}=2 configmap/settings --timeout=10s',
    expect: /condition met/,
    since: 23,
  },
  { name: 'delete an unscheduled pod at once', args: 'delete pod web', expect: /pod "web" deleted/ },
  { name: 'delete by selector', args: 'delete pods -l run=tmp', expect: /pod "tmp" deleted/ },
  { name: 'delete in the foreground', args: 'delete ippool pods --cascade=foreground', expect: /deleted/ },
  { name: 'delete what is not there', args: 'delete pod nobody', fails: true, expect: /pods "nobody" not found/ },
  {
    name: 'a protected namespace stays',
    args: 'delete ns default',
    fails: true,
    expect: /this namespace may not be deleted/,
  },
  { name: 'content for the namespace', args: 'create configmap inside -n blue --from-literal=a=1', expect: /created/ },
  { name: 'delete a namespace with its content', args: 'delete ns blue', expect: /namespace "blue" deleted/ },
  { name: 'both are gone', args: 'get configmap inside -n blue', fails: true, expect: /not found/ },
];

/** Splits at spaces; `\ ` is a space inside an argument. */
const wordsOf = (args: string): readonly string[] => args.split(/(?<!\\) /).map((word) => word.replaceAll('\\ ', ' '));

function judge(step: Step, result: KubectlResult): void {
  const shown = `kubectl ${step.args}\n${result.stdout}${result.stderr}`;
  expect(result.code !== 0, shown).to.equal(step.fails === true);
  if (step.expect !== undefined)
    expect(step.fails === true ? result.stderr + result.stdout : result.stdout, shown).to.match(step.expect);
  if (step.not !== undefined) expect(result.stdout, shown).not.to.match(step.not);
}

const programs: readonly { readonly name: string; readonly find: () => Promise<string | undefined> }[] = [
  { name: 'current', find: () => Promise.resolve('kubectl') },
  { name: '1.20', find: oldKubectl },
];

for (const program of programs)
  describe(`apiserver: kubectl, ${program.name}`, () => {
    let api: ApiClient;
    let kubectl: Kubectl;
    let minor = 0;

    before(async function () {
      this.timeout(120_000);
      const path = await program.find();
      if (path === undefined) return this.skip();
      minor = Number((await versionOf(path)).split('.')[1]);
      api = await ApiClient.start();
      kubectl = new Kubectl(path, api.url);
    });

    after(async () => {
      kubectl?.dispose();
      await api?.close();
    });

    for (const step of steps)
      it(step.name, async function () {
        if (minor < (step.since ?? 0)) return this.skip();
        judge(step, await kubectl.run(wordsOf(step.args), step.input));
      });

    it('get -w follows', async () => {
      const child = kubectl.start(['get', 'configmaps', '-w', '-o', 'name']);
      try {
        let output = '';
        child.stdout?.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
        await eventually('the list', () => output.includes('configmap/settings'));
        await kubectl.run(['create', 'configmap', 'late']);
        await eventually('the new one', () => output.includes('configmap/late'));
      } finally {
        child.kill('SIGKILL');
      }
    });

    it('wait --for=delete sees the end', async () => {
      await kubectl.run(['create', 'configmap', 'fleeting']);
      const waiting = kubectl.run(['wait', '--for=delete', 'configmap/fleeting', '--timeout=20s']);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await kubectl.run(['delete', 'configmap', 'fleeting']);
      const { code, stderr } = await waiting;
      expect(code, stderr).to.equal(0);
    });

    it('a scheduled pod waits for its kubelet', async () => {
      await kubectl.run(
        ['apply', '-f', '-'],
        POD.replace('name: web', 'name: slow').replace('spec:', 'spec:\n  nodeName: n1'),
      );
      await kubectl.run(['delete', 'pod', 'slow', '--wait=false']);
      const shown = await kubectl.run(['get', 'pod', 'slow']);
      expect(shown.stdout).to.match(/slow\s+0\/1\s+Terminating/);
      const forced = await kubectl.run(['delete', 'pod', 'slow', '--grace-period=0', '--force']);
      expect(forced.code, forced.stderr).to.equal(0);
      expect((await kubectl.run(['get', 'pod', 'slow'])).stderr).to.include('not found');
    });
  });
