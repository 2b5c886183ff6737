/** A Service as a node serves it: every address and port, who is chosen, and why the others are not. */
import { absenceOf, type Endpoint, type FrontendKind, type Frontend, type Path } from '@tortie/services';
import type { ServiceProblems, ServiceView } from '@tortie/services';
import type { ServiceWorld } from './objects.js';

/** All Services, one line each. */
export function formatServices({ engine, node }: ServiceWorld): string {
  const rows = [...engine.services()].flatMap(({ service, ports }) =>
    ports.map(({ port, family, choice, endpoints }) => [
      `${service.namespace}/${service.name}`,
      `${port.port}/${port.protocol.toUpperCase()}${port.name === '' ? '' : ` ${port.name}`}`,
      service.families.find((one) => one.family === family)?.clusterIp ?? '',
      `${new Set([...choice.cluster, ...choice.local]).size} of ${endpoints.length}`,
      `${endpoints.filter(({ isLocal }) => isLocal).length}`,
    ]),
  );
  if (rows.length === 0) return `Node ${node} serves no Service`;
  return table([['SERVICE', 'PORT', 'CLUSTER-IP', 'ENDPOINTS', `ON ${node}`], ...rows.sort(byText)]);
}

/** One Service in full. */
export function formatService(
  { node }: Pick<ServiceWorld, 'node'>,
  name: string,
  view: ServiceView,
  problems: readonly ServiceProblems[],
): string {
  const { translated, built } = view;
  const told = problems.flatMap((one) =>
    one.problems.map(({ message }) => `  problem of ${one.kind} ${one.namespace}/${one.name}: ${message}`),
  );
  if (built === undefined) {
    const reason = translated?.type === 'none' ? translated.reason : 'there are slices of it and no Service';
    return [`${name} is not served: ${reason}`, ...told].join('\n');
  }
  const { service } = built;
  const lines = [
    `${name}, as node ${node} serves it`,
    `  internal traffic ${service.isInternalLocal ? 'Local' : 'Cluster'}, external traffic ` +
      `${service.isExternalLocal ? 'Local' : 'Cluster'}` +
      (service.affinitySeconds === undefined ? '' : `, clients keep their endpoint for ${service.affinitySeconds} s`) +
      (service.healthCheckNodePort === undefined ? '' : `, health checks on port ${service.healthCheckNodePort}`),
    ...told,
  ];
  for (const { port, family, choice, endpoints, backend } of built.ports) {
    lines.push(
      '',
      `${port.name === '' ? 'port' : port.name} ${port.port}/${port.protocol.toUpperCase()}, IPv${family}`,
    );
    for (const frontend of built.frontends)
      if (frontend.backend === backend) lines.push(`  ${formatFrontend(frontend)}`);
    if (choice.topology !== 'none') lines.push(`  hints are followed: ${choice.topology}`);
    const list = choice.cluster.length > 0 || choice.local.length === 0 ? 'cluster' : 'local';
    for (const endpoint of endpoints) {
      const absence = absenceOf(endpoint, list, choice);
      const isOnlyLocal = absence !== undefined && choice.local.includes(endpoint);
      const word =
        absence === undefined ? 'chosen' : isOnlyLocal ? 'chosen where the policy is Local' : `not chosen: ${absence}`;
      lines.push(`  ${formatEndpoint(endpoint)}  ${word}`);
    }
    if (endpoints.length === 0) lines.push('  no endpoint');
  }
  return lines.join('\n');
}

const WORDS: Readonly<Record<FrontendKind, string>> = {
  'cluster-ip': 'cluster IP',
  'load-balancer': 'load balancer',
  'external-ip': 'external IP',
  'node-port': 'node port',
};

export function formatFrontend({ kind, address, port, protocol, paths, sources }: Frontend): string {
  const where = address === undefined ? '' : address.includes(':') ? `[${address}]:` : `${address}:`;
  const origins = (['pod', 'node', 'outside'] as const).map((origin) => `${origin} ${formatPath(paths[origin])}`);
  const all = new Set(origins.map((text) => text.slice(text.indexOf(' ') + 1)));
  const limits = sources === undefined ? '' : ', from loadBalancerSourceRanges only';
  return `${WORDS[kind]} ${where}${port}/${protocol.toUpperCase()}: ${all.size === 1 ? [...all][0] : origins.join('; ')}${limits}`;
}

function formatPath(path: Path): string {
  switch (path.type) {
    case 'reject':
      return 'refused, no endpoint';
    case 'drop':
      return 'dropped, no endpoint on this node';
    case 'balance':
      return `to ${path.list === 'local' ? 'endpoints of this node' : 'all endpoints'}${path.masquerade ? ', masqueraded' : ''}`;
  }
}

export function formatEndpoint({ address, port, nodeName, target }: Endpoint): string {
  const where = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return [where, target, nodeName === undefined ? undefined : `on ${nodeName}`]
    .filter((one) => one !== undefined)
    .join(' ');
}

const byText = (a: readonly string[], b: readonly string[]): number => (a.join(' ') < b.join(' ') ? -1 : 1);

function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
