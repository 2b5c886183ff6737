/** manifests/ as an operator applies them: complete, known to API servers from 1.21 to now, and what kubectl makes of them. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { parseHealthAddress } from '../../src/health.js';
import { forKubernetes, minorVersion } from '../../src/install/for-version.js';
import { loadKustomization } from '../../src/install/kustomization.js';
import { nameOf, type Manifest } from '../../src/install/manifest.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { VERSION } from '../../src/version.js';
import { ApiClient } from '../apiserver/api-client.js';
import { KubernetesSchemas } from './schema-check.js';

const ROOT = fileURLToPath(new URL('../../../manifests/', import.meta.url));
const overlays = readdirSync(join(ROOT, 'overlays')).map((name) => join('overlays', name));
const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
const OWN = /(^|\.)(projectcalico\.org|tortie\.dev)\//;

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly privileged?: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly livenessProbe?: { readonly httpGet: { readonly host: string; readonly port: number } };
  readonly readinessProbe?: { readonly httpGet: { readonly host: string; readonly port: number } };
  readonly resources: { readonly requests: Readonly<Record<string, string>> };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string }[];
  readonly hostPID?: boolean;
}

const podSpec = (): PodSpec => {
  const found = loadKustomization(join(ROOT, 'base')).find(({ kind }) => kind === 'DaemonSet');
  return (found as unknown as { readonly spec: { readonly template: { readonly spec: PodSpec } } }).spec.template.spec;
};

describe('manifests', () => {
  for (const folder of ['base', ...overlays]) {
    const objects = loadKustomization(join(ROOT, folder));

    it(`${folder} has every object once`, () => {
      const names = objects.map(nameOf);
      expect(names.filter((name, index) => names.indexOf(name) !== index)).to.deep.equal([]);
      expect(names).to.include('DaemonSet tortie-system/tortie-node');
    });

    for (const version of ['1.21', '1.27', '1.37'])
      it(`${folder} is known to Kubernetes ${version}, every field of it`, () => {
        const schemas = new KubernetesSchemas(version);
        const problems = forKubernetes(objects, minorVersion(version) ?? 0)
          .filter(({ apiVersion }) => !OWN.test(apiVersion))
          .flatMap((object) => schemas.problems(object).map((problem) => `${nameOf(object)}${problem}`));
        expect(problems).to.deep.equal([]);
      });

    it(`${folder} is what kubectl makes of it`, function () {
      const made = spawnSync('kubectl', ['kustomize', join(ROOT, folder)], { encoding: 'utf8', maxBuffer: 1 << 26 });
      // Debian 12's kubectl has kustomize 2, which knows no components.
      if (made.status !== 0) return this.skip();
      const theirs = parseAllDocuments(made.stdout).map((document) => document.toJS() as Manifest);
      const sorted = (list: readonly Manifest[]): readonly Manifest[] =>
        [...list].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
      expect(sorted(objects)).to.deep.equal(sorted(theirs));
    });
  }

  it('a wrong field is found: the check can fail', () => {
    const schemas = new KubernetesSchemas('1.21');
    const object = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'x', labls: {} }, secrets: 'none' };
    expect(schemas.problems(object)).to.deep.equal(['.metadata.labls: is not known', '.secrets: "none" is no array']);
  });

  it('node-cidrs: the agent reads the option that the ConfigMap has', () => {
    const objects = loadKustomization(join(ROOT, 'overlays/node-cidrs'));
    const settings = objects.find((object) => nameOf(object) === 'ConfigMap tortie-system/tortie-agent') as unknown as {
      readonly data: Readonly<Record<string, string>>;
    };
    const agent = podSpec().containers.find(({ name }) => name === 'agent');
    expect(agent?.envFrom?.map(({ configMapRef: { name } }) => name)).to.include('tortie-agent');
    const help = spawnSync(process.execPath, [CLI, 'agent', '--help'], {
      encoding: 'utf8',
      env: { ...process.env, ...settings.data },
    }).stdout;
    expect(help).to.match(/--ip-source <source>.*?\(default: "node-cidrs"\)/s);
  });

  it('their own kinds are accepted by their definitions', async () => {
    const api = await ApiClient.start({ crds: loadManifests(join(ROOT, 'crds')) });
    try {
      for (const folder of overlays)
        for (const object of loadKustomization(join(ROOT, folder)).filter(({ apiVersion }) => OWN.test(apiVersion))) {
          const plural = { IPPool: 'ippools', BGPPeer: 'bgppeers', BGPConfiguration: 'bgpconfigurations' }[object.kind];
          const path = `/apis/${object.apiVersion}/${plural ?? object.kind}`;
          const reply = await api.post(`${path}?dryRun=All&fieldValidation=Strict`, object as never);
          expect(reply.code, `${folder}: ${nameOf(object)}: ${JSON.stringify(reply.body)}`).to.equal(201);
        }
    } finally {
      await api.close();
    }
  });
});

describe('manifests/base/daemonset.yaml', () => {
  const { initContainers, containers, volumes, hostPID } = podSpec();
  const all = [...initContainers, ...containers];

  it('runs this version, with requests, and nothing privileged', () => {
    expect(hostPID).to.equal(undefined);
    for (const { name, image, securityContext, resources } of all) {
      expect(image, name).to.equal(`tortie.dev/tortie:${VERSION}`);
      expect(Object.keys(resources.requests), name).to.have.members(['cpu', 'memory']);
      expect(securityContext.privileged, name).to.equal(undefined);
      expect(securityContext.allowPrivilegeEscalation, name).to.equal(false);
      expect(securityContext.readOnlyRootFilesystem, name).to.equal(true);
      expect(securityContext.capabilities.drop, name).to.deep.equal(['ALL']);
    }
  });

  it('gives each part the rights of its work and no other', () => {
    const rights = Object.fromEntries(all.map(({ name, securityContext }) => [name, securityContext.capabilities.add]));
    expect(rights).to.deep.equal({
      'install-cni': undefined,
      bgpd: ['NET_ADMIN', 'NET_BIND_SERVICE'],
      agent: ['NET_ADMIN', 'NET_RAW', 'SYS_ADMIN', 'NET_BROADCAST'],
    });
    const holders = (volume: string): readonly string[] =>
      all.filter(({ volumeMounts }) => volumeMounts.some(({ name }) => name === volume)).map(({ name }) => name);
    expect(holders('token')).to.deep.equal(['agent']);
    expect(holders('cni-bin')).to.deep.equal(['install-cni']);
    for (const { name } of volumes) expect(holders(name), name).to.not.deep.equal([]);
  });

  it('asks each daemon where it answers', () => {
    for (const { name, env = [], livenessProbe, readinessProbe } of containers) {
      const { host, port } = parseHealthAddress(
        env.find((each) => each.name === 'TORTIE_HEALTH_ADDRESS')?.value ?? '',
        name,
      );
      for (const probe of [livenessProbe, readinessProbe])
        expect([probe?.httpGet.host, probe?.httpGet.port], name).to.deep.equal([host, port]);
    }
  });

  it('leaves routes and sessions to the successor', () =>
    expect(containers.find(({ name }) => name === 'bgpd')?.args).to.include('--graceful-stop'));
});
