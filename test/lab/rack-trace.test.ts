/**
 * What `tortie trace` says, held against packets: pods, nodes, outside and Services, both families, ways that end at each kind of object.
 * A trace that says "arrives" is right when every packet is answered, one that says it does not when some are not.
 */
import { expect } from 'chai';
import { attempt } from '../../src/lab/command.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { PROBER, tortieArgv } from '../../src/lab/tortie-argv.js';
import type { Trace } from '../../src/trace/trace-result.js';
import { apply, readyPod, soon, useRack } from './rack-fixture.js';

const FAMILIES = [4, 6] as const;
const PORT = 80;
const TIMES = 12;
const EXTERNAL = { 4: '192.0.2.130', 6: '2001:db8:2::2' } as const;

interface Case {
  readonly what: string;
  readonly from: string;
  readonly to: string;
  /** Where the packet is sent; default: the address of `to`. */
  readonly target?: (family: 4 | 6) => string;
  readonly arrives: boolean;
  /** The object that ends it. */
  readonly by?: RegExp;
  readonly isLive?: boolean;
}

const policy = (name: string, podSelector: object, spec: object): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'default' },
  spec: { podSelector, ...spec },
});
const service = (name: string, selector: object, more: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: {
    ipFamilyPolicy: 'RequireDualStack',
    selector,
    ports: [{ name: 'http', port: 8080, targetPort: PORT }],
    ...more,
  },
});

