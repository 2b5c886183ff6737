/** `tortie bgpd` and `tortie bgp` as processes, on loopback and high ports. */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpeakerConfig } from 'node-bgp/config';
import { configDigest } from '../../src/bgpd/config-digest.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';

const CLI = new URL('../../src/cli.js', import.meta.url).pathname;
const PORT = 20_000 + (process.pid % 10_000);

interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

class Running {
  out = '';
  err = '';
  constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk: Buffer) => {
      this.out += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.err += chunk.toString();
    });
  }

  async end(signal?: NodeJS.Signals): Promise<Finished> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      if (signal !== undefined) this.child.kill(signal);
      await once(this.child, 'close');
    }
    return { code: this.child.exitCode, out: this.out, err: this.err };
  }
}

describe('bgpd daemon', function () {
  this.timeout(30_000);
  const root = mkdtempSync(join(tmpdir(), 'tortie-bgpd-'));
  const running: Running[] = [];
  let count = 0;

  afterEach(async () => {
    await Promise.all(running.splice(0).map((each) => each.end('SIGKILL')));
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const directory = (): string => {
    const path = join(root, `d${count++}`);
    mkdirSync(path);
    return path;
  };

  function tortie(argv: readonly string[], options: { readonly uid?: number } = {}): Running {
    const child = spawn(process.execPath, [CLI, ...argv], { stdio: ['ignore', 'pipe', 'pipe'], uid: options.uid });
    const each = new Running(child);
    running.push(each);
    return each;
  }

  const bgpd = (dir: string, ...more: readonly string[]): Running =>
    tortie(['bgpd', '--run-dir', dir, '--state-dir', join(dir, 'state'), '--log-format', 'text', ...more]);
  const bgp = async (dir: string, ...more: readonly string[]): Promise<Finished> =>
    await tortie(['bgp', ...more, '--run-dir', dir]).end();

  async function until<T>(what: string, ask: () => Promise<T | undefined>, each?: Running): Promise<T> {
    for (let i = 0; i < 200; i++) {
      const answer = await ask().catch(() => undefined);
      if (answer !== undefined) return answer;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`Not within 10 s: ${what}\n${each?.err ?? ''}`);
  }

  const ask = async (
    dir: string,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly body: unknown }> =>
    await requestOverUnixSocket(join(dir, 'bgpd.sock'), method, path, body);
  const answers = async (dir: string, each: Running): Promise<unknown> =>
    await until('bgpd answers', () => ask(dir, 'GET', '/v1/status'), each);
  const established = async (dir: string, each?: Running): Promise<unknown> =>
    await until(
      'a session',
      async () =>
        ((await ask(dir, 'GET', '/v1/status')).body as { readonly established: number }).established > 0 || undefined,
      each,
    );

  /** Two speakers on 127.0.0.n that are each other's only peer. */
  const config = (self: number, other: number, more: object = {}): object => ({
    localAs: 64500 + self,
    routerId: `10.0.0.${self}`,
    listen: [{ address: `127.0.0.${self}`, port: PORT }],
    peers: [
      {
        address: `127.0.0.${other}`,
        port: PORT,
        localAddress: `127.0.0.${self}`,
        remoteAs: 64500 + other,
        multihop: 2,
      },
    ],
    originate: [{ prefix: `10.65.${self}.0/24` }],
    requirePolicy: false,
    ...more,
  });

  async function pair(): Promise<readonly [string, string, Running, Running]> {
    const [a, b] = [directory(), directory()];
    const [one, two] = [bgpd(a), bgpd(b)];
    await Promise.all([answers(a, one), answers(b, two)]);
    await ask(a, 'PUT', '/v1/config', config(2, 3));
    await ask(b, 'PUT', '/v1/config', config(3, 2));
    await established(a, one);
    await until('routes', async () =>
      ((await ask(a, 'GET', '/v1/routes')).body as { readonly routes: readonly unknown[] }).routes.length === 2
        ? true
        : undefined,
    );
    return [a, b, one, two];
  }

  it('is told by PUT, keeps it, answers without secrets, and goes on with it after a restart', async () => {
    const dir = directory();
    const first = bgpd(dir);
    await answers(dir, first);
    expect((await ask(dir, 'GET', '/v1/summary')).body).to.deep.equal({ isConfigured: false, peers: [] });
    const wanted = config(2, 3, {
      peers: [{ address: '127.0.0.3', port: PORT, remoteAs: 64503, multihop: 2, password: 'top-secret' }],
    });
    const put = await ask(dir, 'PUT', '/v1/config', wanted);
    expect([put.status, (put.body as { readonly changes: { readonly added: unknown } }).changes.added]).to.deep.equal([
      200,
      ['127.0.0.3'],
    ]);
    const { digest } = put.body as { readonly digest: string };
    expect(digest).to.equal(configDigest(wanted as SpeakerConfig));
    expect((await ask(dir, 'GET', '/v1/summary')).body).to.have.property('configDigest', digest);
    expect(statSync(join(dir, 'state', 'bgpd.json')).mode & 0o777).to.equal(0o600);
    expect(statSync(join(dir, 'bgpd.sock')).mode & 0o777).to.equal(0o600);
    const shown = JSON.stringify((await ask(dir, 'GET', '/v1/config')).body);
    expect(shown).to.contain('[redacted]').and.not.contain('top-secret');
    expect((await first.end('SIGTERM')).code).to.equal(0);
    expect(first.err).to.not.contain('top-secret');

    const second = bgpd(dir);
    await until(
      'the last configuration',
      async () =>
        ((await ask(dir, 'GET', '/v1/status')).body as { readonly isConfigured: boolean }).isConfigured || undefined,
      second,
    );
    expect(JSON.parse(readFileSync(join(dir, 'state', 'bgpd.json'), 'utf8'))).to.deep.equal(wanted);
    expect((await ask(dir, 'GET', '/v1/summary')).body).to.have.property('configDigest', digest);
    await second.end('SIGTERM');
  });

  it('lets no route through an eBGP session without filters unless told so (8212), and says why', async () => {
    const [a, b] = [directory(), directory()];
    const [one, two] = [bgpd(a), bgpd(b)];
    await Promise.all([answers(a, one), answers(b, two)]);
    const peersOnly = (self: number, other: number): object => ({ ...config(self, other), requirePolicy: undefined });
    await ask(a, 'PUT', '/v1/config', peersOnly(2, 3));
    await ask(b, 'PUT', '/v1/config', peersOnly(3, 2));
    await established(b, two);
    expect(((await ask(a, 'GET', '/v1/routes')).body as { readonly routes: readonly unknown[] }).routes).to.have.length(
      1,
    );
    await until('the warning', () =>
      Promise.resolve(
        one.err.includes('names no import and no export filter (RFC 8212)') ||
          one.out.includes('RFC 8212') ||
          undefined,
      ),
    );
    expect((await ask(a, 'POST', '/v1/plan', peersOnly(2, 3))).body).to.have.nested.property('changes.changed').that.is
      .empty;
  });

  it('refuses a bad configuration with all problems and keeps the old one', async () => {
    const dir = directory();
    await answers(dir, bgpd(dir));
    await ask(dir, 'PUT', '/v1/config', config(2, 3));
    const { status, body } = await ask(dir, 'PUT', '/v1/config', {
      localAs: 0,
      routerId: 'x',
      peers: [{ address: 'y', remoteAs: 1 }],
    });
    expect(status).to.equal(422);
    expect(
      (body as { readonly problems: readonly { readonly path: string }[] }).problems.map(({ path }) => path),
    ).to.deep.equal(['localAs', 'routerId', 'peers[0].address']);
    expect((await ask(dir, 'GET', '/v1/config')).body).to.deep.equal(config(2, 3));
    expect((await ask(dir, 'PUT', '/v1/config')).status).to.equal(400);
    expect((await ask(dir, 'GET', '/v1/nonsense')).status).to.equal(404);
  });

  it('starts although the saved configuration is broken, and says so', async () => {
    const dir = directory();
    mkdirSync(join(dir, 'state'));
    writeFileSync(join(dir, 'state', 'bgpd.json'), '{"localAs": 0}');
    const each = bgpd(dir);
    await answers(dir, each);
    await until(
      'a word about it',
      async () => await Promise.resolve(each.err.includes('cannot use the saved configuration') || undefined),
    );
    expect((await ask(dir, 'PUT', '/v1/config', config(2, 3))).status).to.equal(200);
  });

  it('uses what it can of a configuration that another version has saved, and names the rest', async () => {
    const dir = directory();
    mkdirSync(join(dir, 'state'));
    const saved = config(2, 3, { quantum: 1 }) as { readonly peers: readonly object[] };
    const peers = [...saved.peers, { name: 'odd', address: '127.0.0.77', remoteAs: 'x' }];
    writeFileSync(join(dir, 'state', 'bgpd.json'), JSON.stringify({ ...saved, peers }));
    const each = bgpd(dir);
    await answers(dir, each);
    await until('the rest', async () =>
      ((await ask(dir, 'GET', '/v1/status')).body as { readonly isConfigured: boolean }).isConfigured
        ? true
        : undefined,
    );
    expect((await ask(dir, 'GET', '/v1/config')).body).to.deep.equal(config(2, 3));
    for (const words of ['peer "odd" is left out', 'quantum', 'cannot use all of the saved configuration'])
      expect(each.err).to.include(words);
  });

  it('after the machine was started anew it tells nothing of pods and Services until the next configuration', async () => {
    const dir = directory();
    const originate = [
      { prefix: '10.65.0.0/26', tags: ['block'] },
      { prefix: '192.0.2.0/24', tags: ['service'] },
      { prefix: '10.0.0.1/32', tags: ['node'] },
      { prefix: '198.51.100.0/24' },
    ];
    const whole = config(2, 3, { originate });
    const held = async (): Promise<readonly string[]> =>
      (
        (await ask(dir, 'GET', '/v1/config')).body as { readonly originate?: readonly { readonly prefix: string }[] }
      ).originate?.map(({ prefix }) => prefix) ?? [];
    const first = bgpd(dir);
    await answers(dir, first);
    expect((await ask(dir, 'PUT', '/v1/config', whole)).status).to.equal(200);
    await first.end('SIGKILL');
    const second = bgpd(dir);
    await answers(dir, second);
    expect(
      await until('the saved one', async () => ((await held()).length > 0 ? await held() : undefined)),
    ).to.have.length(4);
    await second.end('SIGKILL');
    writeFileSync(join(dir, 'state', 'bgpd.boot'), 'another\n');
    const last = bgpd(dir);
    await answers(dir, last);
    const rest = await until('the saved one', async () => ((await held()).length > 0 ? await held() : undefined));
    expect(rest).to.deep.equal(['10.0.0.1/32', '198.51.100.0/24']);
    expect(last.err).to.include('the machine was started anew');
    expect((await ask(dir, 'PUT', '/v1/config', whole)).status).to.equal(200);
    expect(await held()).to.have.length(4);
  });

  it('does not start twice on one socket', async () => {
    const dir = directory();
    await answers(dir, bgpd(dir));
    const { code, err } = await bgpd(dir).end();
    expect(code).to.equal(1);
    expect(err).to.contain('another bgpd answers there');
  });

  it('ends with one sentence when its port is taken', async () => {
    const holder = createServer().listen(PORT, '127.0.0.4');
    await once(holder, 'listening');
    const dir = directory();
    writeFileSync(join(dir, 'bgpd.yaml'), JSON.stringify(config(4, 3)));
    const { code, err } = await bgpd(dir, '--config', join(dir, 'bgpd.yaml')).end();
    holder.close();
    expect(code).to.equal(1);
    expect(err).to.contain(
      `Cannot listen on 127.0.0.4 port ${PORT}: the port is taken; another BGP daemon may be running`,
    );
  });

  it('without privileges speaks on a high port, and says what a low one needs', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const dir = directory();
    for (const path of [root, dir]) chmodSync(path, 0o777);
    writeFileSync(
      join(dir, 'low.yaml'),
      JSON.stringify(config(5, 3, { listen: [{ address: '127.0.0.5', port: 179 }] })),
    );
    writeFileSync(join(dir, 'high.yaml'), JSON.stringify(config(5, 3)));
    const argv = (file: string): string[] => [
      'bgpd',
      '--run-dir',
      dir,
      '--state-dir',
      join(dir, 'state'),
      '--log-format',
      'text',
      '--config',
      join(dir, file),
    ];
    const low = await tortie(argv('low.yaml'), { uid: 65534 }).end();
    expect([
      low.code,
      low.err.includes('Cannot listen on 127.0.0.5 port 179: ports below 1024 need root or CAP_NET_BIND_SERVICE'),
    ]).to.deep.equal([1, true]);
    const high = tortie(argv('high.yaml'), { uid: 65534 });
    await until(
      'it listens',
      async () => await Promise.resolve(high.err.includes(`listening on 127.0.0.5 port ${PORT}`) || undefined),
      high,
    );
    expect((await high.end('SIGTERM')).code).to.equal(0);
  });

  it('without privileges says what routes in the kernel need, once and not per route', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const [a, b] = [directory(), directory()];
    for (const path of [root, a]) chmodSync(path, 0o777);
    const one = tortie(
      ['bgpd', '--run-dir', join(a, 'new', 'run'), '--state-dir', join(a, 'state'), '--log-format', 'text'],
      { uid: 65534 },
    );
    await answers(join(a, 'new', 'run'), one);
    await ask(join(a, 'new', 'run'), 'PUT', '/v1/config', config(6, 7, { installRoutes: true }));
    await answers(b, bgpd(b));
    await ask(
      b,
      'PUT',
      '/v1/config',
      config(7, 6, { originate: Array.from({ length: 200 }, (_, i) => ({ prefix: `10.77.${i}.0/24` })) }),
    );
    await until(
      'refusals',
      async () =>
        (
          (await ask(join(a, 'new', 'run'), 'GET', '/v1/summary')).body as {
            readonly kernel: { readonly refused: number };
          }
        ).kernel.refused === 200 || undefined,
      one,
    );
    await one.end('SIGTERM');
    const refusals = one.err.split('\n').filter((line) => line.includes('the kernel refuses the route to 10.77.'));
    expect(refusals).to.have.length(5);
    expect(refusals[0]).to.contain('operation not permitted (EPERM); writing routes needs root or CAP_NET_ADMIN');
    expect(one.err).to.contain('the kernel refuses 195 more routes');
  });

  it('reads its file again on SIGHUP and resets only what it must; a bad file changes nothing', async () => {
    const [a, b] = [directory(), directory()];
    const file = join(a, 'bgpd.yaml');
    writeFileSync(file, JSON.stringify(config(2, 3)));
    const one = bgpd(a, '--config', file);
    await answers(b, bgpd(b));
    await ask(b, 'PUT', '/v1/config', config(3, 2));
    await established(a, one);
    const check = async (text: string): Promise<string> => {
      writeFileSync(join(a, 'next.yaml'), text);
      return (await bgpd(a, '--config', join(a, 'next.yaml'), '--check').end()).out;
    };
    const next = { ...config(2, 3), originate: [{ prefix: '10.65.2.0/24' }, { prefix: '10.65.9.0/24' }] };
    expect(await check(JSON.stringify(next)))
      .to.contain('originated prefixes: 1 more, 0 fewer')
      .and.not.contain('RESETS');
    expect(await check(JSON.stringify({ ...config(2, 3), listen: [] })))
      .to.match(/\nlistening sockets are opened and closed/)
      .and.not.contain('RESETS');
    expect(await check(JSON.stringify({ ...next, gracefulRestartTime: 7 }))).to.contain(
      'peer 127.0.0.3: SESSION RESETS because of gracefulRestartTime',
    );
    writeFileSync(file, JSON.stringify(next));
    one.child.kill('SIGHUP');
    await until(
      'the new prefix',
      async () =>
        ((await ask(b, 'GET', '/v1/routes?prefix=10.65.9.0/24')).body as { readonly routes: readonly unknown[] })
          .routes[0] as object | undefined,
      one,
    );
    writeFileSync(file, 'localAs: none');
    one.child.kill('SIGHUP');
    await until(
      'a refusal',
      async () => await Promise.resolve(one.err.includes('the old one stays') || undefined),
      one,
    );
    const { body } = await ask(a, 'GET', '/v1/neighbors/127.0.0.3');
    expect(body).to.deep.include({ isEstablished: true, establishedCount: 1 });
  });

  it('--check exits 1 with every problem at its line, and --schema prints what is allowed', async () => {
    const dir = directory();
    writeFileSync(
      join(dir, 'bad.yaml'),
      'localAs: 64512\nrouterId: 10.0.0.1\npeers:\n  - address: 10.0.0.2\n    remotAs: 64513\n',
    );
    const { code, err } = await bgpd(dir, '--config', join(dir, 'bad.yaml'), '--check').end();
    expect(code).to.equal(1);
    expect(
      err
        .trim()
        .split('\n')
        .map((line) => line.replace(/^.*bad\.yaml/, '')),
    ).to.deep.equal([
      ':4: peers[0].remoteAs: expected a value: the field is required',
      ':5: peers[0].remotAs: expected a known field; did you mean "remoteAs"?',
    ]);
    const schema = JSON.parse((await bgpd(dir, '--schema').end()).out) as { readonly properties: object };
    expect(schema.properties).to.include.keys('localAs', 'peers', 'filters');
  });

  it('kill -9 leaves the peer with our routes, and the next process takes over', async () => {
    const [a, b, one] = await pair();
    await one.end('SIGKILL');
    await until(
      'the loss',
      async () =>
        ((await ask(b, 'GET', '/v1/status')).body as { readonly established: number }).established === 0 || undefined,
    );
    const kept = (await ask(b, 'GET', '/v1/routes?prefix=10.65.2.0/24')).body as {
      readonly routes: readonly { readonly isStale: boolean; readonly isBest: boolean }[];
    };
    expect(kept.routes[0]).to.include({ isStale: true, isBest: true });
    const again = bgpd(a);
    await established(a, again);
    await until(
      'fresh routes',
      async () =>
        ((await ask(b, 'GET', '/v1/routes?prefix=10.65.2.0/24')).body as typeof kept).routes[0]?.isStale === false ||
        undefined,
      again,
    );
    expect(again.err)
      .to.contain('the last bgpd of this boot was killed: restarting gracefully')
      .and.contain('restart is over: Every peer has sent its End-of-RIB');
  });

  it('SIGTERM says goodbye; --graceful-stop does not', async () => {
    const [, b, one] = await pair();
    await one.end('SIGTERM');
    const lost = await until('the loss', async () => {
      const { lastError } = (await ask(b, 'GET', '/v1/neighbors/127.0.0.2')).body as { readonly lastError?: string };
      return lastError;
    });
    expect(lost).to.contain('Administrative Shutdown').and.contain('bgpd was stopped');
    expect(
      ((await ask(b, 'GET', '/v1/routes?prefix=10.65.2.0/24')).body as { readonly routes: readonly unknown[] }).routes,
    ).to.deep.equal([]);
  });

  it('shows tables, JSON and reasons', async () => {
    const [a] = await pair();
    const summary = await bgp(a, 'summary');
    expect(summary.out).to.match(/^BGP router identifier 10\.0\.0\.2, local AS number 64502/);
    expect(summary.out).to.match(/127\.0\.0\.3 +64503 .*Established +1\/1 +1/);
    expect(
      (JSON.parse((await bgp(a, 'summary', '-o', 'json')).out) as { readonly peers: readonly unknown[] }).peers,
    ).to.have.length(1);
    expect((await bgp(a, 'neighbor', '127.0.0.3')).out).to.contain(
      'BGP neighbor is 127.0.0.3, remote AS 64503, local AS 64502, external link',
    );
    expect((await bgp(a, 'routes')).out).to.match(
      /\*> +10\.65\.2\.0\/24 +local[\s\S]*\*> +10\.65\.3\.0\/24 +127\.0\.0\.3 +127\.0\.0\.3/,
    );
    expect((await bgp(a, 'routes', '--received', '127.0.0.3')).out)
      .to.contain('10.65.3.0/24')
      .and.not.contain('10.65.2.0/24');
    expect((await bgp(a, 'routes', '--advertised', '127.0.0.3')).out)
      .to.contain('10.65.2.0/24')
      .and.not.contain('10.65.3.0/24');
    expect((await bgp(a, 'routes', '10.65.3.77')).out).to.contain('10.65.3.0/24 from 127.0.0.3 (ebgp)');
    for (const question of ['why', 'explain'])
      expect((await bgp(a, question, '10.65.3.0/24')).out, question)
        .to.contain('BEST: from 127.0.0.3')
        .and.contain('only-path');
    expect((await bgp(a, 'history', '127.0.0.3')).out).to.match(/peer-up +127\.0\.0\.3/);
    expect((await bgp(a, 'clear', '127.0.0.3', '--soft')).code).to.equal(0);
    const nobody = await bgp(a, 'neighbor', 'nobody');
    expect([nobody.code, nobody.err]).to.deep.equal([1, 'There is no peer "nobody"; "tortie bgp summary" lists all\n']);
    for (const question of [
      ['neighbor', '127.0.0.33'],
      ['routes', '--received', '127.0.0.33'],
      ['routes', '10.65.3.0/24', '--advertised', '127.0.0.33'],
      ['clear', '127.0.0.33'],
      ['history', '127.0.0.33'],
    ])
      expect((await bgp(a, ...question)).err, question.join(' ')).to.equal(
        'There is no peer "127.0.0.33"; did you mean "127.0.0.3"?\n',
      );
    const nowhere = await bgp(join(root, 'nowhere'), 'summary');
    expect([nowhere.code, nowhere.err.includes('is the daemon running?')]).to.deep.equal([1, true]);
    expect((await bgp(a, 'routes', '--received', 'x', '--advertised', 'y')).code).to.equal(2);
  });

  it('says which rule let a path in, why a peer without a session is told nothing, and what happened to a route', async () => {
    const [a, b] = [directory(), directory()];
    const running = [bgpd(a), bgpd(b)];
    await Promise.all([answers(a, running[0] as Running), answers(b, running[1] as Running)]);
    const base = config(2, 3) as { readonly peers: readonly object[] };
    await ask(a, 'PUT', '/v1/config', {
      ...base,
      filters: { in: { rules: [{ name: 'mine', set: { kernelMetric: 77 }, action: 'accept' }] } },
      peers: [
        { ...base.peers[0], import: ['in'] },
        { name: 'ghost', address: '127.0.0.99', remoteAs: 65099, shutdown: true },
      ],
    });
    await ask(b, 'PUT', '/v1/config', config(3, 2, { originate: [{ prefix: '10.65.3.0/24' }] }));
    await established(a, running[0]);
    await until(
      'the route',
      async () =>
        ((await ask(a, 'GET', '/v1/routes?prefix=10.65.3.0/24')).body as { readonly routes: readonly unknown[] })
          .routes[0],
    );
    const why = (await bgp(a, 'why', '10.65.3.0/24')).out;
    expect(why).to.include('import: filter "in" rule 1 (mine) accepted it');
    expect(why).to.match(/ghost: no, The session is Idle: \S+/);
    await ask(b, 'PUT', '/v1/config', config(3, 2, { originate: [] }));
    const changes = async (...more: readonly string[]): Promise<readonly string[]> => {
      const { out } = await bgp(a, 'history', ...more, '-o', 'json');
      return (
        JSON.parse(out) as readonly { readonly type: string; readonly prefix: string; readonly peer?: string }[]
      ).map(({ type, prefix, peer }) => `${type} ${prefix} ${peer ?? '-'}`);
    };
    const both = ['route-added 10.65.3.0/24 127.0.0.3', 'route-withdrawn 10.65.3.0/24 127.0.0.3'];
    await until('the withdrawal', async () =>
      (await changes('--routes', '10.65.3.0/24')).length === 2 ? true : undefined,
    );
    expect(await changes('--routes', '10.65.3.0/24')).to.deep.equal(both);
    const gone = await bgp(a, 'why', '10.65.3.0/24');
    expect([gone.code, gone.out]).to.satisfy(
      ([code, out]: [number, string]) => code === 1 && out.includes('nobody has announced it'),
    );
    for (const format of ['table', 'json']) {
      expect((await bgp(a, 'why', '192.0.2.0/24', '-o', format)).code, `why, ${format}`).to.equal(1);
      expect((await bgp(a, 'routes', '192.0.2.0/24', '-o', format)).code, `routes, ${format}`).to.equal(1);
    }
    expect(await changes('127.0.0.3', '--routes')).to.deep.equal(both);
    expect(await changes('ghost', '--routes')).to.deep.equal([]);
    expect((await bgp(a, 'history', '--routes')).out).to.match(/route-added +127\.0\.0\.3 +prefix=10\.65\.3\.0\/24/);
  });

  it('dumps its table in MRT when asked, to a file or a pipe; without a daemon it says so', async () => {
    const dir = directory();
    const [one, file] = [bgpd(dir), join(dir, 'table.mrt')];
    await answers(dir, one);
    expect((await bgp(dir, 'dump', file)).err).to.include('There is no configuration yet');
    await ask(dir, 'PUT', '/v1/config', { ...config(2, 3), originate: [{ prefix: '10.65.2.0/24' }] });
    expect((await bgp(dir, 'dump', file)).code).to.equal(0);
    const dumped = readFileSync(file);
    // TABLE_DUMP_V2: the peers, then RIB_IPV4_UNICAST of the one prefix (RFC 6396 sections 4.3.1 and 4.3.2).
    const second = 12 + dumped.readUInt32BE(8);
    expect([dumped.readUInt32BE(4), dumped.readUInt32BE(second + 4)]).to.deep.equal([0x000d0001, 0x000d0002]);
    expect(dumped.subarray(second + 16, second + 20).toString('hex')).to.equal('180a4102');
    expect((await bgp(dir, 'dump', '-')).out.length).to.be.greaterThan(0);
    await one.end('SIGTERM');
    expect(await bgp(dir, 'dump', file)).to.include({ code: 1 });
  });

  it('teaches itself: every question has an example that parses, and exit codes', async () => {
    for (const question of ['summary', 'neighbor', 'routes', 'why', 'history', 'clear']) {
      const { code, out } = await tortie(['bgp', question, '--help']).end();
      expect([code, out]).to.satisfy(
        ([status, text]: [number, string]) =>
          status === 0 && text.includes(`  tortie bgp ${question} `) && text.includes('Exit codes: 0 '),
      );
    }
    const slip = await tortie(['bgp', 'sumary']).end();
    expect([slip.code, slip.err.includes('Did you mean summary?')]).to.deep.equal([2, true]);
  });

  it('--watch is one JSON line per answer, and goes on when the daemon comes back', async () => {
    const dir = directory();
    const first = bgpd(dir);
    await answers(dir, first);
    const watching = tortie(['bgp', 'summary', '--watch', '0.1', '-o', 'json', '--run-dir', dir]);
    const lines = (): readonly string[] => watching.out.split('\n').slice(0, -1);
    await until('two answers', async () => await Promise.resolve(lines().length >= 2 || undefined), watching);
    await first.end('SIGTERM');
    await until(
      'its silence',
      async () => await Promise.resolve(watching.err.includes('is the daemon running?') || undefined),
      watching,
    );
    const before = lines().length;
    await answers(dir, bgpd(dir));
    await until('answers again', async () => await Promise.resolve(lines().length > before || undefined), watching);
    for (const line of lines()) expect(JSON.parse(line)).to.deep.equal({ isConfigured: false, peers: [] });
    await watching.end('SIGINT');
  });

  it('asked nonsense, or by somebody who never finishes asking, answers 4xx and lives', async () => {
    const dir = directory();
    const one = bgpd(dir);
    await answers(dir, one);
    await ask(dir, 'PUT', '/v1/config', config(2, 3));
    for (const [method, path, body, status] of [
      ['POST', '/v1/clear', null, 400],
      ['POST', '/v1/clear', [], 400],
      ['POST', '/v1/clear', { peer: 7 }, 400],
      ['GET', '/v1/neighbors/%zz', undefined, 400],
      ['GET', '/v1/routes?prefix=zz', undefined, 400],
      ['GET', '/v1/routes?family=ipx', undefined, 400],
      ['GET', '/v1/routes?received=nobody', undefined, 404],
      ['GET', '/v1/why', undefined, 400],
      ['DELETE', '/v1/config', undefined, 404],
      ['PUT', '/v1/config', null, 422],
      ['PUT', '/v1/config', 'text', 422],
    ] as const) {
      const answer = await ask(dir, method, path, body);
      expect(
        [answer.status, typeof (answer.body as { readonly error?: unknown }).error],
        `${method} ${path}`,
      ).to.deep.equal([status, 'string']);
    }
    const mute = Array.from({ length: 20 }, () => connect(join(dir, 'bgpd.sock')));
    for (const socket of mute)
      socket
        .on('error', () => undefined)
        .write('PUT /v1/config HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n{');
    expect((await ask(dir, 'GET', '/v1/status')).status).to.equal(200);
    expect((await one.end('SIGTERM')).code, 'ends although they hold their connections').to.equal(0);
    for (const socket of mute) socket.destroy();
  });

  it('routes on when it cannot keep its configuration, and says what that costs', async () => {
    const dir = directory();
    // In the place of a disk that is full: root writes everywhere else.
    mkdirSync(join(dir, 'state', 'bgpd.json'), { recursive: true });
    writeFileSync(join(dir, 'bgpd.yaml'), JSON.stringify(config(2, 3)));
    const one = bgpd(dir, '--config', join(dir, 'bgpd.yaml'));
    await until('it is ready', async () => await Promise.resolve(one.err.includes('bgpd is ready') || undefined), one);
    expect(one.err)
      .to.contain(`Cannot write "${join(dir, 'state', 'bgpd.json')}"`)
      .and.contain('the next start goes on with an older one');
    const put = await ask(dir, 'PUT', '/v1/config', config(2, 3, { originate: [{ prefix: '10.65.77.0/24' }] }));
    expect([
      put.status,
      (put.body as { readonly notSaved: string }).notSaved.startsWith('Cannot write '),
    ]).to.deep.equal([200, true]);
    expect(
      ((await ask(dir, 'GET', '/v1/routes?prefix=10.65.77.0/24')).body as { readonly routes: readonly unknown[] })
        .routes,
    ).to.have.length(1);
    expect((await one.end('SIGTERM')).code).to.equal(0);
  });

  it('logs as much as its configuration says, from then on, and as it was started once that says nothing', async () => {
    const dir = directory();
    const one = bgpd(dir, '--log-level', 'warn');
    const tell = (more: Partial<SpeakerConfig>): Promise<true> =>
      until('configured', async () => {
        const config = { localAs: 64512, routerId: '10.0.0.1', listen: [], ...more };
        const { status } = await requestOverUnixSocket(join(dir, 'bgpd.sock'), 'PUT', '/v1/config', config);
        return status === 200 || undefined;
      });
    const lines = (): number => one.err.split('configuration applied').length - 1;
    await tell({});
    await tell({ logLevel: 'error', clusterId: '10.0.0.2' });
    await tell({ logLevel: 'info', clusterId: '10.0.0.3' });
    await until('the first line', async () => lines() === 1 || undefined, one);
    await tell({ clusterId: '10.0.0.4' });
    await tell({ logLevel: 'debug', clusterId: '10.0.0.5' });
    await until('the second line', async () => lines() > 1 || undefined, one);
    expect(lines(), one.err).to.equal(2);
  });

  it('told the same again and again does nothing', async () => {
    const [a, b] = await pair();
    for (let i = 0; i < 100; i++) {
      const { body } = await ask(a, 'PUT', '/v1/config', config(2, 3));
      const { changes } = body as { readonly changes: object };
      expect(changes).to.deep.include({
        added: [],
        removed: [],
        changed: [],
        reset: [],
        originated: { added: 0, removed: 0 },
      });
    }
    for (const [dir, peer] of [
      [a, '127.0.0.3'],
      [b, '127.0.0.2'],
    ] as const)
      expect((await ask(dir, 'GET', `/v1/neighbors/${peer}`)).body).to.deep.include({
        isEstablished: true,
        establishedCount: 1,
      });
  });

  it('exports metrics without addresses of strangers', async () => {
    const [a] = await pair();
    const text = await new Promise<string>((resolve, reject) => {
      import('node:http').then(
        ({ get }) =>
          get({ socketPath: join(a, 'bgpd.sock'), path: '/metrics' }, (response) => {
            let body = '';
            response.on('data', (chunk: Buffer) => {
              body += chunk.toString();
            });
            response.on('end', () => resolve(body));
          }).on('error', reject),
        reject,
      );
    });
    expect(text).to.match(/^tortie_bgp_peer_up\{peer="127\.0\.0\.3",remote_as="64503"\} 1$/m);
    expect(text).to.match(/^tortie_bgp_rib_prefixes\{family="ipv4"\} 2$/m);
    for (const line of text.trim().split('\n'))
      expect(line).to.match(/^(# (HELP|TYPE) tortie_bgp_|tortie_bgp_[a-z_]+(\{[^}]*\})? -?\d+(\.\d+)?$)/);
  });
});
