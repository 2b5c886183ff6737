/** `tortie service show` and `explain` on the objects of test/fixtures/services/shop.yaml. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseObjects } from '../../src/policy/objects.js';
import { explainConnection, formatAnswer, parseServiceEnd } from '../../src/services/explain.js';
import { serviceWorld, type ServiceWorld } from '../../src/services/objects.js';
import { formatService, formatServices } from '../../src/services/show.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const objects = parseObjects(readFileSync(join(root, 'test/fixtures/services/shop.yaml'), 'utf8'), 'shop.yaml');

const show = (world: ServiceWorld): string => {
  const view = world.engine.service('shop', 'web');
  if (view === undefined) throw new Error('No Service shop/web');
  return formatService(world, 'shop/web', view, world.engine.problemsOf('shop', 'web'));
};

describe('tortie service', () => {
  it('shows every address, who is chosen, and why the others are not', () => {
    expect(show(serviceWorld(objects, [], 'node1'))).to.equal(
      [
        'shop/web, as node node1 serves it',
        '  internal traffic Cluster, external traffic Local',
        '  problem of Service shop/web: spec.externalIPs[0]: Invalid value: "127.0.0.1": must not be a loopback address',
        '',
        'http 80/TCP, IPv4',
        '  cluster IP 10.96.0.1:80/TCP: pod to all endpoints; node to all endpoints; outside to all endpoints, masqueraded',
        '  node port 30080/TCP: pod to all endpoints; node to all endpoints, masqueraded; outside to endpoints of this node',
        '  10.65.0.1:8080 pod shop/web-1 on node1  chosen',
        '  10.65.1.1:8080 pod shop/web-2 on node2  chosen',
        '  10.65.1.2:8080 pod shop/web-3 on node2  not chosen: not ready',
      ].join('\n'),
    );
    expect(formatServices(serviceWorld(objects, [], 'node1'))).to.match(
      /^SERVICE .*\nshop\/web +80\/TCP http +10\.96\.0\.1 +2 of 3 +1$/,
    );
  });

  it('looks from another node', () => {
    const withNode = [...objects, { kind: 'Node' as const, object: { metadata: { name: 'node3' } } }];
    expect(show(serviceWorld(withNode, [], 'node3'))).to.include('outside dropped, no endpoint on this node');
    expect(() => serviceWorld(objects, [], 'node9')).to.throw('Cannot look from node "node9": expected one of node1');
  });

  it('explains choice, policy, source and route, in order', () => {
    const world = serviceWorld(objects, [], 'node1');
    const question = {
      from: { type: 'pod', namespace: 'shop', name: 'cart' },
      ...parseServiceEnd('shop/web:http'),
      family: 4,
    } as const;
    const lines = formatAnswer(question, explainConnection(world, question)).split('\n');
    expect(lines[0]).to.equal('10.65.0.9 to shop/web, 10.96.0.1 port 80/TCP');
    expect(lines[2]).to.equal('2. the choice: one of 2, by chance');
    expect(lines[4]).to.match(/policy: DENIED: .*selected by NetworkPolicy shop\/closed/);
    expect(lines[5]).to.equal('     source that arrives: 10.65.0.9');
    expect(lines[10]).to.equal("     route: BGP's route to node node2");
  });

  it('says what it cannot explain', () => {
    const world = serviceWorld(objects, [], 'node1');
    const from = { type: 'pod', namespace: 'shop', name: 'cart' } as const;
    const ask =
      (to: string, family: 4 | 6 = 4) =>
      () =>
        explainConnection(world, { from, ...parseServiceEnd(to), family });
    expect(ask('shop/other')).to.throw('Cannot explain Service "shop/other": there is none');
    expect(ask('shop/web:443')).to.throw(
      'Cannot explain port "443" of Service "shop/web" in IPv4: expected one of http',
    );
    expect(ask('shop/web', 6)).to.throw('expected one of none, it has no such address');
    expect(ask('web')).to.throw('expected NAMESPACE/NAME:PORT');
  });
});
