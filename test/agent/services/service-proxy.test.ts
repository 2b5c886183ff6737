/** Whether Services are served, what is written, and kube-proxy's ports, with a kernel that only notes. */
import { expect } from 'chai';
import { get } from 'node:http';
import type { Ruleset, RulesetDelta } from '@tortie/policy/ruleset';
import type { TrackedConnection } from '../../../src/dataplane/netlink/service-connections.js';
import { Cluster } from '../../../src/cluster/cluster.js';
import { portsIn } from '../../../src/dataplane/listening-ports.js';
import { createLogger } from '../../../src/log.js';
import { Listener } from '../../../src/agent/services/listener.js';
import { chooseServing } from '../../../src/agent/services/proxy-choice.js';
import { LATE_AFTER, ProxyHealth } from '../../../src/agent/services/proxy-health.js';
import { parseServiceFlags, type ServiceFlags } from '../../../src/agent/services/service-flags.js';
import { ServiceProxy, type ServiceSettings } from '../../../src/agent/services/service-proxy.js';

const log = createLogger('test', { level: 'silent' });
const ANY_PORT = { host: '127.0.0.1', port: 0 } as const;

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly weight: string | undefined;
}

const ask = (port: number, path: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body,
          weight: response.headers['x-load-balancing-endpoint-weight'] as string | undefined,
        }),
      );
    }).on('error', reject);
  });

