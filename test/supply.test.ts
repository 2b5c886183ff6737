import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Supply {
  lockProblems(lock: unknown): readonly string[];
  isLicenceKnown(text: unknown): boolean;
}

interface Bom {
  readonly bomFormat: string;
  readonly components: readonly { readonly purl: string; readonly licenses?: readonly unknown[] }[];
}

describe('what Tortie is made of', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; link?: boolean; license?: string }>;
  };
  let supply: Supply;
  before(async () => {
    supply = (await import(pathToFileURL(join(root, 'scripts/supply.mjs')).href)) as Supply;
  });

  it('has licences that may go with ours, hashes, and one package with a script of its own', () =>
    expect(supply.lockProblems(lock)).to.deep.equal([]));
  it('is told of a licence, a script or a missing hash', () => {
    const packages = {
      '': {},
      bgp: {},
      'node_modules/node-bgp': { link: true },
      'node_modules/a': { license: 'GPL-3.0', integrity: 'x' },
      'node_modules/a/node_modules/@b/c': { license: 'MIT', hasInstallScript: true, integrity: 'x' },
      'node_modules/d': { license: '(MIT OR GPL-3.0)' },
    };
    const said = supply.lockProblems({ packages });
    expect(said).to.have.length(3);
    expect(said[0]).to.contain('a has licence GPL-3.0');
    expect(said[1]).to.contain('@b/c runs a script');
    expect(said[2]).to.contain('d has no integrity');
    expect(supply.isLicenceKnown('MIT AND GPL-3.0')).to.equal(false);
    expect(supply.isLicenceKnown(undefined)).to.equal(false);
  });
  it('runs no scripts of packages when it is installed', () =>
    expect(readFileSync(join(root, '.npmrc'), 'utf8')).to.match(/^ignore-scripts=true$/m));
  it('is listed as CycloneDX: every package of the lock, each with its licence', () => {
    const { stdout, status } = spawnSync('npm', ['run', '--silent', 'sbom'], { cwd: root, encoding: 'utf8' });
    expect(status).to.equal(0);
    const { bomFormat, components } = JSON.parse(stdout) as Bom;
    expect(bomFormat).to.equal('CycloneDX');
    const listed = new Set(components.map(({ purl }) => purl));
    for (const [path, { version, link }] of Object.entries(lock.packages)) {
      if (!path.includes('node_modules/') || link === true) continue;
      const name = path.slice(path.lastIndexOf('node_modules/') + 13).replace('@', '%40');
      expect(listed, path).to.include(`pkg:npm/${name}@${version}`);
    }
    expect(components.filter(({ licenses = [] }) => licenses.length === 0).map(({ purl }) => purl)).to.deep.equal([]);
  });
});
