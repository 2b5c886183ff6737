/** `tortie lab status` for people. Pure. */
import type { LabStatus } from './control.js';
import { renderTable } from './reachability.js';

export function renderStatus(status: LabStatus): string {
  const processes = status.processes.map((process) => [
    process.name,
    process.pid === undefined ? 'not running' : String(process.pid),
    String(process.restarts),
    process.lastExit ?? '',
  ]);
  const links = status.links.map((link) => [link.device, link.interface, link.tor, link.state]);
  const pods = status.pods.map((pod) => [
    `${pod.namespace}/${pod.name}`,
    pod.node,
    pod.state,
    pod.ips.join(' '),
    pod.problem ?? '',
  ]);
  return [
    `Lab "${status.name}" is ${status.phase}; routers run ${status.tor}; API server ${status.apiServer || 'not started'}\n`,
    renderTable([['PROCESS', 'PID', 'RESTARTS', 'ENDED LAST WITH'], ...processes]),
    renderTable([['LINK OF', 'INTERFACE', 'TO', 'STATE'], ...links]),
    renderTable([['POD', 'NODE', 'STATE', 'ADDRESSES', 'PROBLEM'], ...pods]),
  ].join('\n');
}
