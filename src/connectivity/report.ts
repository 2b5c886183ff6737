/** What came of a connectivity test: each path, in each family, how often it was tried and what failed. Pure. */
import type { Family } from 'node-bgp/address';
import { formatTable } from '../bgpd/show/text-table.js';
import {
  familyOf,
  PATHS,
  type ClientKind,
  type PathName,
  type ProbeResult,
  type Scene,
  type Target,
} from './targets.js';

/** One client and what it found. */
export type Tried = {
  readonly kind: ClientKind;
  readonly node: string;
  readonly targets: readonly Target[];
} & ({ readonly result: ProbeResult } | { readonly problem: string });

export interface ConnectivityReport {
  readonly nodes: readonly string[];
  readonly paths: readonly PathReport[];
  readonly failures: readonly Failure[];
  readonly isWell: boolean;
}

export interface PathReport {
  readonly path: PathName;
  readonly family: Family;
  readonly tried: number;
  readonly failed: number;
}

export interface Failure {
  readonly path: PathName;
  readonly from: string;
  readonly to: string;
  readonly expected: Target['expect'];
  readonly met: string;
}

export function reportOf(scene: Scene, tried: readonly Tried[]): ConnectivityReport {
  const cells = tried.flatMap((each) =>
    each.targets.map((target, index) => ({
      target,
      from: `${each.kind} on ${each.node}`,
      met: 'problem' in each ? each.problem : each.result.failures.find(([at]) => at === index)?.[1],
    })),
  );
  const paths = (Object.keys(PATHS) as PathName[]).flatMap((path) =>
    ([4, 6] as const).flatMap((family): readonly PathReport[] => {
      const own = cells.filter(({ target }) => target.path === path && familyOf(target.address) === family);
      const failed = own.filter(({ met }) => met !== undefined).length;
      return own.length === 0 ? [] : [{ path, family, tried: own.length, failed }];
    }),
  );
  const failures = cells.flatMap(({ target: { path, address, port, expect }, from, met }) =>
    met === undefined
      ? []
      : [
          {
            path,
            from,
            to: `${address.includes(':') ? `[${address}]` : address}:${port}${nameAt(address, scene)}`,
            expected: expect,
            met: met === '' ? 'something else' : met,
          },
        ],
  );
  return {
    nodes: scene.nodes.map(({ name }) => name),
    paths,
    failures,
    isWell: failures.length === 0 && cells.length > 0,
  };
}

function nameAt(address: string, { servers }: Scene): string {
  const server = servers.find(({ addresses }) => addresses.includes(address));
  return server === undefined ? '' : ` (${server.name} on ${server.node})`;
}

const EXPECTED = { answer: 'an answer', silence: 'silence', reach: 'any answer' } as const;
const MOST_FAILURES = 50;

export function formatReport({ nodes, paths, failures, isWell }: ConnectivityReport): string {
  const table = formatTable(
    [
      { title: 'PATH', text: ({ path }: PathReport) => PATHS[path] },
      { title: 'FAMILY', text: ({ family }) => `IPv${family}` },
      { title: 'TRIED', text: ({ tried }) => String(tried), align: 'right' },
      { title: 'FAILED', text: ({ failed }) => String(failed), align: 'right' },
    ],
    paths,
  );
  const shown = failures
    .slice(0, MOST_FAILURES)
    .map(
      ({ path, from, to, expected, met }) =>
        `${PATHS[path]}: ${from} to ${to}: expected ${EXPECTED[expected]}, met: ${met}`,
    );
  const more = failures.length > MOST_FAILURES ? [`... and ${failures.length - MOST_FAILURES} more`] : [];
  const outcome = isWell ? 'Everything is as it should be' : `${failures.length} paths are not as they should be`;
  return [table, ...shown, ...more, `${outcome}, on ${nodes.join(', ')}.`].join('\n');
}
