/** What `kubectl explain` says of Changes. */
import type { Words } from './explained.js';

export const CHANGE_SPEC: Words = {
  'objects.apiVersion': 'Group and version of its kind, such as projectcalico.org/v3.',
  'objects.kind': 'Its kind, such as BGPPeer.',
  'objects.name': 'Its name.',
  'objects.namespace': 'Its namespace, where its kind has any.',
};

export const CHANGE_STATUS: Words = {
  phase:
    'Waiting: for another Change to end. Trial: nodes take it, step by step. Reverting: nodes go back. Reverted: all stands as before. ' +
    'Confirming: its objects are being written. Confirmed: they are plain ones.',
  observedGeneration: 'Of the spec that is on trial.',
  steps: 'How many steps there are.',
  'nodes.name': 'Its name.',
  'nodes.step': 'The step in which it takes the Change; from 0.',
  'nodes.state':
    'Pending: its step has not come. Taken: on trial. Well: as well as before. Reverted: back. Absent: its agent is not heard of.',
  'nodes.message': 'What is looked at, or why it went back.',
};
