import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { startApiServer, type ApiServer } from '../../src/apiserver/server.js';
import { run } from '../../src/lab/command.js';
import { startLab, stopLab } from '../../src/lab/start-lab.js';
import { listLabs } from '../../src/lab/state-dir.js';
import { LabView } from '../../src/lab/tour/lab-view.js';
import { soon } from './rack-fixture.js';

/** Valid for the name "localhost" and for no address, so that a node at 127.0.0.1 has to check the name. */
const fixture = (name: string): string => fileURLToPath(new URL(`../../../test/lab/fixtures/${name}`, import.meta.url));

/** TLS in front of a server that speaks plain HTTP. */
async function wrapInTls(target: URL): Promise<{ readonly server: TlsServer; readonly port: number }> {
  const server = createTlsServer(
    { key: readFileSync(fixture('tls-for-tests.key')), cert: readFileSync(fixture('tls-for-tests.crt')) },
    (outside) => {
      const inside = connect(Number(target.port), target.hostname);
      for (const [from, to] of [
        [outside, inside],
        [inside, outside],
      ] as const)
        from
          .on('error', () => to.destroy())
          .on('close', () => to.destroy())
          .pipe(to);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

/** A lab on an API server that it did not start: it must be found as it was left. */
describe("lab, with somebody's own API server", function () {
  this.timeout(60_000);
  const name = `k${process.pid}`;
  let directory = '';
  let kubeconfig = '';
  let server: ApiServer | undefined;
  let tls: TlsServer | undefined;

  const kubectl = (...args: readonly string[]): Promise<string> =>
    run(['kubectl', ...args], undefined, { env: { ...process.env, KUBECONFIG: kubeconfig } });
  const everything = async (): Promise<string> => {
    const kinds = (await kubectl('api-resources', '--verbs=list', '-o', 'name'))
      .split('\n')
      .filter((kind) => kind !== '' && !kind.startsWith('events') && !kind.startsWith('leases'));
    return kubectl('get', kinds.join(','), '-A', '-o', 'name', '--ignore-not-found');
  };

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-kubeconfig-'));
    kubeconfig = join(directory, 'kubeconfig');
    server = await startApiServer({ listen: { host: '127.0.0.1', port: 0 } });
    const wrapped = await wrapInTls(new URL(server.url ?? ''));
    tls = wrapped.server;
    writeFileSync(join(directory, 'ca.crt'), readFileSync(fixture('tls-for-tests.crt')));
    writeFileSync(
      kubeconfig,
      `apiVersion: v1
kind: Config
current-context: theirs
contexts: [{ name: theirs, context: { cluster: theirs, user: me } }]
clusters: [{ name: theirs, cluster: { server: "https://localhost:${wrapped.port}", certificate-authority: ca.crt } }]
users: [{ name: me, user: { token: unchecked } }]
`,
    );
    await kubectl('create', 'namespace', 'shop');
  });
  after(async () => {
    await stopLab(name);
    tls?.close();
    await server?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('runs on it and leaves it as it was', async () => {
    const before = await everything();
    const { record } = await startLab({ name, tor: 'bird', kubeconfig }, () => undefined);
    const view = new LabView(record);
    await soon('everything to answer', async () => {
      const matrix = await view.matrix();
      return matrix.to.length === 5 && matrix.cells.every((cell) => cell.verdict === 'allow');
    });
    expect(await everything())
      .to.contain('node/node1')
      .and.to.contain('pod/web');
    await stopLab(name);
    await soon('its objects to go', async () => (await everything()) === before);
  });

  it('touches nothing that is not its own', async () => {
    await run(
      ['kubectl', 'apply', '-f', '-'],
      'apiVersion: v1\nkind: Node\nmetadata: { name: node2, labels: { theirs: "yes" } }\n',
      { env: { ...process.env, KUBECONFIG: kubeconfig } },
    );
    const before = await everything();
    const problem = await startLab({ name, tor: 'bird', kubeconfig }, () => undefined).then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(problem).to.contain('Cannot create Node "node2": the API server has one that is not this lab\'s');
    expect(await listLabs()).to.not.include(name);
    await soon('its objects to go', async () => (await everything()) === before);
  });

  it('says so when the server cannot be reached', async () => {
    const nowhere = join(directory, 'nowhere');
    writeFileSync(
      nowhere,
      'current-context: a\ncontexts: [{ name: a, context: { cluster: a, user: a } }]\nclusters: [{ name: a, ' +
        'cluster: { server: "http://127.0.0.1:1", insecure-skip-tls-verify: true } }]\nusers: [{ name: a, user: {} }]\n',
    );
    const problem = await startLab({ name, tor: 'bird', kubeconfig: nowhere }, () => undefined).then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(problem).to.contain('Cannot use the API server at http://127.0.0.1:1/').and.to.contain('ECONNREFUSED');
  });
});
