/** Change (ours): objects on trial. */
import * as words from './change-words.js';
import { ageColumn, customResourceDefinition } from './definition.js';
import { explained } from './explained.js';
import {
  atomicList,
  bool,
  described,
  integer,
  mapOf,
  object,
  oneOf,
  required,
  text,
  textUpTo,
  withRules,
  type SchemaNode,
} from './schema-builders.js';

const whole: SchemaNode = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

const entry = withRules(
  object({
    apiVersion: required(textUpTo(317)),
    kind: required(textUpTo(63)),
    name: required(textUpTo(253)),
    namespace: textUpTo(63),
    object: described('The whole object as it will stand, without status.', whole),
    given: described('What was applied to make it stand so; confirming applies it again.', whole),
    labels: described('Of a Node or a Namespace: labels that are set.', mapOf(text)),
    removedLabels: described('Of a Node or a Namespace: labels that go.', atomicList(textUpTo(317), { maxItems: 64 })),
    remove: described('The object goes.', bool),
  }),
  {
    rule: '(has(self.object) ? 1 : 0) + (has(self.labels) || has(self.removedLabels) ? 1 : 0) + (has(self.remove) ? 1 : 0) == 1',
    message: 'expected one of object, labels with removedLabels, and remove',
  },
);

export const changeKind = customResourceDefinition({
  group: 'tortie.dev',
  version: 'v1alpha1',
  kind: 'Change',
  plural: 'changes',
  shortNames: ['tch'],
  scope: 'Cluster',
  description: 'Objects that nodes take on trial, together; written by tortie apply --confirm.',
  spec: explained(
    words.CHANGE_SPEC,
    object({
      confirmSeconds: required(
        described(
          'A node goes back by itself when nobody has confirmed so long after it took the Change.',
          integer(10, 86_400),
        ),
      ),
      canary: described('These nodes first, all at once.', atomicList(textUpTo(253), { maxItems: 100 })),
      stepSize: described(
        'Then so many at a time, by name; all that are left where it is not said.',
        integer(1, 10_000),
      ),
      minSessions: described('Sessions that a node must have Established; as many as it had where it is not said.', {
        ...integer(0, 10_000),
      }),
      probes: described(
        'namespace/pod:port: a TCP connection from each node that could make it before.',
        atomicList(textUpTo(330), { maxItems: 16 }),
      ),
      objects: described('What becomes of each object.', atomicList(entry, { minItems: 1, maxItems: 500 })),
    }),
  ),
  status: explained(
    words.CHANGE_STATUS,
    object({
      phase: oneOf('Waiting', 'Trial', 'Reverting', 'Reverted', 'Confirming', 'Confirmed'),
      message: described('What it waits for, or why it went back.', textUpTo(4096)),
      observedGeneration: { type: 'integer', format: 'int64', minimum: 0 },
      since: described('When the present phase began.', { type: 'string', format: 'date-time' }),
      step: described('The step whose nodes, and those of steps before it, take it; from 0.', integer(0, 100_000)),
      steps: integer(0, 100_000),
      well: described('Nodes that are well with it, and all: 3/40.', text),
      nodes: described(
        'Every node there was when the trial began.',
        atomicList(
          object({
            name: required(textUpTo(253)),
            step: required(integer(0, 100_000)),
            state: required(oneOf('Pending', 'Taken', 'Well', 'Reverted', 'Absent')),
            message: textUpTo(1024),
          }),
          { maxItems: 10_000 },
        ),
      ),
    }),
  ),
  columns: [
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Well', type: 'string', jsonPath: '.status.well', description: 'Nodes that are well with it, and all' },
    { name: 'Message', type: 'string', jsonPath: '.status.message' },
    ageColumn,
  ],
});
