/** tortie-prober between two namespaces: every protocol, both families, every verdict. Needs root. */
import { expect } from 'chai';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { exec, ip, nameOf, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const PROBER = fileURLToPath(new URL('../../bin/tortie-prober', import.meta.url));
const BUILD = fileURLToPath(new URL('../../../scripts/build-prober.mjs', import.meta.url));
const namespaces = new ScratchNamespaces('tpr');

describe('tortie-prober', function () {
  this.timeout(60_000);
  let client: string;
  let server: string;
  let serving: ChildProcess;

  before(async () => {
    expect(spawnSync(process.execPath, [BUILD], { stdio: 'inherit' }).status).to.equal(0);
    client = namespaces.create();
    server = namespaces.create();
    for (const path of [client, server]) exec(path, 'sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0');
    ip(client, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v0', 'netns', nameOf(server));
    for (const [path, last] of [
      [client, 1],
      [server, 2],
    ] as const) {
      ip(path, 'link', 'set', 'v0', 'up');
      ip(path, 'addr', 'add', `10.9.0.${last}/24`, 'dev', 'v0');
      ip(path, 'addr', 'add', `fd09::${last}/64`, 'dev', 'v0', 'nodad');
    }
    ip(server, 'addr', 'add', '10.9.0.3/24', 'dev', 'v0');
    exec(server, 'iptables-nft', '-A', 'INPUT', '-p', 'tcp', '--dport', '82', '-j', 'DROP');
    exec(server, 'iptables-nft', '-A', 'INPUT', '-p', 'sctp', '--dport', '82', '-j', 'DROP');
    serving = spawn(
      PROBER,
      ['serve', '--netns', nameOf(server), '--name', 'ns/two', '--tcp', '80-82', '--udp', '80', '--sctp', '80,82'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    if (serving.stdout !== null) await once(serving.stdout, 'data');
  });
  after(async () => {
    const ended = once(serving, 'exit');
    serving.kill();
    await ended;
    namespaces.removeAll();
  });

  /** Verdict words by id. */
  function probe(targets: readonly string[], ...options: readonly string[]): Readonly<Record<string, string>> {
    const input = targets.map((target, i) => `${i} ${target}\n`).join('');
    const { stdout, status } = spawnSync(PROBER, ['probe', ...options], { input, encoding: 'utf8' });
    expect(status).to.equal(0);
    const verdicts: Record<string, string> = {};
    for (const line of stdout.trim().split('\n')) {
      const [id = '', verdict = '', detail = ''] = line.split('\t');
      verdicts[targets[Number(id)] ?? id] = verdict === 'allow' ? `allow ${detail}` : verdict;
    }
    return verdicts;
  }

  it('tells answers, silence and refusals apart, in both families', () => {
    const from = nameOf(client);
    const expected: Record<string, string> = {
      [`${from} tcp - 11.0.0.1 80`]: 'unreachable',
      'nonesuch tcp - 10.9.0.2 80': 'error',
      [`${from} icmp - 10.9.0.2 80`]: 'error',
      [`${from} tcp - 10.9.0.2 0`]: 'error',
    };
    for (const to of ['10.9.0.2', '10.9.0.3', 'fd09::2']) {
      for (const protocol of ['tcp', 'udp', 'sctp']) expected[`${from} ${protocol} - ${to} 80`] = 'allow ns/two';
      for (const protocol of ['tcp', 'udp']) expected[`${from} ${protocol} - ${to} 99`] = 'refused';
      expected[`${from} sctp - ${to} 99`] = 'drop';
    }
    for (const protocol of ['tcp', 'sctp']) expected[`${from} ${protocol} - 10.9.0.2 82`] = 'drop';
    expect(probe(Object.keys(expected))).to.deep.equal(expected);
  });

  it('sends from the address it is told', () => {
    ip(client, 'addr', 'add', '10.9.0.77/32', 'dev', 'lo');
    exec(server, 'iptables-nft', '-I', 'INPUT', '-s', '10.9.0.77', '-p', 'udp', '-j', 'DROP');
    const from = nameOf(client);
    expect(
      probe([`${from} udp 10.9.0.77 10.9.0.2 80`, `${from} udp 10.9.0.1 10.9.0.2 80`], '--timeout', '400'),
    ).to.deep.equal({
      [`${from} udp 10.9.0.77 10.9.0.2 80`]: 'drop',
      [`${from} udp 10.9.0.1 10.9.0.2 80`]: 'allow ns/two',
    });
  });

  it('probes thousands at once', () => {
    const { stdout } = spawnSync(PROBER, ['probe', '--timeout', '20000'], {
      input: Array.from({ length: 4000 }, (_, i) => `${i} ${nameOf(client)} tcp - fd09::2 80 allow\n`).join(''),
      encoding: 'utf8',
    });
    expect(
      stdout
        .trim()
        .split('\n')
        .filter((line) => line.includes('\tallow\tns/two\t')),
    ).to.have.length(4000);
  });

  it('serves, probes and stops in one session, and lets go of namespaces', async () => {
    const session = spawn(PROBER, ['session', '--timeout', '3000', '--quiet', '100'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const here = nameOf(client);
    session.stdin.end(
      [
        `serve ${here} one sctp 70`,
        `serve ${here} one udp 71-73`,
        `serve ${here} one tcp nonsense`,
        'frob',
        `probe a ${nameOf(server)} sctp - 10.9.0.1 70 allow`,
        `probe b ${nameOf(server)} udp - fd09::1 73 allow`,
        'run 1',
        `stop ${here}`,
        `probe c ${nameOf(server)} sctp - 10.9.0.1 70 drop`,
        `probe d ${nameOf(server)} udp - 10.9.0.1 73`,
        'run 2',
        '',
      ].join('\n'),
    );
    let text = '';
    session.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    await once(session, 'close');
    const lines = text
      .trim()
      .split('\n')
      .map((line) => line.replace(/\t\d+$/, ''));
    expect(lines.slice(0, 2)).to.deep.equal(['ok', 'ok']);
    expect(lines[2]).to.match(/^error\tCannot read ports "nonsense"/);
    expect(lines[3]).to.match(/^error\tUnknown command "frob"/);
    expect(lines.slice(4, 7).sort()).to.deep.equal(
      ['a\tallow\tone', 'b\tallow\tone', 'done\t1'].map((line) => line.replace(/\t1$/, '')).sort(),
    );
    expect(lines[7]).to.equal('ok');
    expect(lines.slice(8, 10).sort()).to.deep.equal(['c\tdrop', 'd\trefused']);
  });

  for (const options of [[], ['--fresh'], ['--protocol', 'tcp']] as const)
    it(`streams ${options.join(' ') || 'udp'} and counts what is lost`, async () => {
      const arrived = spawn(
        PROBER,
        [
          'stream',
          '--netns',
          nameOf(client),
          '--to',
          '10.9.0.2',
          '--port',
          '80',
          '--interval',
          '5',
          '--duration',
          '300',
          ...options,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      let text = '';
      arrived.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      await once(arrived, 'close');
      const tally = JSON.parse(text.split('\n')[1] ?? '') as Record<string, unknown>;
      expect(tally).to.deep.include({ lost: 0, error: '' });
      expect(tally['sent']).to.be.greaterThan(10);
    });

  it('measures an outage', async () => {
    const stream = spawn(
      PROBER,
      ['stream', '--netns', nameOf(client), '--to', 'fd09::2', '--port', '80', '--interval', '5'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let text = '';
    stream.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    await once(stream.stdout, 'data');
    exec(server, 'ip6tables-nft', '-I', 'INPUT', '-p', 'udp', '-j', 'DROP');
    await new Promise((resolve) => setTimeout(resolve, 300));
    exec(server, 'ip6tables-nft', '-D', 'INPUT', '1');
    await new Promise((resolve) => setTimeout(resolve, 300));
    stream.kill('SIGTERM');
    await once(stream, 'close');
    const tally = JSON.parse(text.split('\n')[1] ?? '') as { lost: number; longestGapMs: number };
    expect(tally.lost).to.be.greaterThan(20);
    expect(tally.longestGapMs).to.be.at.least(250);
  });
});
