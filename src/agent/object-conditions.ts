/**
 * What `status.conditions` of a user's object says: `Accepted`, `InUse`, and `NODE/InUse` of each node that cannot use it. Pure.
 *
 *   Accepted     True, or False with every part that cannot be used: the field, its value, what was expected
 *   InUse        which nodes (of a BGPFilter: which peers) use it, or are selected to; False: none, and why
 *   NODE/InUse   False only: what this one node cannot do with it, or that it has nothing of it (LeftOut). Written by that node, BOUNDED by
 *                MOST_NODES an object.
 */
import type { Condition, KubeObject } from '../api/meta.js';
import type { ObjectProblem } from './refusals.js';
import { userText } from '../user-text.js';

/** A condition before it has a time. */
export type ConditionDraft = Omit<Condition, 'lastTransitionTime'>;

/** Nodes that say on one object what they cannot do with it; the others say so in their NodeStatus only. */
export const MOST_NODES = 8;
/** Kubernetes allows 32 KiB a message; people read the beginning. */
const MOST_MESSAGE_LENGTH = 4_096;
const NODE_SUFFIX = '/InUse';
/** Why a node's own condition is False: it has nothing of the object, rather than not all of it. */
const LEFT_OUT = 'LeftOut';

export const nodeConditionType = (node: string): string => `${node}${NODE_SUFFIX}`;

/** The node that wrote a condition; undefined for those of the object as a whole. */
export const nodeOfCondition = ({ type }: Pick<Condition, 'type'>): string | undefined =>
  type.endsWith(NODE_SUFFIX) ? type.slice(0, -NODE_SUFFIX.length) : undefined;

export const conditionsOf = (object: KubeObject): readonly Condition[] =>
  (object as { readonly status?: { readonly conditions?: readonly Condition[] } }).status?.conditions ?? [];

/** `unsupported`: what nothing here acts on; `invalid`: what cannot be understood; the object's own conditions say what nodes found. */
export function acceptedCondition(
  object: KubeObject,
  unsupported: readonly ObjectProblem[],
  invalid: readonly ObjectProblem[],
): ConditionDraft {
  const stated = [...invalid, ...unsupported];
  if (stated.length > 0)
    return draft(
      object,
      'Accepted',
      'False',
      invalid.length > 0 ? 'FieldInvalid' : 'FieldNotSupported',
      messagesOf(stated),
    );
  const refusals = conditionsOf(object).flatMap((condition) => {
    const node = nodeOfCondition(condition);
    return node !== undefined && condition.status === 'False' ? [`On ${node}: ${condition.message}`] : [];
  });
  return refusals.length > 0
    ? draft(object, 'Accepted', 'False', 'RefusedByNode', refusals)
    : draft(object, 'Accepted', 'True', 'Accepted', ['All of it can be used']);
}

/** Who uses an object, and why nobody does. */
export interface Usage {
  /** "Selects": it says for whom it is, and what each makes of it is told node by node; default "Used by". */
  readonly verb?: 'Selects';
  /** "node", "peer", "policy". */
  readonly by: string;
  readonly users: readonly string[];
  /** A sentence for when there are none. */
  readonly otherwise: string;
}

const NAMED_USERS = 8;

export function inUseCondition(object: KubeObject, { verb, by, users, otherwise }: Usage): ConditionDraft {
  if (users.length === 0) return draft(object, 'InUse', 'False', 'NotUsed', [otherwise]);
  const named = users.slice(0, NAMED_USERS).join(', ');
  const more = users.length > NAMED_USERS ? ` and ${users.length - NAMED_USERS} more` : '';
  const noun = users.length === 1 ? by : by === 'policy' ? 'policies' : `${by}s`;
  return draft(object, 'InUse', 'True', 'Used', [`${verb ?? 'Used by'} ${users.length} ${noun}: ${named}${more}`]);
}

export const refusedByNode = (object: KubeObject, node: string, problems: readonly ObjectProblem[]): ConditionDraft =>
  draft(
    object,
    nodeConditionType(node),
    'False',
    problems.some(({ isLeftOut }) => isLeftOut) ? LEFT_OUT : 'Refused',
    messagesOf(problems),
  );

/** Nodes that say they have nothing of the object, with what they say. */
export const leftOutOn = (object: KubeObject): ReadonlyMap<string, string> =>
  new Map(
    conditionsOf(object).flatMap((condition) => {
      const node = nodeOfCondition(condition);
      return node !== undefined && condition.reason === LEFT_OUT ? [[node, condition.message]] : [];
    }),
  );

const messagesOf = (problems: readonly ObjectProblem[]): readonly string[] =>
  problems.map(({ message }) => userText(message));

function draft(
  { metadata }: KubeObject,
  type: string,
  status: Condition['status'],
  reason: string,
  sentences: readonly string[],
): ConditionDraft {
  const text = [...new Set(sentences)].join('; ');
  const message =
    text.length <= MOST_MESSAGE_LENGTH
      ? text
      : `${text.slice(0, MOST_MESSAGE_LENGTH)}... (${sentences.length} problems)`;
  return {
    type,
    status,
    reason,
    message,
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
  };
}

/** With times: one that says the same word keeps its time. */
export const withTimes = (
  drafts: readonly ConditionDraft[],
  before: readonly Condition[],
  now: string,
): readonly Condition[] =>
  drafts.map((draft) => {
    const previous = before.find(({ type }) => type === draft.type);
    return { ...draft, lastTransitionTime: previous?.status === draft.status ? previous.lastTransitionTime : now };
  });

/** Whether an object's conditions say all of this already. */
export const holds = (conditions: readonly Condition[], drafts: readonly ConditionDraft[]): boolean =>
  drafts.every((draft) => {
    const found = conditions.find(({ type }) => type === draft.type);
    return (
      found !== undefined &&
      found.status === draft.status &&
      found.reason === draft.reason &&
      found.message === draft.message &&
      found.observedGeneration === draft.observedGeneration
    );
  });
