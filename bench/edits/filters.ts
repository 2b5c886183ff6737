/** Edits of BGPFilters, on sessions with routers. */
import { containsPrefix, parsePrefix } from 'node-bgp/address';
import { shortHash, type Context, type Row } from './context.js';
import type { Edit, Manifest, Step } from './edit.js';
import type { ExportRule, GroundNode, RouterLink } from './model.js';

const bgpFilter = (name: string, spec: object): Manifest => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'BGPFilter',
  metadata: { name },
  spec,
});

interface Place {
  readonly node: GroundNode;
  readonly link: RouterLink;
  readonly name: string;
  readonly exportField: 'exportV4' | 'exportV6';
  readonly importField: 'importV4' | 'importV6';
  /** Of a block of the node, in this family. */
  readonly block: string;
  /** The range of all blocks. An Accept without one would hand on all that other routers have told. */
  readonly pool: string;
}

function place({ ground, choose }: Context): Place {
  const node = choose.of(ground.nodes);
  const link = choose.of(node.links);
  const isIpv4 = link.family === 'ipv4';
  return {
    node,
    link,
    name: `soak-${shortHash(choose)}`,
    exportField: isIpv4 ? 'exportV4' : 'exportV6',
    importField: isIpv4 ? 'importV4' : 'importV6',
    pool: isIpv4 ? '10.65.0.0/16' : 'fd00:65::/112',
    block: node.blocks.find(({ cidr }) => cidr.includes(':') !== isIpv4)?.cidr ?? '',
  };
}

const slotsOf = ({ link }: Place): readonly string[] => [`BGPPeer/${link.peer}`];
const usedBy = ({ link, name }: Place): Step => ({
  type: 'patch',
  of: `bgppeer/${link.peer}`,
  patch: { spec: { filters: [name] } },
});
const unusedBy = ({ link }: Place): Step => ({
  type: 'patch',
  of: `bgppeer/${link.peer}`,
  patch: { spec: { filters: null } },
});

/** The filter, and the peer that names it. */
const withFilter = (at: Place, spec: object): Pick<Edit, 'steps' | 'undo' | 'slots'> => ({
  slots: slotsOf(at),
  steps: [{ type: 'apply', object: bgpFilter(at.name, spec) }, usedBy(at)],
  undo: [unusedBy(at), { type: 'delete', of: `bgpfilter/${at.name}` }],
});

/** What is told less may move flows to other ways. */
const hides = ({ node, link }: Place): Pick<Edit, 'concerns'> => ({
  concerns: ({ family, ends }) => family === link.family && ends.includes(node.name),
});

const exporting =
  (at: Place, rule: ExportRule): Edit['effect'] =>
  (model) =>
    void model.exports.set(at.link.peer, rule);

const used = ({ name, link }: Place): Edit['told'] => [{ where: `BGPFilter/${name}`, text: `1 peer: ${link.peer}` }];

/**
 * While a node hears nothing better of a block in the mesh, its way there is a router's, which an Accept of the block hands on to the other
 * (docs/decisions/0031): which of two equal ones that is, the model does not know. Who only wants to mark says so.
 */
const NOT_OF_ROUTERS = [65001, 65002].map((asNumber) => ({ action: 'Reject', asPathPrefix: [asNumber] }));