describe('a rack and what a trace says of it', function () {
  this.timeout(180_000);
  const rack = useRack('ttrc');
  const ips = new Map<string, readonly string[]>();
  const clusterIps = new Map<string, readonly string[]>();

  const of = (all: readonly string[] | undefined, family: 4 | 6): string =>
    all?.find((ip) => ip.includes(':') === (family === 6)) ?? '';
  const netnsOf = async (end: string): Promise<string> => {
    const view = rack();
    if (end === 'outside') return view.rack.outside[0]?.netns ?? '';
    if (end.startsWith('node:')) return view.rack.nodes.find(({ name }) => `node:${name}` === end)?.netns ?? '';
    return (await view.pod((pod) => `${pod.namespace}/${pod.name}` === end)).netns;
  };
  const outsideIp = (family: 4 | 6): string => rack().rack.outside[0]?.loopback[family === 4 ? 'ipv4' : 'ipv6'] ?? '';
  const nodeOf = (end: string): string => (end.startsWith('node:') ? end.slice(5) : (nodes.get(end) ?? ''));
  const nodes = new Map<string, string>();

  const trace = async (
    each: Case,
    family: 4 | 6,
  ): Promise<{ readonly code: number; readonly answer: Trace; readonly text: string }> => {
    const name = (end: string): string => (end === 'outside' ? outsideIp(family) : end);
    const argv = ['trace', '--from', name(each.from), '--to', name(each.to), '--family', String(family), '-o', 'json'];
    const target = each.to.includes(':') && !each.to.startsWith('node:') ? [] : ['--port', String(PORT)];
    const env = { ...process.env, KUBECONFIG: labPaths(rack().record.name).kubeconfig };
    const words = [...argv, ...target];
    if (each.isLive !== true) {
      const { code, stdout, stderr } = await attempt(tortieArgv(...words), undefined, { env });
      return { code: code ?? -1, answer: JSON.parse(stdout) as Trace, text: stdout + stderr };
    }
    const config = labPaths(rack().record.name).node(nodeOf(each.from)).kubeconfig;
    const stdout = await rack().output(
      nodeOf(each.from),
      'sh',
      '-c',
      `KUBECONFIG=${config} tortie ${words.join(' ')} --live; echo " $?"`,
    );
    const [, json = '', code = ''] = /^([\s\S]*\}) *\n? (\d+)\s*$/.exec(stdout) ?? [];
    return { code: Number(code), answer: JSON.parse(json) as Trace, text: stdout };
  };
  /** How many of TIMES connections were answered. */
  const answered = async (netns: string, address: string, port: number): Promise<number> => {
    const lines = Array.from({ length: TIMES }, (_, id) => `probe ${id} ${netns} tcp - ${address} ${port}`);
    const serve =
      address === outsideIp(4) || address === outsideIp(6)
        ? [`serve ${rack().rack.outside[0]?.netns} outside tcp ${port}`]
        : [];
    const { stdout } = await attempt(
      [PROBER, 'session', '--timeout', '800'],
      `${[...serve, ...lines, 'run all'].join('\n')}\n`,
    );
    return [...stdout.matchAll(/^\d+\tallow\t/gm)].length;
  };

  before(async () => {
    const view = rack();
    await view.kubectl([
      ...['patch', 'bgpconfiguration', 'default', '--type=merge', '-p'],
      JSON.stringify({ spec: { serviceExternalIPs: [{ cidr: '192.0.2.128/25' }, { cidr: '2001:db8:2::/64' }] } }),
    ]);
    const silent = (name: string, cidr: string): object => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name },
      spec: { cidr, disableBGPExport: true, assignmentMode: 'Manual' },
    });
    await apply(view, silent('silent4', '10.77.0.0/24'), silent('silent6', 'fd00:77::/120'));
    const quiet = {
      'cni.projectcalico.org/ipv4pools': '["silent4"]',
      'cni.projectcalico.org/ipv6pools': '["silent6"]',
    };
    for (const [name, node, labels, annotations] of [
      ['client', 'node1', { app: 'client' }, {}],
      ['muzzled', 'node1', { app: 'muzzled' }, {}],
      ['web-a', 'node1', { app: 'web' }, {}],
      ['web-b', 'node2', { app: 'web' }, {}],
      ['closed', 'node3', { app: 'closed' }, {}],
      ['mixed', 'node2', { app: 'mixed', part: 'open' }, {}],
      ['mixed-closed', 'node3', { app: 'mixed', part: 'closed' }, {}],
      ['silent', 'node2', { app: 'silent' }, quiet],
    ] as const) {
      const pod = await readyPod(view, name, { labels, annotations, spec: { nodeName: node } });
      ips.set(
        `default/${name}`,
        (pod.status.podIPs ?? []).map(({ ip }) => ip),
      );
      nodes.set(`default/${name}`, node);
    }
    await apply(
      view,
      policy('keep-out', { matchLabels: { app: 'closed' } }, { policyTypes: ['Ingress'] }),
      policy('keep-out-of-part', { matchLabels: { part: 'closed' } }, { policyTypes: ['Ingress'] }),
      policy('keep-in', { matchLabels: { app: 'muzzled' } }, { policyTypes: ['Egress'] }),
      service('web', { app: 'web' }, { type: 'NodePort', externalIPs: Object.values(EXTERNAL) }),
      service('mixed', { app: 'mixed' }),
      service('nobody', { app: 'nobody' }),
      service('here', { app: 'silent' }, { internalTrafficPolicy: 'Local' }),
    );
    for (const name of ['web', 'mixed', 'nobody', 'here'])
      clusterIps.set(
        `default/${name}`,
        JSON.parse(
          await view.kubectl(['get', 'service', name, '-o', 'jsonpath={.spec.clusterIPs}']),
        ) as readonly string[],
      );
    const client = await netnsOf('default/client');
    for (const family of FAMILIES)
      await soon(
        `IPv${family} to be served`,
        async () =>
          (await answered(client, of(clusterIps.get('default/web'), family), 8080)) === TIMES &&
          (await answered(await netnsOf('outside'), EXTERNAL[family], 8080)) === TIMES &&
          (await answered(await netnsOf('default/muzzled'), of(ips.get('default/web-a'), family), PORT)) === 0,
      );
  });

  const clusterIp =
    (name: string) =>
    (family: 4 | 6): string =>
      of(clusterIps.get(name), family);
  const cases: readonly Case[] = [
    { what: 'a pod to one of its node', from: 'default/client', to: 'default/web-a', arrives: true },
    { what: 'a pod to one of another node', from: 'default/client', to: 'default/web-b', arrives: true },
    {
      what: 'a pod to one that is closed',
      from: 'default/client',
      to: 'default/closed',
      arrives: false,
      by: /^NetworkPolicy default\/keep-out$/,
    },
    {
      what: 'a pod that may open nothing',
      from: 'default/muzzled',
      to: 'default/web-b',
      arrives: false,
      by: /^NetworkPolicy default\/keep-in$/,
    },
    {
      what: 'a pod to one whose addresses nobody is told',
      from: 'default/client',
      to: 'default/silent',
      arrives: false,
      by: /^IPPool\/silent[46]$/,
    },
    { what: 'a node to its own closed pod', from: 'node:node3', to: 'default/closed', arrives: true },
    {
      what: 'a node to a closed pod elsewhere',
      from: 'node:node1',
      to: 'default/closed',
      arrives: false,
      by: /keep-out/,
    },
    { what: 'outside to a pod', from: 'outside', to: 'default/web-b', arrives: true },
    { what: 'outside to a closed pod', from: 'outside', to: 'default/closed', arrives: false, by: /keep-out/ },
    {
      what: 'outside to a pod whose addresses nobody is told',
      from: 'outside',
      to: 'default/silent',
      arrives: false,
      by: /^IPPool\/silent[46]$/,
    },
    {
      what: 'a pod to a Service',
      from: 'default/client',
      to: 'default/web:http',
      target: clusterIp('default/web'),
      arrives: true,
    },
    {
      what: 'a pod to a Service with a closed endpoint',
      from: 'default/client',
      to: 'default/mixed:8080',
      target: clusterIp('default/mixed'),
      arrives: false,
      by: /keep-out-of-part/,
    },
    {
      what: 'a pod to a Service without endpoints',
      from: 'default/client',
      to: 'default/nobody:8080',
      target: clusterIp('default/nobody'),
      arrives: false,
      by: /^Service default\/nobody$/,
    },
    {
      what: 'a pod to a Local Service without an endpoint here',
      from: 'default/client',
      to: 'default/here:8080',
      target: clusterIp('default/here'),
      arrives: false,
      by: /^Service default\/here$/,
    },
    {
      what: 'outside to a Service',
      from: 'outside',
      to: 'default/web:8080',
      target: (family) => EXTERNAL[family],
      arrives: true,
    },
    {
      what: 'a pod to outside, as its node sees it',
      from: 'default/client',
      to: 'outside',
      arrives: true,
      isLive: true,
    },
    {
      what: 'a pod that may open nothing, to outside',
      from: 'default/muzzled',
      to: 'outside',
      arrives: false,
      by: /keep-in/,
    },
  ];
  for (const each of cases)
    for (const family of FAMILIES)
      it(`${each.what}, IPv${family}: ${each.arrives ? 'arrives' : 'does not'}`, async () => {
        const address =
          each.target?.(family) ?? (each.to === 'outside' ? outsideIp(family) : of(ips.get(each.to), family));
        const port = each.target === undefined ? PORT : 8080;
        const count = await answered(await netnsOf(each.from), address, port);
        const { code, answer, text } = await trace(each, family);
        expect(answer.verdict, text).to.equal(each.arrives ? 'arrives' : 'does not arrive');
        expect(code).to.equal(each.arrives ? 0 : 1);
        if (each.arrives) expect(count, 'packets').to.equal(TIMES);
        else expect(count, 'packets').to.be.lessThan(TIMES);
        const ends = answer.ways.flatMap(({ hops }) => hops.filter(({ outcome }) => outcome === 'ends'));
        if (each.by === undefined) expect(ends).to.deep.equal([]);
        else for (const { object } of ends) expect(object).to.match(each.by);
      });

  it('says that it cannot say, of a way out that only the node knows', async () => {
    const { code, answer } = await trace({ what: '', from: 'default/client', to: 'outside', arrives: true }, 4);
    expect([code, answer.verdict]).to.deep.equal([2, 'cannot say']);
  });

  it('shows with --live the counter of the rule that drops, and why bgpd chose the route', async () => {
    const denied = await trace(
      { what: '', from: 'default/muzzled', to: 'default/web-b', arrives: false, isLive: true },
      4,
    );
    const [policyHop] = denied.answer.ways[0]?.hops.filter(({ step }) => step === 'policy') ?? [];
    expect(policyHop?.evidence.join('\n')).to.match(/[1-9]\d* packets: .*/);
    const routed = await trace(
      { what: '', from: 'default/client', to: 'default/web-b', arrives: true, isLive: true },
      6,
    );
    const route = routed.answer.ways[0]?.hops.find(({ step }) => step === 'route');
    expect(route?.evidence.join('\n')).to.match(/^kernel: .* via /m);
    expect(route?.evidence.join('\n')).to.match(/^bgpd: \S+ from \S+ by \S+: /m);
  });
});
