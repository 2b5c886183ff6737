/**
 * The rules of docs/architecture.md that a compiler does not check: who may import whom, and who may touch the world.
 */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

interface SourceFile {
  readonly path: string;
  readonly imports: readonly string[];
}

/** Every TypeScript file below a folder, with its import specifiers; relative ones resolved to paths from the root. */
function sourcesOf(folder: string): readonly SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules') && !name.endsWith('.d.ts'))
    .map((name) => {
      const path = join(folder, name);
      const text = readFileSync(join(root, path), 'utf8');
      const specifiers = [
        ...text.matchAll(/^(?:import|export)\b[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm),
      ].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
      return {
        path,
        imports: specifiers.map((specifier) =>
          specifier.startsWith('.') ? relative(root, resolve(root, dirname(path), specifier)) : specifier,
        ),
      };
    });
}

/** Text without what only people read; the checker's own directives stay. */
const codeOf = (path: string): string =>
  readFileSync(join(root, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/(?! @ts-).*$/gm, '');

function offenders(folder: string, isForbidden: (specifier: string, path: string) => boolean): readonly string[] {
  return sourcesOf(folder).flatMap(({ path, imports }) =>
    imports.filter((specifier) => isForbidden(specifier, path)).map((specifier) => `${path} imports ${specifier}`),
  );
}

const OURS = ['node-bgp', '@tortie/ipam', '@tortie/policy', '@tortie/services'];
const isOurs = (specifier: string, but: readonly string[] = []): boolean =>
  OURS.some((name) => specifier === name || specifier.startsWith(`${name}/`)) &&
  !but.some((name) => specifier === name || specifier.startsWith(`${name}/`));

/** The source that a specifier stands for: `node-bgp/address` and `bgp/src/address.js` are bgp/src/address.ts. */
function fileOf(specifier: string): string {
  const folders = {
    'node-bgp': 'bgp/src',
    '@tortie/ipam': 'ipam/src',
    '@tortie/policy': 'policy/src',
    '@tortie/services': 'services/src',
  };
  for (const [name, folder] of Object.entries(folders)) {
    if (specifier === name) return `${folder}/index.ts`;
    if (specifier.startsWith(`${name}/`)) return `${folder}/${specifier.slice(name.length + 1)}.ts`;
  }
  return specifier.replace(/\.js$/, '.ts');
}

/** Files that import one another, however far round; each circle sorted, in one line. (Tarjan 1972: strong components.) */
function circles(imports: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const order = new Map<string, number>();
  const open: string[] = [];
  const found: string[] = [];
  /** The earliest file on the open path that can be reached from here. */
  const visit = (path: string): number => {
    const own = order.size;
    order.set(path, own);
    open.push(path);
    let earliest = own;
    for (const next of imports.get(path) ?? [])
      if (!imports.has(next)) continue;
      else if (!order.has(next)) earliest = Math.min(earliest, visit(next));
      else if (open.includes(next)) earliest = Math.min(earliest, order.get(next) ?? own);
    if (earliest < own) return earliest;
    const circle = open.splice(open.indexOf(path));
    if (circle.length > 1 || imports.get(path)?.includes(path)) found.push(circle.sort().join(' '));
    return earliest;
  };
  for (const path of imports.keys()) if (!order.has(path)) visit(path);
  return found.sort();
}

const EFFECTS = new Set([
  'node:net',
  'node:dgram',
  'node:http',
  'node:https',
  'node:fs',
  'node:fs/promises',
  'node:child_process',
  'node:worker_threads',
  'koffi',
  'netlink',
]);

describe('architecture', () => {
  it('the house is in order: npm run check', function () {
    this.timeout(120_000);
    const check = spawnSync(process.execPath, [join(root, 'scripts/check.mjs'), '--no-audit'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    expect(check.status, `${check.stdout}${check.stderr}`).to.equal(0);
  });
  it('node-bgp imports nothing of ours', () =>
    expect(offenders('bgp/src', (specifier) => isOurs(specifier) || specifier.startsWith('src/'))).to.deep.equal([]));
  for (const name of ['ipam', 'policy'])
    it(`${name} imports only node-bgp/address`, () =>
      expect(
        offenders(
          `${name}/src`,
          (specifier) => isOurs(specifier, ['node-bgp/address']) || specifier.startsWith('src/'),
        ),
      ).to.deep.equal([]));

  it('services imports only node-bgp/address and policy', () =>
    expect(
      offenders(
        'services/src',
        (specifier) => isOurs(specifier, ['node-bgp/address', '@tortie/policy']) || specifier.startsWith('src/'),
      ),
    ).to.deep.equal([]));

  it('services are pure', () =>
    expect(offenders('services/src', (specifier) => EFFECTS.has(specifier))).to.deep.equal([]));
  it('policy is pure', () => expect(offenders('policy/src', (specifier) => EFFECTS.has(specifier))).to.deep.equal([]));
  it('topology, overlay, cluster, api, nat and shaping are pure', () => {
    // The writer of manifests/crds is an entry point of its own.
    const isEntry = (path: string): boolean => path.endsWith('/write-manifests.ts');
    for (const folder of ['src/topology', 'src/overlay', 'src/cluster', 'src/api', 'src/nat', 'src/shaping'])
      expect(
        offenders(folder, (specifier, path) => EFFECTS.has(specifier) && !isEntry(path)),
        folder,
      ).to.deep.equal([]);
  });
  it('the speaker touches sockets and files in its edges alone', () => {
    const edges = [
      'bgp/src/transport/',
      'bgp/src/bfd/',
      'bgp/src/bmp/',
      'bgp/src/mrt/',
      'bgp/src/native/',
      'bgp/src/discovery/icmpv6-socket.ts',
    ];
    expect(
      offenders('bgp/src', (specifier, path) => EFFECTS.has(specifier) && !edges.some((edge) => path.startsWith(edge))),
    ).to.deep.equal([]);
  });
  it('no imports go in a circle, types included', () => {
    const sources = ['bgp/src', 'ipam/src', 'policy/src', 'services/src', 'src', 'test', 'bench'].flatMap((folder) =>
      sourcesOf(folder),
    );
    expect(circles(new Map(sources.map(({ path, imports }) => [path, imports.map(fileOf)])))).to.deep.equal([]);
  });
  it('a circle is found: of three, of two beside it, of one', () => {
    const imports = { a: ['b'], b: ['c'], c: ['a', 'd'], d: ['e'], e: ['d'], f: ['f', 'a'], g: ['f', 'absent'] };
    expect(circles(new Map(Object.entries(imports)))).to.deep.equal(['a b c', 'd e', 'f']);
  });
  it('production code does not know the lab', () => {
    expect(
      offenders(
        'src',
        (specifier, path) =>
          specifier.startsWith('src/lab/') &&
          !path.startsWith('src/lab/') &&
          path !== 'src/commands/lab.ts' &&
          !path.startsWith('src/cases/'),
      ),
    ).to.deep.equal([]);
  });
  it('no list of users or of the kernel becomes the arguments of a call: 120,000 of them end the process', () => {
    const spread =
      /\.(?:push|unshift|concat)\((?:[^(){}[\]]*, )?\.\.\.|\.splice\([^()]*\.\.\.|Math\.(?:max|min)\(\.\.\./;
    const folders = [
      'policy/src',
      'services/src',
      'src/dataplane/netfilter',
      'src/bgpd/show',
      'src/policy',
      'src/topology',
      'src/cluster',
    ];
    expect(
      folders
        .flatMap((folder) => sourcesOf(folder))
        .flatMap(({ path }) =>
          codeOf(path)
            .split('\n')
            .filter((line) => spread.test(line))
            .map((line) => `${path}: ${line.trim()}`),
        ),
    ).to.deep.equal([]);
  });
  it('nothing runs a shell', () => {
    for (const folder of ['src', 'bgp/src', 'ipam/src', 'policy/src', 'services/src'])
      for (const { path } of sourcesOf(folder)) {
        const text = readFileSync(join(root, path), 'utf8');
        expect(/shell:\s*true|\bexecSync\(|[^.\w]exec\(/.test(text), path).to.equal(false);
      }
  });
  it('no file escapes the type checker', () => {
    for (const folder of ['src', 'bgp/src', 'ipam/src', 'policy/src', 'services/src'])
      for (const { path } of sourcesOf(folder))
        expect(
          /@ts-(ignore|nocheck|expect-error)|\bas any\b|: any(?=\s*[;,)[\]=>|])/.exec(codeOf(path)),
          path,
        ).to.equal(null);
  });
});
