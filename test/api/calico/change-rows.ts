/** Change. */
import { acts, type Proof, type Section } from './table.js';

const rollout = (title: string): Proof => ['test/change/rollout.test.ts', title];
const trial = (title: string): Proof => ['test/change/trial.test.ts', title];
const layers = (title: string): Proof => ['test/change/object-layers.test.ts', title];
const shows = layers('show what a Change says, and the plain objects again when they are taken away');
const steps = rollout('steps: canaries first, then so many at a time, by name; every node once');
const goes = rollout('begins, and goes to the next step only when all of the last are well');
const ends = rollout('ends for all when one node went back, and is over when each that had it is back');
const worse = trial('what is worse than before, and nothing that was so');
const refused = rollout('refuses what no node can take, and says why');
const ROLLOUT = 'src/change/rollout.ts';
const TRIAL = 'src/change/trial.ts';
const OVERLAY = 'src/change/overlay.ts';

export const changeSections: readonly Section[] = [
  {
    kinds: ['Change'],
    about: 'Ours (tortie.dev/v1alpha1): objects on trial, made by `tortie apply --confirm` ([change.md](change.md)).',
    rows: [
      acts('spec', 'What is on trial, and how', ROLLOUT, goes),
      acts(
        'spec.confirmSeconds',
        'A node goes back by itself when nobody has confirmed so long after it took the Change',
        TRIAL,
        trial('time that is up and an API server that is away end it'),
      ),
      acts('spec.canary', 'These nodes first; each has to be there', ROLLOUT, refused),
      acts('spec.stepSize', 'Then so many at a time, by name', ROLLOUT, steps),
      acts('spec.minSessions', 'Sessions that a node must keep; default: as many as it had', TRIAL, worse),
      acts('spec.probes', 'TCP connections that nodes must go on being able to make', TRIAL, worse),
      acts('spec.objects', 'What becomes of each object', OVERLAY, shows),
      acts(
        'spec.objects[].{apiVersion,kind,name,namespace}',
        'Which object; of a kind that a Change carries',
        OVERLAY,
        refused,
      ),
      acts('spec.objects[].object', 'The whole object as it will stand', OVERLAY, shows),
      acts('spec.objects[].given', 'What confirming applies', 'src/change/confirm.ts', [
        'test/lab/rack-change.test.ts',
        'is taken step by step, stays when it is confirmed, and is plain then',
      ]),
      acts(
        'spec.objects[].{labels,removedLabels}',
        'Labels of a Node or Namespace that are set, and that go',
        OVERLAY,
        shows,
      ),
      acts('spec.objects[].remove', 'The object goes', OVERLAY, shows),
      acts('status', 'How it goes', ROLLOUT, goes),
      acts('status.{phase,message,since}', 'Where it is, why, and since when', ROLLOUT, ends),
      acts(
        'status.observedGeneration',
        'Of the spec that is on trial: another one ends it',
        ROLLOUT,
        rollout('ends when the spec is changed meanwhile, and when time is up though no node took it'),
      ),
      acts('status.{step,steps,well}', 'How far it has come', ROLLOUT, goes),
      acts(
        'status.{nodes,nodes[].name,nodes[].step,nodes[].state,nodes[].message}',
        'How each node is with it',
        ROLLOUT,
        ends,
      ),
    ],
  },
];
