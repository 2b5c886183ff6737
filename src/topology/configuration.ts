/**
 * BGPConfiguration as one node has it: "default", with the fields that "node.NAME" overrides, and where each of them stands.
 * What the nodes of a mesh have to agree on is in "default" alone.
 */
import { fieldProblems } from 'node-bgp/config/parts';
import type { BGPConfiguration, BGPConfigurationSpec } from '../api/bgp.js';
import { quoted, type Place, type Problems } from './problems.js';
import { parseAsNumber } from './values.js';

const DEFAULT_AS = 64512;
const DEFAULT_PORT = 179;

/** The other end goes by "default": it would dial a node that has no mesh, expect another AS number, sign with another password. */
const MESH_WIDE = [
  'nodeToNodeMeshEnabled',
  'asNumber',
  'nodeMeshPassword',
  'nodeMeshMaxRestartTime',
  'nodeMeshBfd',
] as const satisfies readonly (keyof BGPConfigurationSpec)[];

/**
 * An API server writes these into every object that does not say them (defaults of the definitions, ours and Calico's): in "node.NAME"
 * they are nobody's wish, and "default" counts.
 */
const FILLED_IN = {
  logSeverityScreen: 'Info',
  serviceLoadBalancerAggregation: 'Enabled',
} as const satisfies BGPConfigurationSpec;

export interface Configuration {
  readonly spec: BGPConfigurationSpec;
  /** Of nodes that have none of their own. */
  readonly asNumber: number;
  readonly listenPort: number;
  /** Where a field stands; of one that stands nowhere, where it would. */
  readonly placeOf: (field: keyof BGPConfigurationSpec, rest?: string) => Place;
}

export function configurationOf(
  nodeName: string,
  resources: readonly BGPConfiguration[],
  problems: Problems,
): Configuration {
  const specOf = (name: string): BGPConfigurationSpec =>
    resources.find((resource) => resource.metadata.name === name)?.spec ?? {};
  const own = ownFields(`node.${nodeName}`, specOf(`node.${nodeName}`), problems);
  const spec = { ...specOf('default'), ...own };
  const placeOf = (field: keyof BGPConfigurationSpec, rest = ''): Place => ({
    resource: `BGPConfiguration/${own[field] === undefined ? 'default' : `node.${nodeName}`}`,
    field: `spec.${field}${rest}`,
  });
  return { spec, placeOf, asNumber: asNumberOf(spec, placeOf, problems), listenPort: portOf(spec, placeOf, problems) };
}

/** What "node.NAME" may say by itself; the rest is left out, and told of. */
function ownFields(name: string, spec: BGPConfigurationSpec, problems: Problems): BGPConfigurationSpec {
  const own: { -readonly [field in keyof BGPConfigurationSpec]: BGPConfigurationSpec[field] } = { ...spec };
  for (const field of Object.keys(FILLED_IN) as (keyof typeof FILLED_IN)[])
    if (own[field] === FILLED_IN[field]) delete own[field];
  for (const field of MESH_WIDE) {
    if (own[field] === undefined) continue;
    problems.problem(
      { resource: `BGPConfiguration/${name}`, field: `spec.${field}` },
      `is ${quoted(own[field])}; expected in BGPConfiguration/default alone, as both ends of a session have to agree; ` +
        'left out',
    );
    delete own[field];
  }
  return own;
}

/** Where every node listens; a value that cannot be is told by the node that has it. */
export function listenPorts(resources: readonly BGPConfiguration[]): (nodeName: string) => number {
  const ports = new Map(resources.map(({ metadata, spec }) => [metadata.name, spec.listenPort]));
  return (nodeName) => {
    const port = ports.get(`node.${nodeName}`) ?? ports.get('default');
    return isPort(port) ? port : DEFAULT_PORT;
  };
}

const isPort = (port: number | undefined): port is number =>
  port !== undefined && Number.isInteger(port) && port >= 1 && port <= 65535;

function asNumberOf(spec: BGPConfigurationSpec, placeOf: Configuration['placeOf'], problems: Problems): number {
  if (spec.asNumber === undefined) return DEFAULT_AS;
  const asNumber = parseAsNumber(spec.asNumber);
  const [wrong] = fieldProblems('localAs', asNumber ?? NaN);
  if (asNumber !== undefined && wrong === undefined) return asNumber;
  problems.problem(
    placeOf('asNumber'),
    `is ${quoted(spec.asNumber)}; expected ${wrong?.expected ?? 'an AS number'}; using ${DEFAULT_AS}`,
  );
  return DEFAULT_AS;
}

function portOf({ listenPort }: BGPConfigurationSpec, placeOf: Configuration['placeOf'], problems: Problems): number {
  if (listenPort === undefined) return DEFAULT_PORT;
  if (isPort(listenPort)) return listenPort;
  problems.problem(placeOf('listenPort'), `is ${quoted(listenPort)}; expected 1 to 65535; using ${DEFAULT_PORT}`);
  return DEFAULT_PORT;
}
