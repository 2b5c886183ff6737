/** node-bgp as a stranger gets it: packed, and installed into an empty project outside this repository, without optional packages. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url));

export interface PackedFile {
  readonly path: string;
  readonly size: number;
}

export class PackedProject {
  readonly directory = mkdtempSync(join(tmpdir(), 'node-bgp-project-'));
  readonly files: readonly PackedFile[];
  readonly size: number;

  constructor() {
    const answer = this.npm(
      join(REPOSITORY, 'bgp'),
      'pack',
      '--json',
      '--ignore-scripts',
      '--pack-destination',
      this.directory,
    );
    const [packed] = JSON.parse(answer) as readonly {
      readonly filename: string;
      readonly size: number;
      readonly files: readonly PackedFile[];
    }[];
    if (packed === undefined) throw new Error(`npm pack said nothing: ${answer}`);
    this.files = packed.files;
    this.size = packed.size;
    this.write('package.json', JSON.stringify({ name: 'stranger', private: true, type: 'module' }));
    this.npm(
      this.directory,
      'install',
      '--offline',
      '--omit=optional',
      '--no-audit',
      '--no-fund',
      `./${packed.filename}`,
    );
  }

  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  /** Types of Node and the compiler, as a TypeScript project would have them. */
  addTypeScript(): void {
    mkdirSync(join(this.directory, 'node_modules', '@types'), { recursive: true });
    for (const name of ['@types/node', 'undici-types'])
      symlinkSync(join(REPOSITORY, 'node_modules', name), join(this.directory, 'node_modules', name));
    this.write(
      'tsconfig.json',
      JSON.stringify({
        compilerOptions: {
          strict: true,
          module: 'nodenext',
          target: 'es2023',
          lib: ['es2023', 'dom'],
          types: ['node'],
          skipLibCheck: false,
          noEmit: true,
        },
        files: ['consumer.ts'],
      }),
    );
    this.write('consumer.ts', readFileSync(join(REPOSITORY, 'test/bgp/package/consumer.ts'), 'utf8'));
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  private npm(cwd: string, ...argv: readonly string[]): string {
    return execFileSync('npm', argv, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, npm_config_update_notifier: 'false' },
    });
  }
}
