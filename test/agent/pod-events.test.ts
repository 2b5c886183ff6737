/** Events beside pods of this node: refusals once, failures by their kind. */
import { NoAddressError } from '@tortie/ipam';
import { expect } from 'chai';
import { FormerPodError, TryAgainError } from '../../src/agent/pod-identity.js';
import { PodEvents } from '../../src/agent/pod-events.js';
import type { Pod } from '../../src/api/core.js';
import type { Happening } from '../../src/cluster/event-recorder.js';

const REFUSED = 'cni.projectcalico.org/hwAddr';

describe('agent/pod-events', () => {
  const here = new Set<string>();
  let pods: Map<string, Pod>;
  let said: Happening[];
  let events: PodEvents;

  const put = (annotations: Readonly<Record<string, string>>, uid = 'u1'): Pod => {
    const pod = { metadata: { name: 'web', namespace: 'shop', uid, annotations }, spec: {} } as unknown as Pod;
    pods.set('shop/web', pod);
    events.changed(pod);
    return pod;
  };
  const heard = (): readonly string[] => {
    const texts = said.map(({ reason, object }) => `${reason} ${object.metadata.uid ?? ''}`);
    said = [];
    return texts;
  };

  beforeEach(() => {
    here.clear();
    here.add('shop/web');
    pods = new Map();
    said = [];
    events = new PodEvents({
      record: (happening) => said.push(happening),
      pod: (namespace, name) => pods.get(`${namespace}/${name}`),
      isHere: (namespace, name) => here.has(`${namespace}/${name}`),
    });
  });

  it('says what is refused once, again when it is another value or another pod', () => {
    put({ [REFUSED]: '1' });
    expect(said[0]?.note).to.match(/^metadata.annotations\[cni.projectcalico.org\/hwAddr\] is "1"; expected/);
    expect(heard()).to.deep.equal(['AnnotationRefused u1']);
    put({ [REFUSED]: '1', other: 'x' });
    expect(heard()).to.deep.equal([]);
    put({ [REFUSED]: '2' });
    expect(heard()).to.deep.equal(['AnnotationRefused u1']);
    put({});
    put({ [REFUSED]: '2' });
    expect(heard()).to.deep.equal(['AnnotationRefused u1']);
    put({ [REFUSED]: '2' }, 'u2');
    expect(heard()).to.deep.equal(['AnnotationRefused u2']);
  });

  it('speaks of pods that live here only, from when they do', () => {
    here.clear();
    put({ [REFUSED]: '1' });
    expect(heard()).to.deep.equal([]);
    events.attached({ namespace: 'shop', pod: 'web', uid: 'u1' });
    expect(heard()).to.deep.equal(['AnnotationRefused u1']);
  });

  it('tells a full pool from other failures, and nothing of sandboxes of before', () => {
    const call = { namespace: 'shop', pod: 'web', uid: 'u9' };
    events.attachFailed(call, new NoAddressError('all are in use', 4));
    events.attachFailed(call, new TryAgainError('not yet'));
    events.attachFailed(call, new FormerPodError('gone'));
    expect(heard()).to.deep.equal(['AddressUnavailable u9', 'AttachFailed u9']);
  });

  it('names a static pod by the UID of its object', () => {
    put({ 'kubernetes.io/config.mirror': 'hash' });
    events.attachWaits({ namespace: 'shop', pod: 'web', uid: 'hash' }, 'an address', 3);
    expect(said[0]?.note).to.equal('Pod "shop/web" has waited 3 s to be connected: for an address');
    expect(heard()).to.deep.equal(['AttachDelayed u1']);
  });
});
