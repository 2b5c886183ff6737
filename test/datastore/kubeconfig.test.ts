import { expect } from 'chai';
import { KubeConfig } from '@kubernetes/client-node';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Agent, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { accessFromFile, accessFromPod } from '../../src/datastore/kubeconfig.js';
import { UserError } from '../../src/errors.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const config = (cluster: object, user: object | undefined, more: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'here',
  clusters: [
    { name: 'other', cluster: { server: 'https://192.0.2.9' } },
    { name: 'c', cluster: { server: 'https://192.0.2.1:6443', ...cluster } },
  ],
  contexts: [{ name: 'here', context: { cluster: 'c', ...(user && { user: 'u' }) } }],
  users: user === undefined ? [] : [{ name: 'u', user }],
  ...more,
});
const plugin = (status: object): object => ({
  exec: {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', `console.log(${JSON.stringify(JSON.stringify({ status }))})`],
  },
});

/** What reaches the API server. */
const told = ({ headers, auth, ca, cert, key, rejectUnauthorized, servername }: RequestOptions): object => ({
  headers: { ...headers },
  auth,
  ca: String(ca),
  cert: String(cert),
  key: String(key),
  rejectUnauthorized,
  servername,
});
const toldByAgent = ({ agent }: RequestOptions): object => {
  if (!(agent instanceof Agent)) throw new Error('Expected an agent for HTTPS');
  const { ca, cert, key, rejectUnauthorized, servername } = agent.options;
  return { ca: String(ca), cert: String(cert), key: String(key), rejectUnauthorized, servername };
};

