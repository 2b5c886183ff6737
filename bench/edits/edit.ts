/** An edit of resources: how it is made and undone, what it means, whom it may disturb, and where it has to be told. */
import { stringify } from 'yaml';
import type { FamilyName, Ground, Model } from './model.js';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** One call of kubectl. */
export type Step =
  | { readonly type: 'apply'; readonly object: Manifest }
  | { readonly type: 'patch'; readonly of: string; readonly patch: object }
  | { readonly type: 'delete'; readonly of: string; readonly namespace?: string };

export interface Told {
  /** "NodeStatus/node1", "BGPPeer/rack". */
  readonly where: string;
  readonly text: string;
}

export interface FlowEnds {
  readonly family: FamilyName;
  /** Nodes of its two pods; "outside". */
  readonly ends: readonly string[];
}

export interface Edit {
  /** The row of the catalogue. */
  readonly kind: string;
  /** Two edits of one slot are never made at once. */
  readonly slots: readonly string[];
  readonly steps: readonly Step[];
  readonly undo: readonly Step[];
  readonly effect: (model: Model, ground: Ground) => void;
  readonly told: readonly Told[];
  /** Sessions that it may reset, by node and address. Default: none. */
  readonly resets?: (node: string, address: string) => boolean;
  /** Flows that it may cost packets. Default: none. */
  readonly concerns?: (flow: FlowEnds) => boolean;
}

/** The field of an object that undoes `patch`: what it set is taken away again. */
export const unset = (patch: object): object =>
  Object.fromEntries(
    Object.entries(patch).map(([key, value]) => [
      key,
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      ['spec', 'metadata', 'labels', 'annotations'].includes(key)
        ? unset(value as object)
        : null,
    ]),
  );

export function argvOf(step: Step): { readonly args: readonly string[]; readonly input?: string } {
  switch (step.type) {
    case 'apply':
      return { args: ['apply', '-f', '-'], input: JSON.stringify(step.object) };
    case 'patch':
      return { args: ['patch', ...step.of.split('/'), '--type=merge', '-p', JSON.stringify(step.patch)] };
    case 'delete':
      return {
        args: [
          'delete',
          ...step.of.split('/'),
          '--ignore-not-found',
          ...(step.namespace === undefined ? [] : ['-n', step.namespace]),
        ],
      };
  }
}

/** As somebody would type it. */
export function shellOf(steps: readonly Step[]): string {
  return steps
    .map((step) => {
      if (step.type === 'apply') return `kubectl apply -f - <<'END'\n${stringify(step.object)}END`;
      const { args } = argvOf(step);
      return `kubectl ${args.map((word) => (/^[\w./=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ')}`;
    })
    .join('\n');
}