export const FILTER_ROWS: readonly Row[] = [
  {
    kind: 'filter that marks routes',
    make: (context) => {
      const at = place(context);
      const community = `${context.choose.between(1, 65535)}:${context.choose.between(0, 65535)}`;
      const longer = context.choose.below(3);
      return {
        kind: 'filter that marks routes',
        ...withFilter(at, {
          [at.exportField]: [
            ...NOT_OF_ROUTERS,
            {
              action: 'Accept',
              cidr: at.pool,
              matchOperator: 'In',
              operations: [
                { addCommunity: { value: community } },
                ...(longer > 0 ? [{ prependASPath: { prefix: Array.from({ length: longer }, () => 64512) } }] : []),
              ],
            },
          ],
        }),
        effect: exporting(at, (prefix, heard) =>
          containsPrefix(parsePrefix(at.pool), parsePrefix(prefix))
            ? {
                communities: [...heard.communities, community].sort(),
                pathLength: heard.pathLength + longer,
              }
            : heard,
        ),
        told: used(at),
        ...(longer > 0 ? hides(at) : {}),
      };
    },
  },
  {
    kind: 'filter that hides a block',
    make: (context) => {
      const at = place(context);
      const operator = context.choose.of(['Equal', 'In']);
      return {
        kind: 'filter that hides a block',
        ...withFilter(at, { [at.exportField]: [{ action: 'Reject', cidr: at.block, matchOperator: operator }] }),
        effect: exporting(at, (prefix, heard) => (prefix === at.block ? undefined : heard)),
        told: used(at),
        ...hides(at),
      };
    },
  },
  {
    kind: 'filter that tells a block alone',
    make: (context) => {
      const at = place(context);
      const rules = context.choose.of<readonly object[]>([
        [{ action: 'Accept', cidr: at.block, matchOperator: 'Equal' }, { action: 'Reject' }],
        [{ action: 'Reject', cidr: at.block, matchOperator: 'NotEqual' }],
        [{ action: 'Reject', cidr: at.block, matchOperator: 'NotIn' }],
      ]);
      return {
        kind: 'filter that tells a block alone',
        ...withFilter(at, { [at.exportField]: rules }),
        effect: exporting(at, (prefix, heard) => (prefix === at.block ? heard : undefined)),
        told: used(at),
        ...hides(at),
      };
    },
  },
  {
    kind: 'filter of the other family, or of what nobody tells',
    make: (context) => {
      const at = place(context);
      const other = at.exportField === 'exportV4' ? 'V6' : 'V4';
      const spec = context.choose.of<object>([
        { [`export${other}`]: [{ action: 'Reject' }], [`import${other}`]: [{ action: 'Reject' }] },
        { [at.exportField]: [{ action: 'Reject', peerType: 'iBGP' }] },
        { [at.exportField]: [{ action: 'Reject', communities: { values: ['1:2'] } }] },
        { [at.importField]: [{ action: 'Reject', asPathPrefix: [65010, '1.2'] }] },
        {},
      ]);
      return {
        kind: 'filter of the other family, or of what nobody tells',
        ...withFilter(at, spec),
        effect: () => undefined,
        told: used(at),
      };
    },
  },
  {
    kind: 'filter that contradicts itself',
    make: (context) => {
      const at = place(context);
      const [cidr, min, max] = at.exportField === 'exportV4' ? ['10.65.0.0/16', 28, 24] : ['fd00:65::/112', 125, 120];
      return {
        kind: 'filter that contradicts itself',
        ...withFilter(at, {
          [at.exportField]: [{ action: 'Accept', matchOperator: 'In', cidr, prefixLength: { min, max } }],
        }),
        // What cannot be understood rejects: nothing is told that somebody may have meant to hide.
        effect: exporting(at, () => undefined),
        told: [
          { where: `NodeStatus/${at.node.name}`, text: `BGPFilter/${at.name} spec.${at.exportField}[0].prefixLength` },
          { where: `BGPFilter/${at.name}`, text: `spec.${at.exportField}[0].prefixLength` },
        ],
        ...hides(at),
      };
    },
  },
  {
    kind: 'filter that is not there',
    make: (context) => {
      const at = place(context);
      return {
        kind: 'filter that is not there',
        slots: slotsOf(at),
        steps: [usedBy(at)],
        undo: [unusedBy(at)],
        // It may have been meant to hide something: until it is there, no route passes.
        effect: exporting(at, () => undefined),
        told: [
          { where: `NodeStatus/${at.node.name}`, text: at.name },
          { where: `BGPPeer/${at.link.peer}`, text: at.name },
        ],
        ...hides(at),
      };
    },
  },
  {
    kind: 'filter deleted while it is used',
    make: (context) => {
      const at = place(context);
      const steps = withFilter(at, { [at.importField]: [{ action: 'Accept' }] });
      return {
        kind: 'filter deleted while it is used',
        slots: slotsOf(at),
        steps: [...steps.steps, { type: 'delete', of: `bgpfilter/${at.name}` }],
        undo: [unusedBy(at)],
        effect: () => undefined,
        told: [{ where: `NodeStatus/${at.node.name}`, text: at.name }],
      };
    },
  },
];
