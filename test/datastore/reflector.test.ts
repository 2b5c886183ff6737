import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Namespace } from '../../src/api/core.js';
import type { WatchSink } from '../../src/datastore/datastore.js';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { Reflector } from '../../src/datastore/reflector.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const namespace = (name: string, version: number, uid = name): Namespace => ({
  metadata: { name, uid, resourceVersion: String(version), managedFields: [{}] },
});
const list =
  (version: number, items: readonly Namespace[]): Answer =>
  (_, response) =>
    response.end(JSON.stringify({ metadata: { resourceVersion: String(version) }, items }));
const events =
  (...lines: readonly object[]): Answer =>
  (_, response) => {
    for (const line of lines) response.write(`${JSON.stringify(line)}\n`);
  };
const refuse =
  (status: number, reason: string): Answer =>
  (_, response) =>
    response.writeHead(status).end(JSON.stringify({ message: `${reason} it is`, reason }));

describe('datastore/reflector', () => {
  let server: Server;
  let directory: string;
  /** What the server will do, in order; the last one stays. */
  let script: Answer[];
  let requests: string[];
  let heard: string[];
  let reflector: Reflector<'namespaces'>;
  let kept: Namespace | undefined;

  const sink: WatchSink<'namespaces'> = {
    upsert: (_, object) => {
      kept = object;
      heard.push(`+${object.metadata.name}@${object.metadata.resourceVersion}`);
    },
    delete: (_, object) => void heard.push(`-${object.metadata.name}`),
    firstListDone: () => void heard.push('done'),
    health: (_, problem) => void (problem === undefined || heard.push(`! ${problem}`)),
  };
  const until = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 800 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(holds(), `never came; heard ${heard.join(' ')}`).to.equal(true);
  };

  async function start(...answers: readonly Answer[]): Promise<void> {
    script = [...answers];
    server = createServer((request, response) => {
      requests.push(request.url ?? '');
      (script.length > 1 ? script.shift() : script[0])?.(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const kubeconfig = join(directory, 'kubeconfig');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'c',
        contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
        clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'u', user: {} }],
      }),
    );
    reflector = new Reflector(KubernetesClient.load(kubeconfig), 'namespaces', sink, {});
    void reflector.run();
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-reflector-'));
    requests = [];
    heard = [];
    kept = undefined;
  });
  afterEach(async () => {
    reflector.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  it('lists, then watches from there', async () => {
    await start(
      list(5, [namespace('a', 3)]),
      events(
        { type: 'ADDED', object: namespace('b', 6) },
        { type: 'MODIFIED', object: namespace('a', 7) },
        { type: 'DELETED', object: namespace('b', 8) },
        { type: 'BOOKMARK', object: { metadata: { resourceVersion: '20' } } },
      ),
    );
    await until(() => heard.length === 5);
    expect(heard).to.deep.equal(['+a@3', 'done', '+b@6', '+a@7', '-b']);
    expect(requests[1]).to.include('watch=true').and.to.include('resourceVersion=5');
  });

  it('pages through a long list', async () => {
    const page: Answer = (_, response) =>
      response.end(
        JSON.stringify({ metadata: { resourceVersion: '5', continue: 'more' }, items: [namespace('a', 1)] }),
      );
    await start(page, list(5, [namespace('b', 2)]), events());
    await until(() => heard.length === 3);
    expect(requests[1]).to.include('continue=more');
  });

  it('lists again when the history is gone, and tells only the difference', async () => {
    await start(
      list(5, [namespace('same', 1), namespace('gone', 2), namespace('changed', 3), namespace('reborn', 4, 'first')]),
      events({ type: 'ERROR', object: { code: 410, message: 'too old' } }),
      list(50, [
        namespace('same', 1),
        namespace('changed', 30),
        namespace('reborn', 40, 'second'),
        namespace('new', 45),
      ]),
      events(),
    );
    await until(() => heard.includes('-gone'));
    expect(heard.slice(heard.indexOf('done') + 1)).to.deep.equal([
      '+changed@30',
      '-reborn',
      '+reborn@40',
      '+new@45',
      '-gone',
    ]);
    expect(heard.filter((line) => line === 'done')).to.have.length(1);
  });

  it('goes on from the last bookmark when a watch breaks', async () => {
    await start(
      list(5, []),
      (request, response) => {
        events({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '33' } } })(request, response);
        setTimeout(() => response.destroy(), 50);
      },
      events(),
    );
    await until(() => requests.some((url) => url.includes('resourceVersion=33')));
    expect(requests.filter((url) => !url.includes('watch')).length).to.equal(1);
  });

  it('says what is wrong and keeps what it has while the server is away', async () => {
    await start(
      list(5, [namespace('a', 1)]),
      refuse(500, 'InternalError'),
      refuse(403, 'Forbidden'),
      events({ type: 'ADDED', object: namespace('b', 9) }),
    );
    await until(() => heard.includes('+b@9'));
    expect(heard).to.not.include('-a');
    expect(heard.join(' ')).to.include('was refused with 403: Forbidden it is');
  });

  it('takes a kind that is not served for empty', async () => {
    await start(refuse(404, 'NotFound'));
    await until(() => heard.includes('done'));
    expect(heard).to.deep.equal(['done']);
  });

  it('does not take a fault of ours for one of the server', async () => {
    await start(list(5, [namespace('a', 1)]), events());
    reflector.stop();
    const broken = new Reflector(
      KubernetesClient.load(join(directory, 'kubeconfig')),
      'namespaces',
      {
        ...sink,
        upsert: () => {
          throw new TypeError('oops');
        },
      },
      {},
    );
    script = [list(5, [namespace('a', 1)])];
    expect(String(await broken.run().catch((error: unknown) => error))).to.equal('TypeError: oops');
  });

  it('keeps only what a node needs of an object', async () => {
    await start(list(5, [namespace('a', 1)]), events());
    await until(() => kept !== undefined);
    expect(kept?.metadata).to.deep.equal({ name: 'a', uid: 'a', resourceVersion: '1' });
  });
});
