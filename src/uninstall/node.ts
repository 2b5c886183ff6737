/** `tortie uninstall --this-node`: what of Tortie is on the machine it runs on, and its removal. Never while a daemon of ours runs here. */
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import { lookAtFiles, removeFiles, type NodeFolders } from './node-files.js';
import { lookAtKernel, removeFromKernel } from './node-kernel.js';
import type { UninstallPlan, UninstallResult } from './traces.js';

const STAYS = [
  'net.ipv4.ip_forward and net.ipv6.conf.all.forwarding (and accept_ra where it was made 2): others may need them',
  'tables of iptables themselves, empty of ours: others use them',
];

export async function planForNode(folders: NodeFolders): Promise<UninstallPlan> {
  const kernel = await lookAtKernel();
  const pods = kernel.filter(
    ({ kind, detail }) => kind === 'interface' && detail?.startsWith('tortie:') === true,
  ).length;
  return {
    where: hostname(),
    traces: [...kernel, ...lookAtFiles(folders)],
    left: STAYS,
    warnings:
      pods === 0 ? [] : [`${pods} interfaces are of pods that run: they lose their network; drain the node first`],
  };
}

/** @throws UserError when bgpd or the agent runs: it would put back what is removed */
export async function uninstallNode(folders: NodeFolders): Promise<UninstallResult> {
  for (const [daemon, socket] of [
    ['agent', 'agent.sock'],
    ['bgpd', 'bgpd.sock'],
  ] as const)
    if (await isAnswering(join(folders.runDir, socket)))
      throw new UserError(
        `Cannot uninstall: tortie ${daemon} runs on this node and would put back what is removed; stop it first`,
      );
  const { traces } = await planForNode(folders);
  // The conflist goes before all else: no more pods.
  const [conflists, files] = partition(lookAtFiles(folders), ({ name }) => name.startsWith(folders.cniConfDir));
  const problems = [...removeFiles(conflists), ...(await removeFromKernel()), ...removeFiles(files)];
  const { traces: remaining } = await planForNode(folders);
  return { removed: traces.length - remaining.length, problems, remaining };
}

/** A socket that a dead process has left answers nobody. */
function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', () => settle(true));
    socket.on('error', () => settle(false));
  });
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}
