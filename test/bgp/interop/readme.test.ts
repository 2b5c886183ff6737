/**
 * The README's example is run as it stands, from the packed package in an empty project, against the BIRD configuration
 * that stands beside it.
 */
import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PackedProject, REPOSITORY } from '../package/packed-project.js';
import { end, eventually } from './namespace.js';

function hasBird(): boolean {
  try {
    execFileSync('which', ['bird'], { stdio: 'ignore' });
    return process.getuid?.() === 0;
  } catch {
    return false; // not installed
  }
}

(hasBird() ? describe : describe.skip)('bgp/README.md', function () {
  this.timeout(60_000);

  it('peers with BIRD in both directions', async () => {
    const blocks = [
      ...readFileSync(join(REPOSITORY, 'bgp/README.md'), 'utf8').matchAll(/```(js)?\n([\s\S]*?)```/g),
    ].map(([, , text = '']) => text);
    const [program = '', bird = ''] = blocks;
    const directory = mkdtempSync(join(tmpdir(), 'tortie-readme-'));
    const project = new PackedProject();
    const script = project.write('example.mjs', program);
    writeFileSync(join(directory, 'bird.conf'), bird);
    const router = spawn('bird', ['-f', '-c', join(directory, 'bird.conf'), '-s', join(directory, 'bird.ctl')], {
      stdio: 'ignore',
    });
    const example = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    example.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    try {
      await Promise.all([once(router, 'spawn'), once(example, 'spawn')]);
      await eventually(
        'the example prints the route of BIRD',
        () => out.includes("'192.0.2.0/24'"),
        () => out,
      );
      const shown = execFileSync('birdc', ['-s', join(directory, 'bird.ctl'), 'show', 'route', '10.65.0.0/26', 'all'], {
        encoding: 'utf8',
      });
      expect(shown).to.contain('(64512,100)');
    } finally {
      await Promise.all([end(router, 'SIGKILL'), end(example, 'SIGKILL')]);
      project.remove();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