const freePort = async (): Promise<number> => {
  const listener = new Listener(
    'a test',
    ANY_PORT,
    () => undefined,
    () => undefined,
  );
  while (listener.port === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  const { port } = listener;
  listener.close();
  return port;
};

const soon = async (what: string, check: () => boolean): Promise<void> => {
  const end = Date.now() + 10_000;
  while (!check()) {
    if (Date.now() > end) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

class World {
  readonly cluster = new Cluster(['nodes', 'endpointSlices', 'ipPools'], ['services']);
  readonly written: string[] = [];
  readonly judged: boolean[] = [];
  rules: string | undefined;
  answersHealth = false;
  tracked: readonly TrackedConnection[] = [];
  /** What the next walk of the tracked connections fails with. */
  walkError: Error | undefined;
  /** What the next writes of the whole fail with. */
  syncError: Error | undefined;
  /** What the kernel does not take. */
  failures: readonly { readonly subject: string; readonly message: string }[] = [];
  listed: Promise<void> = Promise.resolve();
  last: Ruleset | undefined;
  /** How often something was told to have become well, or ill. */
  news = 0;
  readonly proxy: ServiceProxy;

  constructor(readonly settings: ServiceSettings) {
    this.proxy = new ServiceProxy({
      node: 'n1',
      settings,
      families: [4, 6],
      cluster: this.cluster,
      kernel: {
        netfilter: {
          sync: async (ruleset: Ruleset) => {
            if (this.syncError !== undefined) throw this.syncError;
            this.written.push(ruleset.chains.size === 0 ? 'nothing' : 'whole');
            this.last = ruleset;
            return { failures: this.failures };
          },
          apply: async (delta: RulesetDelta) => {
            this.written.push(`delta of ${delta.chainsUpserted.length} chains`);
            return { failures: [] };
          },
          failures: () => this.failures,
        },
        mode: () => 'nftables',
        kubeProxyRules: async () => this.rules,
        forgetStaleConnections: async (isStale) => {
          const { walkError } = this;
          this.walkError = undefined;
          if (walkError !== undefined) throw walkError;
          const stale = this.tracked.filter(isStale);
          for (const one of this.tracked) this.judged.push(stale.includes(one));
          return stale.length;
        },
        nodeAddresses: () => new Set(['192.0.2.1']),
        listeningPorts: () => new Set(['tcp:30053', 'udp:30054']),
      },
      needServices: () => this.listed,
      asksHealth: async () => this.answersHealth,
      log,
      onHealth: () => void this.news++,
    });
    this.cluster.onChange((change) => this.proxy.take(change));
  }

  service(spec: object = {}): void {
    this.cluster.upsert('services', {
      metadata: { namespace: 'shop', name: 'web' },
      spec: { clusterIPs: ['10.96.0.1'], ports: [{ port: 53, protocol: 'UDP' }], ...spec },
    });
  }

  slice(address: string, node = 'n1', ending: readonly string[] = [], endingOn = node): void {
    this.cluster.upsert('endpointSlices', {
      metadata: { namespace: 'shop', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [{ port: 53, protocol: 'UDP' }],
      endpoints: [
        { addresses: [address], nodeName: node },
        ...ending.map((one) => ({ addresses: [one], nodeName: endingOn, conditions: ENDING })),
      ],
    });
  }
}

const ENDING = { ready: false, serving: true, terminating: true };

const settings = async (setting: ServiceSettings['setting'] = 'auto'): Promise<ServiceSettings> => ({
  setting,
  healthAddress: { host: '127.0.0.1', port: await freePort() },
  metricsAddress: { host: '127.0.0.1', port: await freePort() },
});

describe('agent/service-proxy', () => {
  let world: World;
  afterEach(() => world?.proxy.stop());

  it('auto gives way to a kube-proxy: its rules, or its health port', () => {
    const none = { rules: undefined, answersHealth: false };
    expect(chooseServing('auto', none).serves).to.equal(true);
    expect(chooseServing('auto', { ...none, answersHealth: true })).to.deep.equal({
      serves: false,
      reason: 'kube-proxy answers on its health port of this node',
    });
    const withRules = { ...none, rules: 'chain KUBE-SERVICES stands in iptables (IPv4, nft)' };
    expect(chooseServing('auto', withRules).serves).to.equal(false);
    expect(chooseServing('on', withRules).serves).to.equal(true);
    expect(chooseServing('off', none).serves).to.equal(false);
  });

  it('serves what is known and what comes, forgets what became stale, and answers as kube-proxy does', async () => {
    world = new World(await settings());
    world.service();
    world.slice('10.65.0.1');
    world.cluster.upsert('nodes', { metadata: { name: 'n1' } });
    await world.proxy.start();
    expect(world.written).to.deep.equal(['whole']);
    expect([...(world.last?.maps.get('nat/TORTIE-SVC4')?.entries.keys() ?? [])]).to.deep.equal(['10.96.0.1,udp:53']);
    expect(world.proxy.notice()).to.equal('Services are served: no kube-proxy is on this node');
    world.tracked = ['10.65.0.1', '10.65.0.2'].map((server) => ({
      family: 4,
      protocol: 'udp',
      destination: '10.96.0.1',
      destinationPort: 53,
      server,
      serverPort: 53,
    }));
    world.slice('10.65.0.2');
    await soon('the change', () => world.judged.length > 0);
    expect(world.judged).to.deep.equal([true, false]);
    const { healthAddress, metricsAddress } = world.settings;
    const health = await ask(healthAddress.port, '/healthz');
    expect([health.status, (JSON.parse(health.body) as { nodeEligible: boolean }).nodeEligible]).to.deep.equal([
      200,
      true,
    ]);
    expect((await ask(healthAddress.port, '/livez')).status).to.equal(200);
    expect((await ask(metricsAddress.port, '/proxyMode')).body).to.equal('nftables');
    const { body } = await ask(metricsAddress.port, '/metrics');
    expect(body).to.include('kubeproxy_sync_proxy_rules_endpoint_changes_total 1\n');
    expect(body).to.include('kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1\n');
    expect(body).to.include('kubeproxy_proxy_healthz_total{code="200"} 1\n');
    expect((await ask(metricsAddress.port, '/other')).status).to.equal(404);
    world.cluster.upsert('nodes', {
      metadata: { name: 'n1' },
      spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] },
    });
    expect((await ask(healthAddress.port, '/healthz')).status).to.equal(503);
    expect((await ask(healthAddress.port, '/livez')).status).to.equal(200);
  });

  it('forgets an endpoint that left the rules before it left its slice, and waits for nothing afterwards', async () => {
    world = new World(await settings());
    world.service();
    world.slice('10.65.0.1', 'n1', ['10.65.0.2']);
    world.cluster.upsert('nodes', { metadata: { name: 'n1' } });
    world.tracked = ['10.65.0.1', '10.65.0.2'].map((server) => ({
      family: 4,
      protocol: 'udp',
      destination: '10.96.0.1',
      destinationPort: 53,
      server,
      serverPort: 53,
    }));
    await world.proxy.start();
    await soon('the first walk', () => world.judged.length > 0);
    expect(world.judged.splice(0), 'while it serves').to.deep.equal([false, false]);
    world.slice('10.65.0.1');
    await soon('the walk', () => world.judged.length > 0);
    expect(world.judged).to.deep.equal([false, true]);
    expect(world.written, 'its rules stood').to.deep.equal(['whole']);
    const { body } = await ask(world.settings.metricsAddress.port, '/metrics');
    expect(body).to.include('kubeproxy_sync_proxy_rules_endpoint_changes_pending 0\n');
  });

  it('repeats a walk that failed, though nothing else changes', async () => {
    world = new World(await settings());
    world.service();
    world.slice('10.65.0.1');
    world.tracked = [
      {
        family: 4,
        protocol: 'udp',
        destination: '10.96.0.1',
        destinationPort: 53,
        server: '10.65.0.2',
        serverPort: 53,
      },
    ];
    world.walkError = new Error('ENOBUFS');
    await world.proxy.start();
    await soon('the second walk', () => world.judged.length > 0);
    expect(world.judged).to.deep.equal([true]);
  }).timeout(20_000);

  it('serves nothing beside a kube-proxy, and takes away what an earlier agent left', async () => {
    world = new World(await settings());
    world.rules = 'nftables has a table "kube-proxy"';
    world.service();
    await world.proxy.start();
    expect(world.written).to.deep.equal(['nothing']);
    expect(world.proxy.notice()).to.match(/^Services are not served: kube-proxy's rules are there/);
    expect(world.proxy.warnings()).to.deep.equal([]);
    world.slice('10.65.0.1');
    expect(world.written).to.deep.equal(['nothing']);
  });

  it('does not say that Services are served before it knows any', async () => {
    world = new World(await settings());
    let isListed = (): void => undefined;
    world.listed = new Promise((resolve) => (isListed = resolve));
    const started = world.proxy.start();
    await soon('the choice', () => world.proxy.notice().startsWith('Services are served'));
    expect(world.proxy.problems()).to.deep.equal([
      'Cannot serve Services yet: the API server has not listed them; expected the right to list and watch services',
    ]);
    isListed();
    await started;
    expect(world.proxy.problems()).to.deep.equal([]);
  });

  it('says what keeps rules of an earlier agent in the kernel', async () => {
    world = new World(await settings('off'));
    world.failures = [{ subject: 'nat/TORTIE-SPRE', message: 'Cannot delete chain TORTIE-SPRE: busy' }];
    await world.proxy.start();
    expect(world.proxy.problems()).to.deep.equal(['Cannot delete chain TORTIE-SPRE: busy']);
    world.proxy.stop();
    world = new World(await settings('off'));
    world.syncError = new Error('no netlink');
    await world.proxy.start();
    expect(world.proxy.problems()).to.deep.equal(['Cannot take rules of Services away: no netlink']);
  });

  it('opens a health check port for a load balancer, and closes it with the Service', async () => {
    world = new World(await settings('on'));
    const port = await freePort();
    const spec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: port };
    const status = { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } };
    world.cluster.upsert('services', {
      metadata: { namespace: 'shop', name: 'web' },
      spec: { clusterIPs: ['10.96.0.1'], ports: [{ port: 53, protocol: 'UDP' }], ...spec } as object,
      status,
    });
    world.slice('10.65.0.1');
    await world.proxy.start();
    const local = await ask(port, '/');
    expect([local.status, local.weight]).to.deep.equal([200, '1']);
    expect(JSON.parse(local.body)).to.deep.equal({
      service: { namespace: 'shop', name: 'web' },
      localEndpoints: 1,
      serviceProxyHealthy: true,
    });
    // It ends, and serves those who come all the same, as long as there is no other one here.
    world.slice('10.65.1.1', 'n2', ['10.65.0.1'], 'n1');
    await soon('the end to be written', () => world.written.length > 1);
    const ending = await ask(port, '/');
    expect([ending.status, ending.weight]).to.deep.equal([503, '0']);
    world.slice('10.65.1.1', 'n2');
    await soon('the change', () => world.written.length > 2);
    expect((await ask(port, '/')).status).to.equal(503);
    world.service();
    await soon('the next', () => world.written.length > 3);
    const failure = await ask(port, '/').catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(Error);
  });

  it('names a port that somebody else has, and users’ mistakes', async () => {
    const taken = await settings('on');
    const other = new Listener(
      'another',
      taken.healthAddress,
      () => undefined,
      () => undefined,
    );
    try {
      while (other.port === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      world = new World(taken);
      world.service({ externalIPs: ['127.0.0.1'] });
      await world.proxy.start();
      await soon('the port to be refused', () => world.proxy.warnings().length > 1);
      expect(world.proxy.warnings()[0]).to.equal(
        'Service shop/web: spec.externalIPs[0]: Invalid value: "127.0.0.1": must not be a loopback address',
      );
      expect(world.proxy.warnings()[1]).to.match(/^Cannot answer load balancers .* EADDRINUSE/);
    } finally {
      other.close();
    }
  });

  it('tells at once when something becomes wrong with a Service that is served, and when it is mended', async () => {
    world = new World(await settings('on'));
    world.service();
    await world.proxy.start();
    await soon('its ports', () => world.proxy.warnings().length === 0);
    for (const externalIPs of [['127.0.0.1'], ['127.0.0.1', '192.0.2.7'], []]) {
      const [before, written] = [world.news, world.written.length];
      world.service({ externalIPs });
      if (externalIPs.length === 2) await soon('the write', () => world.written.length > written);
      else await soon('news', () => world.news > before);
      expect(world.proxy.troubles().objects).to.have.length(externalIPs.length === 0 ? 0 : 1);
    }
  });

  it('names a NodePort that a program of the node listens on', async () => {
    world = new World(await settings('on'));
    world.service({ type: 'NodePort', ports: [{ port: 53, protocol: 'UDP', nodePort: 30_054 }] });
    await world.proxy.start();
    expect(world.proxy.warnings()).to.deep.equal([
      'Service shop/web: a program of this node listens on its NodePort 30054/UDP too; connections go to the Service',
    ]);
  });

  it('reads which ports are listened on from the kernel', () => {
    const table =
      '  sl  local_address rem_address   st tx_queue\n' +
      '   0: 00000000:7570 00000000:0000 0A 0\n   1: 0100007F:7571 0100007F:1F90 01 0\n';
    expect(portsIn('tcp', table)).to.deep.equal(['tcp:30064']);
    expect(portsIn('udp', table)).to.deep.equal(['udp:30064']);
  });

  it('is unwell before the first write, and when a change waits too long', () => {
    let now = 1_000;
    const health = new ProxyHealth(() => now);
    expect(health.isHealthy).to.equal(false);
    health.updated();
    expect(health.isHealthy).to.equal(true);
    health.queued();
    now += LATE_AFTER - 1;
    expect(health.livez().isHealthy).to.equal(true);
    now += 1;
    expect(health.livez().isHealthy).to.equal(false);
    health.updated();
    expect(health.healthz(undefined)).to.include({ isHealthy: false, nodeEligible: false });
  });

  it('understands its options, and says what it does not', () => {
    const flags: ServiceFlags = {
      services: 'auto',
      serviceBackend: 'auto',
      serviceHealthAddress: ':10256',
      serviceMetricsAddress: '[::1]:10249',
    };
    expect(parseServiceFlags(flags)).to.deep.equal({
      setting: 'auto',
      healthAddress: { port: 10_256 },
      metricsAddress: { host: '::1', port: 10_249 },
    });
    expect(parseServiceFlags({ ...flags, nodePortAddresses: 'primary' }).nodePortAddresses).to.equal('primary');
    for (const [change, words] of [
      [{ services: 'maybe' }, /--services "maybe": expected auto, on, off/],
      [{ serviceBackend: 'ipvs' }, /does not balance with IPVS/],
      [{ serviceBackend: 'ebpf' }, /--service-backend "ebpf": expected auto/],
      [{ serviceHealthAddress: 'here' }, /--service-health-address "here": expected ADDRESS:PORT/],
      [{ nodePortAddresses: '10.0.0.0/8,x' }, /"x" is no CIDR/],
    ] as const)
      expect(() => parseServiceFlags({ ...flags, ...change }), JSON.stringify(change)).to.throw(words);
  });
});
