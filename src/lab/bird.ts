/**
 * The configuration of a top-of-rack router that runs BIRD 2, as an engineer would write it: one session per family with
 * every node and neighbouring router, graceful restart helped, everything it hears and its way out announced.
 *
 * It accepts every prefix on purpose: what a node announces and should not would be hidden by a filter here, and the lab is
 * there to show it. What a neighbour drains is its last choice (RFC 8326). Routers tell one another the links' own subnets, so that an
 * answer to a link's address finds its way from either; nodes are spared those, their default route covers them. Sessions are numbered
 * by family (`node1_4`, `node1_6`) because BIRD's names have no dashes to spare.
 */
import { formatPrefix } from 'node-bgp/address';
import { linksOf, type LinkEnd, type Rack, type RackTor } from './rack.js';

/** Text of bird.conf. */
export function renderBird(rack: Rack, tor: RackTor): string {
  const links = linksOf(rack, tor.name);
  const nodes = new Map(rack.nodes.map((node) => [node.name, node.spec]));
  const tors = new Map(rack.tors.map((other) => [other.name, other.spec]));
  const outside = new Map(rack.outside.map((host) => [host.name, host]));
  const sessions = links.flatMap(({ peer }) => {
    const node = nodes.get(peer.device);
    const other = tors.get(peer.device);
    if (node !== undefined) return renderSessions(peer, 'nodes', node.as, tor.spec.password);
    return other === undefined ? [] : renderSessions(peer, 'routers', other.as, undefined);
  });
  const exits = links.flatMap(({ peer }) => {
    const host = outside.get(peer.device);
    return host === undefined ? [] : [{ peer, host }];
  });
  return [...renderGlobals(tor), ...renderStatic(exits), ...renderTemplates(rack, tor), ...sessions, ''].join('\n');
}

const renderGlobals = (tor: RackTor): readonly string[] => [
  `# Router ${tor.name}, AS ${tor.spec.as}. Written by tortie lab.`,
  `router id ${tor.loopback.ipv4};`,
  'log stderr all;',
  'timeformat protocol iso long ms;',
  'timeformat route iso long ms;',
  'filter drained_last { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }',
  'protocol device { scan time 5; }',
  'protocol direct { ipv4; ipv6; }',
  'protocol bfd { interface "*" { interval 100 ms; multiplier 3; }; }',
  'protocol kernel { ipv4 { import none; export where source != RTS_DEVICE; }; merge paths on; }',
  'protocol kernel { ipv6 { import none; export where source != RTS_DEVICE; }; merge paths on; }',
];

interface Exit {
  readonly peer: LinkEnd;
  readonly host: { readonly loopback: { readonly ipv4: string; readonly ipv6: string } };
}

/** The outside host itself, and through the first of them everything else: the rack's default route. */
function renderStatic(exits: readonly Exit[]): readonly string[] {
  const family = (name: 'ipv4' | 'ipv6', bits: number, all: string): readonly string[] => [
    `protocol static outside_${name === 'ipv4' ? 4 : 6} {`,
    `  ${name};`,
    ...exits.map(({ peer, host }) => `  route ${host.loopback[name]}/${bits} via ${peer.address[name]};`),
    ...exits.slice(0, 1).map(({ peer }) => `  route ${all} via ${peer.address[name]};`),
    '}',
  ];
  return exits.length === 0 ? [] : [...family('ipv4', 32, '0.0.0.0/0'), ...family('ipv6', 128, '::/0')];
}

function renderTemplates(rack: Rack, tor: RackTor): readonly string[] {
  const template = (name: string, family: 'ipv4' | 'ipv6', exported: string): readonly string[] => [
    `template bgp ${name}_${family === 'ipv4' ? 4 : 6} {`,
    `  local as ${tor.spec.as};`,
    '  graceful restart aware;',
    // Beside a peer that does not speak it, BFD stays down and the session goes by its hold time.
    ...(name === 'nodes' ? ['  bfd on;'] : []),
    '  connect delay time 1; connect retry time 5; error wait time 1, 10;',
    `  ${family} { import filter drained_last; export ${exported}; next hop self; };`,
    '}',
  ];
  return (['ipv4', 'ipv6'] as const).flatMap((family) => [
    ...template('nodes', family, `where net !~ [ ${formatPrefix(rack.topology.ranges.links[family])}+ ]`),
    ...template('routers', family, 'all'),
  ]);
}

function renderSessions(peer: LinkEnd, template: string, as: number, password: string | undefined): readonly string[] {
  const key = password === undefined ? '' : ` password ${quote(password)};`;
  return (['ipv4', 'ipv6'] as const).map((family) => {
    const suffix = family === 'ipv4' ? 4 : 6;
    return (
      `protocol bgp ${peer.device.replaceAll('-', '_')}_${suffix} from ${template}_${suffix} { neighbor ` +
      `${peer.address[family]} as ${as};${key} }`
    );
  });
}

/** BIRD has no escapes inside quotes; the key itself is never logged by BIRD. */
function quote(password: string): string {
  if (/["\n\r]/.test(password)) throw new Error('Cannot write a BIRD key: it holds a double quote or a line break');
  return `"${password}"`;
}
