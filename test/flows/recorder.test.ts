import { expect } from 'chai';
import { DENY_PREFIX, denyId, type DenyPoint } from '@tortie/policy';
import type { Connection } from '../../src/flows/flow.js';
import { begins, connection, ends, networkPolicy, reported, testNode } from './world.js';

const DB_POLICY = networkPolicy('shop', 'db', {
  podSelector: { matchLabels: { app: 'db' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 5432 }] }],
});
const TIER_END: DenyPoint = { type: 'tier-end', direction: 'ingress', tier: 'default' };

describe('flows: recorder', () => {
  it('sums the connections of replicas, with the rule that let them pass', () => {
    const { recorder } = testNode([DB_POLICY]);
    for (const [index, from] of ['10.65.0.1', '10.65.0.2'].entries()) {
      const talk = { from, to: '10.65.0.10', port: 5432, id: index + 1 };
      recorder.takeConnection(begins(talk), 1_000);
      recorder.takeConnection(ends(talk), 5_000);
    }
    const flows = recorder.close();
    expect(flows).to.have.length(1);
    expect(flows[0]).to.deep.include({
      node: 'n1',
      reporter: 'both',
      protocol: 'TCP',
      port: 5432,
      verdict: 'allowed',
      begun: 2,
      ended: 2,
      start: 1_000,
      last: 5_000,
      sent: { packets: 4, bytes: 200 },
      answered: { packets: 6, bytes: 2_000 },
    });
    expect(flows[0]?.from).to.include({ type: 'pod', namespace: 'shop', name: 'web-7d9-a' });
    expect(flows[0]?.from.owner).to.deep.equal({ kind: 'Deployment', name: 'web' });
    expect(flows[0]?.to).to.include({ namespace: 'shop', name: 'db-0' });
    expect(flows[0]?.egress?.decision).to.deep.equal({ type: 'default-allow' });
    expect(flows[0]?.ingress?.decision).to.deep.include({ type: 'rule', rule: 0, action: 'allow' });
    expect(recorder.close()).to.deep.equal([]);
  });

  it('leaves out what no pod of this node has to do with', () => {
    const { recorder } = testNode();
    recorder.takeConnection(begins({ from: '192.0.2.11', to: '10.65.1.1' }), 1);
    recorder.takeConnection(ends({ from: '198.51.100.1', to: '192.0.2.11' }), 1);
    expect(recorder.close()).to.deep.equal([]);
  });

  it('tells only the decision of the end that is here, and the other end by name or address', () => {
    const { recorder } = testNode([DB_POLICY]);
    recorder.takeConnection(begins({ from: '10.65.0.1', to: '10.65.1.1', id: 1 }), 1);
    recorder.takeConnection(begins({ from: '198.51.100.1', to: '10.65.0.1', id: 2 }), 1);
    recorder.takeConnection(begins({ from: '192.0.2.11', to: '10.65.0.1', id: 3 }), 1);
    const flows = recorder.close();
    expect(flows.map(({ reporter }) => reporter)).to.deep.equal(['source', 'destination', 'destination']);
    expect(flows[0]?.to).to.include({ namespace: 'other', name: 'x' });
    expect(flows[0]).to.not.have.property('ingress');
    expect(flows[1]?.from).to.deep.equal({ type: 'outside', address: '198.51.100.1' });
    expect(flows[2]?.from).to.deep.equal({ type: 'node', name: 'n1', address: '192.0.2.11' });
  });

  it('names the Service that the client spoke to', () => {
    const service = { namespace: 'shop', name: 'db', port: 5000 };
    const { recorder } = testNode([], new Map([['10.96.0.1 6 5000', service]]));
    recorder.takeConnection(
      begins({ from: '10.65.0.1', to: '10.65.0.10', port: 5432, through: ['10.96.0.1', 5000] }),
      1,
    );
    expect(recorder.close()[0]).to.deep.include({ service, port: 5432 });
  });

  it('counts an end with what decided when the connection began, whatever the rules are then', () => {
    const { recorder, engine } = testNode([DB_POLICY]);
    const talk = { from: '10.65.0.1', to: '10.65.0.10', port: 5432, id: 9 };
    recorder.takeConnection(begins(talk), 1);
    recorder.close();
    engine.apply(networkPolicy('shop', 'db', { podSelector: {}, ingress: [] }));
    engine.flush();
    recorder.takeConnection(ends(talk), 2);
    expect(recorder.close()[0]?.ingress?.decision).to.deep.include({ type: 'rule', rule: 0 });
    // One that nobody saw begin: the rules of now would not let it.
    recorder.takeConnection(ends({ ...talk, id: 10 }), 3);
    const [flow] = recorder.close();
    expect(flow?.verdict).to.equal('allowed');
    expect(flow?.ingress).to.deep.include({
      allowed: true,
      decision: { type: 'exempt', why: 'the rules were others when it began' },
    });
  });

  it('asks again when rules change, and by source port where rules look at it', () => {
    const { recorder, engine } = testNode();
    const talk = { from: '10.65.1.1', to: '10.65.0.10', port: 5432 };
    recorder.takeConnection(begins({ ...talk, id: 1 }), 1);
    engine.apply({
      type: 'upsert',
      kind: 'GlobalNetworkPolicy',
      object: {
        metadata: { name: 'ports' },
        spec: {
          selector: "app == 'db'",
          types: ['Ingress'],
          ingress: [
            { action: 'Allow', protocol: 'TCP', source: { ports: [1000] } },
            { action: 'Allow', protocol: 'TCP' },
          ],
        },
      } as never,
    });
    engine.flush();
    for (const [id, sourcePort] of [1000, 2000].entries())
      recorder.takeConnection(begins({ ...talk, id: id + 2, sourcePort }), 2);
    const decisions = recorder.close().map(({ ingress }) => ingress?.decision);
    expect(decisions.map((one) => (one?.type === 'rule' ? one.rule : one?.type))).to.deep.equal([
      'default-allow',
      0,
      1,
    ]);
  });

  it('tells an attempt that is denied once, however often its packet is repeated', () => {
    const { recorder, options } = testNode([DB_POLICY]);
    const heard: Connection[] = [];
    options.onConnection = (one) => heard.push(one);
    const prefix = `${DENY_PREFIX}${denyId(TIER_END)}`;
    const talk = { from: '10.65.1.1', to: '10.65.0.10', port: 5432 };
    for (const at of [0, 1_000, 3_000]) recorder.takeDenied(reported(prefix, talk), at);
    recorder.takeDenied(reported(prefix, { ...talk, sourcePort: 40_001 }), 4_000);
    expect(heard.map(({ happening, sourcePort }) => `${happening} ${sourcePort}`)).to.deep.equal([
      'denied 40000',
      'denied 40001',
    ]);
    const [flow] = recorder.close();
    expect(flow).to.deep.include({ verdict: 'denied', begun: 2, ended: 0, sent: { packets: 4, bytes: 240 } });
    expect(flow?.ingress?.decision).to.deep.equal({
      type: 'tier-default',
      tier: 'default',
      policies: [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'db' }],
    });
  });

  it('does not listen to prefixes that are not ours, and counts reports of rules that are gone', () => {
    const { recorder } = testNode([DB_POLICY]);
    recorder.takeDenied(reported('calico-packet', { from: '10.65.1.1', to: '10.65.0.10' }), 1);
    expect(recorder.lost.subjects).to.equal(0);
    recorder.takeDenied(reported(`${DENY_PREFIX}xxxxxxxxxxxxxxxxxx`, { from: '10.65.1.1', to: '10.65.0.10' }), 1);
    expect(recorder.close()).to.deep.equal([]);
    expect(recorder.lost.subjects).to.equal(1);
  });

  it('tells what staged policies would have done', () => {
    const { recorder } = testNode([
      {
        type: 'upsert',
        kind: 'StagedNetworkPolicy',
        object: {
          metadata: { namespace: 'shop', name: 'lockdown' },
          spec: { selector: "app == 'db'", types: ['Ingress'], ingress: [{ action: 'Deny' }] },
        } as never,
      },
    ]);
    recorder.takeConnection(begins({ from: '10.65.0.1', to: '10.65.0.10' }), 1);
    expect(recorder.close()[0]?.ingress?.staged).to.deep.equal([
      {
        tier: 'default',
        policy: { kind: 'StagedNetworkPolicy', namespace: 'shop', name: 'lockdown' },
        rule: 0,
        action: 'deny',
      },
    ]);
  });

  it('is bounded whoever scans, and says what it left out', () => {
    const { recorder } = testNode();
    for (let i = 0; i < 30_000; i++)
      recorder.takeConnection(
        begins({ from: `198.51.${i >> 8}.${i & 255}`, to: '10.65.0.1', port: 1 + (i % 20_000), id: i }),
        1,
      );
    const flows = recorder.close();
    expect(flows.length).to.be.at.most(12_288);
    expect(flows.some(({ from }) => from.type === 'outside' && from.address === undefined)).to.equal(true);
    expect(flows.some(({ port }) => port === 0)).to.equal(true);
    expect(flows.reduce((sum, { begun }) => sum + begun, 0) + recorder.lost.subjects).to.equal(30_000);
  });

  it('says when the last packet was', () => {
    const { recorder, options } = testNode();
    const heard: Connection[] = [];
    options.onConnection = (one) => heard.push(one);
    recorder.takeConnection(ends({ from: '10.65.0.1', to: '10.65.0.10' }), 50_000);
    expect(heard[0]).to.include({ happening: 'ended', start: 1_000, last: 11_000, at: 50_000 });
    expect(connection({ from: '1.1.1.1', to: '2.2.2.2' }).isCounted).to.equal(true);
  });
});
