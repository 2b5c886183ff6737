/** `tortie node status`: all nodes as their agents report them, from anywhere, through the API server. */
import { Option, type Command } from 'commander';
import { UserError } from '../errors.js';
import { print } from '../print.js';

interface NodeFlags {
  readonly kubeconfig?: string;
  readonly output: 'table' | 'json';
}

export function registerNodeCommand(program: Command): void {
  program
    .command('node')
    .description('all nodes of the cluster, from anywhere')
    .command('status')
    .description('what agents report of their nodes: all, or one with its sessions and every sentence')
    .argument('[node]', 'its name')
    .option('--kubeconfig <file>', "which cluster (default: KUBECONFIG, else the pod's service account)")
    .addOption(new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `
Examples:
  tortie node status
  tortie node status node1
  tortie node status -o json | jq '.[] | select(.problems != [])'
BGP: sessions that are up, and all. HEARD: since the agent last reported (once a minute at least). NOT WELL: conditions that are not True.
Sessions of all nodes: tortie bgp summary --all-nodes.

Exit codes: 0 all are well, 1 one is not, there is no such node, or the API server does not answer, 2 wrong options.`,
    )
    .action(status);
}

async function status(node: string | undefined, { kubeconfig, output }: NodeFlags): Promise<void> {
  const { readNodeStatuses } = await import('../node-view/read.js');
  const { formatNode, formatNodes, isNodeWell, nodeRows } = await import('../node-view/nodes.js');
  const { nodes, statuses } = await readNodeStatuses(kubeconfig);
  const all = nodeRows(nodes, statuses);
  const rows = node === undefined ? all : all.filter((row) => row.node === node);
  const [first] = rows;
  if (first === undefined)
    throw new UserError(node === undefined ? 'There are no nodes' : `There is no node "${node}"`);
  const peers = statuses.find(({ metadata }) => metadata.name === node)?.status?.bgp?.peers ?? [];
  const json = node === undefined ? rows : { ...first, peers };
  print(
    output === 'json'
      ? `${JSON.stringify(json, undefined, 2)}\n`
      : `${node === undefined ? formatNodes(rows, Date.now()) : formatNode(first, peers, Date.now())}\n`,
  );
  process.exitCode = rows.every(isNodeWell) ? 0 : 1;
}
