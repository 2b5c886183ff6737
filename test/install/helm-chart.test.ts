/** The Helm chart: rendered, it is the kustomization that it was made of, for the base and for every overlay. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { helmChart, valuesOf, valuesText, type ChartValues } from '../../src/install/helm-chart.js';
import { forKubernetes } from '../../src/install/for-version.js';
import { loadKustomization } from '../../src/install/kustomization.js';
import { isManifest, nameOf, type Manifest } from '../../src/install/manifest.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { VERSION } from '../../src/version.js';
import { renderTemplate } from './helm-render.js';

const ROOT = packageFile('manifests');
const base = loadKustomization(join(ROOT, 'base'));
const chart = helmChart(base, VERSION);

const objectsIn = (text: string): readonly Manifest[] =>
  parseAllDocuments(text)
    .map((document): unknown => document.toJS())
    .filter(isManifest);

function render(values: Partial<ChartValues>, version = 'v1.37.2'): readonly Manifest[] {
  const root = {
    Values: { ...(parse(chart.get('values.yaml') ?? '') as ChartValues), ...values },
    Chart: { AppVersion: VERSION },
    Capabilities: { KubeVersion: { Version: version } },
  };
  return [...chart]
    .filter(([path]) => /^(crds|templates)\/.*\.yaml$/.test(path))
    .flatMap(([path, text]) => objectsIn(path.startsWith('crds/') ? text : renderTemplate(text, root)));
}

const sorted = (objects: readonly Manifest[]): readonly Manifest[] =>
  [...objects].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));

describe('tortie install --chart', () => {
  it('is manifests/base by its own values', () => expect(sorted(render({}))).to.deep.equal(sorted(base)));

  for (const overlay of readdirSync(join(ROOT, 'overlays')))
    it(`is overlays/${overlay} by values`, () => {
      const objects = loadKustomization(join(ROOT, 'overlays', overlay));
      expect(sorted(render(valuesOf(objects, base)))).to.deep.equal(sorted(objects));
    });

  it('leaves out what a server before 1.30 does not know', () => {
    // Of definitions such a server drops the fields that it does not know: helm does not ask it to be strict.
    const kinds = (objects: readonly Manifest[]): readonly string[] => sorted(objects).map(nameOf);
    expect(kinds(render({}, 'v1.27.9'))).to.deep.equal(kinds(forKubernetes(base, 27)));
  });

  it('puts values where they belong', () => {
    const objects = render({
      image: 'r.example/t:7',
      imagePullSecrets: [{ name: 'key' }],
      agentArgs: ['--pod-to-host=drop', 'a "b"'],
    });
    const text = JSON.stringify(objects.filter(({ kind }) => kind === 'DaemonSet' || kind === 'Deployment'));
    expect(new Set(text.match(/"image":"[^"]*"/g))).to.deep.equal(new Set(['"image":"r.example/t:7"']));
    expect(text.match(/"imagePullSecrets":\[\{"name":"key"\}\]/g)).to.have.length(2);
    expect(text).to.contain('"args":["agent","--pod-to-host=drop","a \\"b\\""]');
  });

  it('says what no value can say', () => {
    const other = base.map((object) => (object.kind === 'Deployment' ? { ...object, spec: {} } : object));
    expect(() => valuesOf(other, base)).to.throw('Deployment tortie-system/tortie-controller');
    const more = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } };
    expect(() => valuesOf([...base, more], base)).to.throw('Secret x');
  });

  it('writes itself into a folder that is new, and into no other', () => {
    const directory = mkdtempSync(join(tmpdir(), `tortie-chart-${process.pid}-`));
    const folder = join(directory, 'tortie');
    const run = (...argv: readonly string[]): { readonly status: number | null; readonly text: string } => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [packageFile('dist/src/cli.js'), 'install', ...argv],
        { encoding: 'utf8' },
      );
      return { status, text: stdout + stderr };
    };
    try {
      expect(run('--chart', folder)).to.deep.include({ status: 0 });
      for (const [path, text] of chart) expect(readFileSync(join(folder, path), 'utf8'), path).to.equal(text);
      const again = run('--chart', folder);
      expect(again.status).to.equal(1);
      expect(again.text).to.contain(
        `Cannot write a chart into "${folder}": expected a folder that is not there, or empty`,
      );
      expect(run('--chart', folder, '--print').text).to.contain('Cannot use --chart with --print');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is what helm makes of it', function () {
    const helm = process.env['TORTIE_HELM'] ?? 'helm';
    if (spawnSync(helm, ['version']).status !== 0) return this.skip();
    const directory = mkdtempSync(join(tmpdir(), `tortie-helm-${process.pid}-`));
    try {
      const folder = join(directory, 'tortie');
      execFileSync(process.execPath, [packageFile('dist/src/cli.js'), 'install', '--chart', folder]);
      execFileSync(helm, ['lint', '--strict', folder]);
      for (const overlay of readdirSync(join(ROOT, 'overlays'))) {
        const objects = loadKustomization(join(ROOT, 'overlays', overlay));
        const values = join(directory, `${overlay}.yaml`);
        writeFileSync(values, valuesText(valuesOf(objects, base)));
        const argv = ['template', 'tortie', folder, '--include-crds', '--kube-version', '1.37.2', '--values', values];
        const text = execFileSync(helm, argv, { encoding: 'utf8', maxBuffer: 1 << 26 });
        expect(sorted(objectsIn(text)), overlay).to.deep.equal(sorted(objects));
      }
      const wrong = spawnSync(helm, ['template', 'tortie', folder, '--set', 'imgae=x'], { encoding: 'utf8' });
      expect(wrong.stderr).to.contain('imgae');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
