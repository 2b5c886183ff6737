/**
 * Small programs in a device's own `bin` directory, first in the PATH of `tortie lab exec`: `birdc` that knows its socket,
 * `tortie` that is this build. So what an engineer types in the lab is what they type on the real machine.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const binDirectory = (directory: string): string => join(directory, 'bin');

export async function writeWrapper(directory: string, name: string, argv: readonly string[]): Promise<void> {
  await mkdir(binDirectory(directory), { recursive: true });
  await writeFile(join(binDirectory(directory), name), `#!/bin/sh\nexec ${argv.map(quote).join(' ')} "$@"\n`, {
    mode: 0o755,
  });
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
