/** Who serves Services in this bench, and by which command. nft and legacy are the two kinds of iptables that Debian has. */
import { accessSync, constants, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { NODE } from './objects.js';

export const CONTENDERS = [
  'tortie-off',
  'tortie-nftables',
  'tortie-nft',
  'tortie-legacy',
  'kube-proxy-nftables',
  'kube-proxy-nft',
  'kube-proxy-legacy',
] as const;

export interface Contender {
  readonly name: string;
  /** Whether it serves Services at all. */
  readonly serves: boolean;
  /** The command; it may keep in `directory` what it likes. */
  readonly argv: (kubeconfig: string, directory: string) => readonly string[];
}

export function findKubeProxy(): string | undefined {
  const { KUBE_PROXY = '', TORTIE_REAL = '', PATH = '' } = process.env;
  const folders = [...(TORTIE_REAL === '' ? [] : [join(TORTIE_REAL, 'bin')]), ...PATH.split(':')];
  const candidates = [KUBE_PROXY, ...folders.map((folder) => join(folder, 'kube-proxy'))];
  return candidates.find((file) => {
    try {
      if (file === '') return false;
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function contenderOf(name: string, kubeProxy: string | undefined): Contender | undefined {
  const [, program = '', mode = ''] = /^(tortie|kube-proxy)-(.*)$/.exec(name) ?? [];
  const serves = mode !== 'off';
  if (program === 'tortie')
    return {
      name,
      serves,
      argv: (kubeconfig, directory) =>
        tortieArgv(
          'agent',
          ...['--node', NODE, '--kubeconfig', kubeconfig, '--run-dir', directory],
          ...['--state-dir', join(directory, 'state'), '--policy-backend', serves ? mode : 'nftables'],
          ...['--services', serves ? 'on' : 'off'],
        ),
    };
  if (kubeProxy === undefined) return undefined;
  return {
    name,
    serves,
    argv: (kubeconfig, directory) => [
      ...(mode === 'nftables' ? [] : ['env', `PATH=${iptablesOf(mode, directory)}:${process.env['PATH'] ?? ''}`]),
      kubeProxy,
      ...['--kubeconfig', kubeconfig, '--hostname-override', NODE],
      ...['--proxy-mode', mode === 'nftables' ? mode : 'iptables'],
      ...['--cluster-cidr', '10.64.0.0/12', '--conntrack-max-per-core', '0'],
    ],
  };
}

/** A folder in which "iptables" is that kind of it. */
function iptablesOf(kind: string, directory: string): string {
  for (const family of ['iptables', 'ip6tables'])
    for (const suffix of ['', '-save', '-restore'])
      symlinkSync(`/usr/sbin/${family}-${kind}${suffix}`, join(directory, `${family}${suffix}`));
  return directory;
}
