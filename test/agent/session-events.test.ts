import { expect } from 'chai';
import { SessionEvents } from '../../src/agent/session-events.js';
import { peer } from '../doctor/world.js';

describe('agent/session-events', () => {
  const said: string[] = [];
  const events = () => {
    said.length = 0;
    return new SessionEvents({
      node: 'n',
      record: ({ kind, object, type, reason, note }) =>
        void said.push(`${kind}/${object.metadata.name} ${type} ${reason}: ${note}`),
      get: (kind, name) => (kind === 'nodes' || name === 'rack' ? { metadata: { name } } : undefined),
    });
  };
  const down = { isEstablished: false, state: 'Active', lastError: 'refused\u001b[2J' } as const;

  it('say that a session went down and why, and that it came up, beside its BGPPeer', () => {
    const sessions = events();
    for (const look of [peer(), peer(down), peer(down), peer({ establishedCount: 2 }), peer({ establishedCount: 2 })])
      sessions.looked([look]);
    expect(said).to.deep.equal([
      'bgpPeers/rack Warning SessionDown: On node "n": Session with rack (192.0.2.254, AS 65001) went down: refused\\u001b[2J',
      'bgpPeers/rack Normal SessionUp: On node "n": Session with rack (192.0.2.254, AS 65001) came up',
    ]);
  });
  it('say what to correct in the words of resources', () => {
    const sessions = events();
    for (const look of [peer(), peer({ ...down, lastError: 'Configuration changed: remoteAs' })])
      sessions.looked([look]);
    expect(said[0]).to.match(/went down: Configuration changed: spec\.asNumber$/);
  });
  it('say of one of the mesh beside the Node, and of a flap between two looks', () => {
    const sessions = events();
    sessions.looked([peer({ name: 'mesh-b-v4' })]);
    sessions.looked([peer({ name: 'mesh-b-v4', establishedCount: 2, lastError: 'hold timer expired' })]);
    expect(said).to.deep.equal([
      'nodes/n Warning SessionFlapped: On node "n": Session with mesh-b-v4 (192.0.2.254, AS 65001) went down and came up again: ' +
        'hold timer expired',
    ]);
  });
  it('say nothing of what is there at the first look, and of a peer that is new or gone', () => {
    const sessions = events();
    sessions.looked([peer(down)]);
    sessions.looked([peer(down), peer({ name: 'new' })]);
    sessions.looked([]);
    expect(said).to.deep.equal([]);
  });
});
