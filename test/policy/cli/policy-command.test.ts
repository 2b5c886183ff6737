import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { parseIptables, parseNft } from '../../../src/policy/kernel-rules.js';
import { missingNamespaces, parseObjects } from '../../../src/policy/objects.js';
import { parseEnd, parseProbe } from '../../../src/policy/question.js';

const SHOP = 'test/fixtures/policy/shop.yaml';

/** The program as a person runs it. */
function tortie(
  args: readonly string[],
  input = '',
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, ['dist/src/cli.js', 'policy', ...args], { input, encoding: 'utf8' });
}

describe('tortie policy', function () {
  this.timeout(60_000);

  it('shows who reaches whom, and names what it had to make up or refuse', () => {
    const { stdout, stderr, status } = tortie([
      'matrix',
      '-f',
      SHOP,
      '--port',
      '5432',
      '--family',
      '4',
      '--nodes',
      '--outside',
      '192.0.2.1',
    ]);
    expect(status).to.equal(0);
    expect(stdout.split('\n').slice(1)).to.deep.equal([
      '              1 2 3 4 5',
      ' 1 other/x    + . + + +',
      ' 2 shop/db    + + + + +',
      ' 3 shop/web   + + + + +',
      ' 4 node:n1    + + + + +',
      ' 5 192.0.2.1  + . + + +',
      '',
    ]);
    expect(stderr)
      .to.include('Namespace other was not given')
      .and.to.include(
        'NetworkPolicy shop/db: spec.ingress[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive',
      );
  });

  it('shows the same as JSON', () => {
    const { stdout } = tortie(['matrix', '-f', SHOP, '--port', '5432', '--family', '6', '-n', 'shop', '-o', 'json']);
    expect(JSON.parse(stdout)).to.deep.equal([
      { port: 5432, protocol: 'TCP', family: 6, endpoints: ['shop/db', 'shop/web'], rows: ['--', '-1'] },
    ]);
  });

  it('explains tier by tier', () => {
    const { stdout } = tortie(['explain', '-f', SHOP, '--from', 'other/x', '--to', 'shop/db', '--port', '5432']);
    expect(stdout.split('\n')).to.include.members([
      'DENIED  other/x -> shop/db 5432/TCP IPv4',
      'egress of other/x: allowed: no policy isolates this end',
      'ingress of shop/db: denied at the end of tier default: selected by NetworkPolicy shop/db, and no rule allows it',
      '      rule 0 allow: peer does not match',
    ]);
  });

  it('names the policies that have no say, and why', () => {
    const { stdout } = tortie(['explain', '-f', SHOP, '--from', 'shop/db', '--to', 'shop/web', '--port', '80']);
    expect(stdout.split('\n')).to.include.members([
      'ALLOWED  shop/db -> shop/web 80/TCP IPv4',
      '  not for this direction: NetworkPolicy shop/db',
      '  does not select the pod: NetworkPolicy shop/db',
    ]);
  });

  it('says what a change would do, and exits 1 when it would do anything', () => {
    const policy = JSON.stringify({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'deny', namespace: 'shop' },
      spec: { podSelector: {}, policyTypes: ['Ingress'] },
    });
    const coming = tortie(['diff', '--base', SHOP, '-f', '-', '--family', '4'], policy);
    expect([coming.status, coming.stdout.split('\n')[0]]).to.deep.equal([1, '2 pairs become denied:']);
    expect(coming.stdout).to.include(
      'other/x -> shop/web 80/TCP IPv4: ingress denied at the end of tier default: selected by NetworkPolicy shop/deny',
    );
    const going = tortie([
      'diff',
      '--base',
      SHOP,
      '-f',
      SHOP,
      '--delete',
      '--family',
      '4',
      '-n',
      'shop',
      '--port',
      '5432',
      '-o',
      'json',
    ]);
    expect(going.status).to.equal(1);
    const nothing = tortie(['diff', '--base', SHOP, '-f', SHOP, '--family', '4']);
    expect([nothing.status, nothing.stdout]).to.deep.equal([0, 'No pair changes\n']);
  });

  it('renders a node for both packet filters', () => {
    expect(tortie(['render', '-f', SHOP, '--node', 'n1']).stdout)
      .to.include('*filter\n')
      .and.to.include('# add tortie4-');
    expect(tortie(['render', '-f', SHOP, '--node', 'n1', '--format', 'nft']).stdout).to.include(
      'add chain inet tortie filter-FORWARD { type filter hook forward',
    );
  });

  for (const [title, args] of [
    ['no source', ['matrix']],
    ['two sources', ['matrix', '-f', SHOP, '--live']],
    ['a bad port', ['matrix', '-f', SHOP, '--port', '0']],
    ['a bad end', ['explain', '-f', SHOP, '--from', 'x', '--to', 'shop/db', '--port', '1']],
    ['a bad family', ['matrix', '-f', SHOP, '--family', '5']],
  ] as const)
    it(`refuses ${title} in one sentence, with exit code 2`, () => {
      const { status, stderr } = tortie(args);
      expect(status).to.equal(2);
      expect(stderr)
        .to.match(/Cannot (choose|understand) /)
        .and.not.to.include('at ');
    });

  it('refuses a file that is not there or not Kubernetes', () => {
    expect(tortie(['matrix', '-f', '/nowhere']).stderr).to.include('Cannot read /nowhere: ENOENT');
    expect(tortie(['matrix', '-f', '-'], 'a: [').stderr).to.include('Cannot read standard input, line 1');
    expect(tortie(['matrix', '-f', '-'], '{"a": 1}').stderr).to.include('has no apiVersion and kind');
  });
});