describe('kubeconfig', () => {
  let directory: string;
  const write = (value: object | string): string => {
    const file = join(directory, 'config');
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return file;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-kubeconfig-'));
    mkdirSync(join(directory, 'pki'));
    for (const name of ['ca.crt', 'client.crt', 'client.key', 'token'])
      writeFileSync(join(directory, 'pki', name), `<${name}>`);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const alike: readonly (readonly [string, () => object])[] = [
    ['a token', () => config({ 'certificate-authority-data': base64('<ca>') }, { token: 't1' })],
    ['a token file', () => config({}, { 'token-file': join(directory, 'pki/token') })],
    [
      'certificates in the file',
      () => config({}, { 'client-certificate-data': base64('<crt>'), 'client-key-data': base64('<key>') }),
    ],
    [
      'certificates beside the file',
      () =>
        config(
          { 'certificate-authority': 'pki/ca.crt' },
          { 'client-certificate': 'pki/client.crt', 'client-key': join(directory, 'pki/client.key') },
        ),
    ],
    [
      'files before data',
      () => config({ 'certificate-authority': 'pki/ca.crt', 'certificate-authority-data': 'eA==' }, {}),
    ],
    ['a name and a password', () => config({}, { username: 'jo', password: 'secret' })],
    ['impersonation', () => config({}, { token: 't1', as: 'system:serviceaccount:a:b' })],
    ['no verification', () => config({ 'insecure-skip-tls-verify': true }, { token: 't1' })],
    ['another name in the certificate', () => config({ 'tls-server-name': 'kubernetes' }, { token: 't1' })],
    ["a plugin's token", () => config({}, plugin({ token: 'from the plugin' }))],
    ["a plugin's certificate", () => config({}, plugin({ clientCertificateData: '<crt>', clientKeyData: '<key>' }))],
    ['a token beside a plugin', () => config({}, { ...plugin({ token: 'from the plugin' }), token: 't1' })],
    [
      'the old way to name a token file',
      () => config({}, { 'auth-provider': { name: 'tokenFile', config: { tokenFile: join(directory, 'pki/token') } } }),
    ],
  ];
  for (const [what, make] of alike)
    it(`reads ${what} as the library does`, async () => {
      const file = write(make());
      const library = new KubeConfig();
      library.loadFromFile(file);
      const expected: RequestOptions = {};
      await library.applyToHTTPSOptions(expected);
      const access = accessFromFile(file);
      const options = await access.requestOptions();
      expect(access.server).to.equal(library.getCurrentCluster()?.server);
      expect(told(options)).to.deep.equal(told(expected));
      expect(toldByAgent(options)).to.deep.equal(toldByAgent(expected));
    });

  it('reads YAML with anchors and merge keys', () => {
    const file = write(
      'current-context: x\nclusters: [{name: c, cluster: &base {server: "https://a:1"}}, {name: d, cluster: {<<: *base}}]\n' +
        'contexts: [{name: x, context: {cluster: d}}]\n',
    );
    expect(accessFromFile(file).server).to.equal('https://a:1');
  });

  it('reads certificates and tokens again when they have changed', async () => {
    const access = accessFromFile(write(config({ 'certificate-authority': 'pki/ca.crt' }, { token: 't' })));
    await access.requestOptions();
    writeFileSync(join(directory, 'pki/ca.crt'), '<another>');
    expect(String((await access.requestOptions()).ca)).to.equal('<another>');
  });

  for (const [what, cluster, user] of [
    ['a proxy', { 'proxy-url': 'http://192.0.2.3:3128' }, { token: 't' }],
    ['a SOCKS proxy', { 'proxy-url': 'socks5://192.0.2.3:1080' }, { token: 't' }],
  ] as const)
    it(`leaves ${what} to the library`, async () => {
      const options = await accessFromFile(write(config(cluster, user))).requestOptions();
      expect(options.agent?.constructor.name).to.match(/ProxyAgent$/);
      expect(options.headers).to.include({ Authorization: 'Bearer t' });
    });

  it('leaves providers that ask others for tokens to the library', async () => {
    const claims = `${base64('{}')}.${base64(JSON.stringify({ exp: 4_000_000_000 }))}.x`.replaceAll('=', '');
    const provider = { name: 'oidc', config: { 'id-token': claims } };
    const options = await accessFromFile(write(config({}, { 'auth-provider': provider }))).requestOptions();
    expect(options.headers).to.include({ Authorization: `Bearer ${claims}` });
  });

  it("takes a pod's service account, IPv6 too", async () => {
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    const access = accessFromPod(env, join(directory, 'pki'));
    expect(access.server).to.equal('https://[fd00::1]:443');
    const options = await access.requestOptions();
    expect(options.headers).to.deep.equal({ Authorization: 'Bearer <token>' });
    expect(String(options.ca)).to.equal('<ca.crt>');
  });

  it('says what is wrong', () => {
    expect(() => accessFromPod({})).to.throw('KUBERNETES_SERVICE_HOST');
    const load = (value: object | string) => () => KubernetesClient.load(write(value));
    expect(load('')).to.throw(UserError, 'it is no mapping');
    expect(load(config({}, {}, { 'current-context': 'gone' }))).to.throw(
      UserError,
      'no current context with a cluster',
    );
    expect(load(config({ server: 'http://192.0.2.1' }, {}))).to.throw(UserError, 'insecure-skip-tls-verify');
    expect(() => KubernetesClient.load(join(directory, 'none'))).to.throw(UserError, 'ENOENT');
  });

  it("loads none of the library's models", () => {
    const start = fileURLToPath(new URL('../../src/datastore/kubernetes-client.js', import.meta.url));
    const seen = reachable(start);
    expect(seen.some((file) => file.endsWith('exec_auth.js'))).to.equal(true);
    expect(seen.filter((file) => /client-node\/dist\/(gen|index|config\.js)/.test(file))).to.deep.equal([]);
  });
});

/** Files that an import of `start` loads, by the static imports of ES modules; a package only by its first file. */
function reachable(start: string, seen = new Set<string>()): readonly string[] {
  if (seen.has(start)) return [];
  seen.add(start);
  const text = readFileSync(start, 'utf8');
  for (const [, from = ''] of text.matchAll(/^(?:import|export)\s(?:[^;]*?\sfrom\s)?['"]([^'"]+)['"]/gm)) {
    if (from.startsWith('node:')) continue;
    const file = from.startsWith('.') ? join(dirname(start), from) : createRequire(start).resolve(from);
    if (file.endsWith('.js')) reachable(file, seen);
  }
  return [...seen];
}
