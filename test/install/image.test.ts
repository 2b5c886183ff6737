/** `npm run image` with an engine, by what it tells one that writes down its arguments: none runs where this suite does. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { VERSION } from '../../src/version.js';

const IMAGE = `tortie.dev/tortie:${VERSION}`;

describe('npm run image', () => {
  let directory: string;
  beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), `tortie-image-test-${process.pid}-`))));
  afterEach(() => rmSync(directory, { recursive: true }));

  /** @param fails what it does not answer to */
  const engine = (name: string, fails = 'nothing'): void =>
    writeFileSync(
      join(directory, name),
      `#!/bin/sh\n[ "$1" != ${fails} ] || exit 1\n[ "$1" = info ] || echo "${name} $*" "$SOURCE_DATE_EPOCH" >> "${directory}/log"\n`,
      { mode: 0o755 },
    );
  const run = (
    ...argv: readonly string[]
  ): { readonly status: number | null; readonly said: string; readonly told: readonly string[] } => {
    const { status, stderr } = spawnSync(process.execPath, [packageFile('scripts/image/main.mjs'), ...argv], {
      encoding: 'utf8',
      env: { PATH: directory, HOME: directory },
    });
    const log = join(directory, 'log');
    return { status, said: stderr, told: existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [] };
  };

  it('lets docker build and save', () => {
    engine('docker');
    expect(run('--output', '/x/t.tar')).to.deep.include({
      status: 0,
      told: [`docker build --tag ${IMAGE} . 0`, `docker save --output /x/t.tar ${IMAGE} 0`],
    });
  });

  it('takes podman where docker has no daemon, and saves as OCI', () => {
    engine('docker', 'info');
    engine('podman');
    expect(
      run('--output', '/x/t.tar', '--image', 'r.example/t:7', '--base', 'debian:13', '--platform', 'linux/arm64').told,
    ).to.deep.equal([
      'podman build --platform linux/arm64 --build-arg BASE=debian:13 --tag r.example/t:7 . 0',
      'podman save --format oci-archive --output /x/t.tar r.example/t:7 0',
    ]);
  });

  it('has buildah push into an archive, and leaves the image with an engine that is not asked for a file', () => {
    engine('buildah');
    expect(run('--output', '/x/t.tar').told).to.deep.equal([
      `buildah build --tag ${IMAGE} . 0`,
      `buildah push ${IMAGE} oci-archive:/x/t.tar:${IMAGE} 0`,
    ]);
    rmSync(join(directory, 'log'));
    expect(run().told).to.deep.equal([`buildah build --tag ${IMAGE} . 0`]);
  });

  it('says when the engine fails, and saves nothing', () => {
    engine('docker', 'build');
    const { status, said, told } = run('--output', '/x/t.tar');
    expect([status, told]).to.deep.equal([1, []]);
    expect(said).to.contain('Cannot build the image: docker build ended with 1');
  });

  it('refuses what it cannot use, by name', () => {
    for (const [argv, sentence] of [
      [['--engine', 'kaniko'], 'Cannot use --engine "kaniko": expected docker, podman, buildah or none'],
      [['--platform', 'linux/riscv64'], 'Cannot use --platform "linux/riscv64": expected linux/amd64 or linux/arm64'],
      [['--engine', 'none', '--platform', 'linux/arm64'], 'without an engine'],
      [['--engine', 'none', '--base', 'alpine'], 'Cannot use --base "alpine": expected debian or machine'],
    ] as const) {
      const { status, said } = run(...argv);
      expect(status, said).to.equal(2);
      expect(said).to.contain(sentence);
    }
  });
});