describe('policy/objects', () => {
  it('reads lists of any form, passes over other kinds, and fills in the default namespace', () => {
    const text = [
      JSON.stringify({ apiVersion: 'v1', kind: 'PodList', items: [{ metadata: { name: 'a' } }] }),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: [
          { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' } },
          { apiVersion: 'projectcalico.org/v3', kind: 'NetworkPolicy', metadata: { name: 'c', namespace: 'x' } },
        ],
      }),
      'apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\n',
    ].join('\n---\n');
    expect(
      parseObjects(text, 'test').map(
        ({ kind, object }) => `${kind} ${object.metadata?.namespace ?? ''}/${object.metadata?.name}`,
      ),
    ).to.deep.equal(['Pod default/a', 'CalicoNetworkPolicy x/c', 'ClusterNetworkPolicy /p']);
    expect(missingNamespaces(parseObjects(text, 'test')).map((one) => one.object.metadata?.name)).to.deep.equal([
      'default',
    ]);
  });

  it("reads kubectl's dialect: a port 0120 is 80, a label y is the label true; a name n is none", () => {
    const head = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: ';
    const [policy] = parseObjects(
      `${head}{name: p}\nspec: {podSelector: {matchLabels: {y: "1"}}, ingress: [{ports: [{port: 0120}]}]}\n`,
      'test',
    );
    expect(policy?.object).to.deep.include({
      spec: { podSelector: { matchLabels: { true: '1' } }, ingress: [{ ports: [{ port: 80 }] }] },
    });
    expect(() => parseObjects(`${head}{name: n}\n`, 'test')).to.throw('metadata.name of a NetworkPolicy is false');
    expect(() => parseObjects(`${head}{}\n`, 'test')).to.throw('metadata.name of a NetworkPolicy is missing');
  });

  it('understands ports and ends', () => {
    expect(parseProbe('53/udp')).to.deep.equal({ protocol: 'UDP', port: 53 });
    expect([parseEnd('node:n1'), parseEnd('fd00::1'), parseEnd('x/y')].map((end) => end.type)).to.deep.equal([
      'node',
      'address',
      'pod',
    ]);
  });
});

describe('policy/kernel-rules', () => {
  const wanted = new Map([['TORTIE-PI-abc', { policy: 'NetworkPolicy x/p', direction: 'ingress' as const }]]);

  it('finds rules and counters in iptables-save -c', () => {
    const text =
      '[7:420] -A TORTIE-PI-abc -p tcp -m comment --comment "tortie:x" -m comment --comment "NetworkPolicy x/p ' +
      'ingress rule 0" -j DROP\n[1:60] -A TORTIE-PI-other -j DROP\n';
    expect(parseIptables(text, wanted)).to.deep.equal([
      { policy: 'NetworkPolicy x/p', direction: 'ingress', packets: 7, line: '-p tcp -j DROP' },
    ]);
  });

  it('finds them in nft list table', () => {
    const text =
      'table inet tortie {\n\tchain TORTIE-PI-abc {\n\t\ttcp dport 80 counter packets 3 bytes 180 drop comment ' +
      '"tortie:x y"\n\t}\n\tchain other {\n\t\tcounter packets 9 bytes 1 drop\n\t}\n}\n';
    expect(parseNft(text, wanted)).to.deep.equal([
      { policy: 'NetworkPolicy x/p', direction: 'ingress', packets: 3, line: 'tcp dport 80 drop' },
    ]);
  });
});
