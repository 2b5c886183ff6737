/** Events beside Services and their slices: from one agent, once for a text, anew for another object; a taken NodePort from its node. */
import { expect } from 'chai';
import { ServiceEvents, type ServiceTroubles } from '../../../src/agent/services/service-events.js';
import type { Problem } from '@tortie/policy/problem';
import type { Happening } from '../../../src/cluster/event-recorder.js';

const NOTHING: ServiceTroubles = { objects: [], ports: [] };
const refused = (kind: 'Service' | 'EndpointSlice', ...messages: readonly string[]): ServiceTroubles => ({
  objects: [{ kind, namespace: 'shop', name: 'web', problems: messages.map(problem) }],
  ports: [],
});
const problem = (message: string): Problem => ({
  field: 'spec',
  value: '1',
  expected: 'x',
  reason: 'FieldValueInvalid',
  message,
});

describe('agent/service-events', () => {
  let isLeader: boolean;
  let uid: string | undefined;
  let troubles: ServiceTroubles;
  let said: Happening[];
  let events: ServiceEvents;
  beforeEach(() => {
    [isLeader, uid, troubles, said] = [true, 'u1', NOTHING, []];
    events = new ServiceEvents({
      node: 'n1',
      troubles: () => troubles,
      find: (_kind, namespace, name) => (uid === undefined ? undefined : { metadata: { namespace, name, uid } }),
      isLeader: () => isLeader,
      record: (happening) => said.push(happening),
    });
  });

  const heard = (now: ServiceTroubles): readonly string[] => {
    troubles = now;
    said = [];
    events.level();
    return said.map(({ kind, reason, object, note }) => `${kind} ${object.metadata.uid ?? ''} ${reason}: ${note}`);
  };

  it('says what is wrong once, again when it was well between, and for another object of the name', () => {
    expect(heard(refused('Service', 'a', 'b'))).to.deep.equal([
      'services u1 ServiceRefused: a',
      'services u1 ServiceRefused: b',
    ]);
    expect(heard(refused('Service', 'a', 'b'))).to.deep.equal([]);
    expect(heard(refused('Service', 'b', 'c'))).to.deep.equal(['services u1 ServiceRefused: c']);
    expect(heard(NOTHING)).to.deep.equal([]);
    expect(heard(refused('Service', 'b'))).to.deep.equal(['services u1 ServiceRefused: b']);
    uid = 'u2';
    expect(heard(refused('Service', 'b'))).to.deep.equal(['services u2 ServiceRefused: b']);
    expect(heard(refused('EndpointSlice', 'b'))).to.deep.equal(['endpointSlices u2 EndpointSliceRefused: b']);
    uid = undefined;
    expect(heard(refused('EndpointSlice', 'x'))).to.deep.equal([]);
  });

  it('leaves what every node finds to the elected agent, who tells it when it becomes that', () => {
    isLeader = false;
    expect(heard(refused('Service', 'a'))).to.deep.equal([]);
    isLeader = true;
    expect(heard(refused('Service', 'a'))).to.deep.equal(['services u1 ServiceRefused: a']);
  });

  it('tells of ports of its own node, elected or not', () => {
    isLeader = false;
    const taken = { objects: [], ports: [{ namespace: 'shop', name: 'web', text: 'Service shop/web: taken' }] };
    expect(heard(taken)).to.deep.equal(['services u1 NodePortTaken: Node n1: Service shop/web: taken']);
    expect(heard(taken)).to.deep.equal([]);
  });
});
