import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeCall } from '../../src/cni/exchange.js';
import { type PluginRun, runPlugin } from './plugin.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const client = join(root, 'dist/cni/tortie');

describe('CNI client', () => {
  let directory: string;
  let socketPath: string;
  let server: Server | undefined;

  before(() => execFileSync(process.execPath, [join(root, 'scripts/build-cni.mjs')]));
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-client-'));
    socketPath = join(directory, 'agent.sock');
  });
  afterEach(async () => {
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    server = undefined;
    rmSync(directory, { recursive: true });
  });

  /** An agent that answers every connection with these bytes once it has the whole request. */
  const answerWith = async (
    answer: string | Buffer,
    onRequest: (text: Buffer) => void = () => undefined,
  ): Promise<void> => {
    server = createServer((socket: Socket) => {
      const chunks: Buffer[] = [];
      socket
        .on('error', () => undefined)
        .on('data', (chunk) => {
          chunks.push(chunk);
          const request = Buffer.concat(chunks);
          const head = request.indexOf('\r\n\r\n');
          const length = Number(/Content-Length: (\d+)/.exec(request.toString('latin1'))?.[1]);
          if (head < 0 || request.length < head + 4 + length) return;
          onRequest(request);
          socket.end(answer);
        });
    });
    await new Promise<void>((resolve) => server?.listen(socketPath, resolve));
  };
  const http = (status: string, body: string): string =>
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const config = (): string => JSON.stringify({ cniVersion: '1.0.0', name: 'n', type: 'tortie', socket: socketPath });
  const run = (env: Readonly<Record<string, string>>, stdin: string | Uint8Array = config()): Promise<PluginRun> =>
    runPlugin(client, { TORTIE_CNI_RESTART_WAIT: '0', ...env }, stdin);
  const errorOf = (result: PluginRun): { code: number; msg: string; cniVersion: string } => {
    expect(result.code, result.stdout + result.stderr).to.equal(1);
    return JSON.parse(result.stdout) as { code: number; msg: string; cniVersion: string };
  };

  it('answers VERSION by itself', async () => {
    const result = await run({ CNI_COMMAND: 'VERSION' }, '{"cniVersion":"0.4.0"}');
    expect(result.code).to.equal(0);
    expect(JSON.parse(result.stdout)).to.deep.equal({
      cniVersion: '0.4.0',
      supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    });
  });

  it('sends its CNI environment and standard input as they are, and nothing else', async () => {
    let body: Buffer | undefined;
    await answerWith(
      http('200 OK', '{"ok":1}\n'),
      (request) => (body = request.subarray(request.indexOf('\r\n\r\n') + 4)),
    );
    const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_ARGS: 'A=b;C="d\n"', SECRET: 'x', PATH: '/bin' };
    const result = await run(env);
    expect(result).to.deep.equal({ code: 0, stdout: '{"ok":1}\n', stderr: '' });
    const call = decodeCall(body ?? Buffer.alloc(0));
    expect(Object.fromEntries(call.environment)).to.deep.equal({
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_ARGS: 'A=b;C="d\n"',
    });
    expect(call.stdin).to.equal(config());
  });

  it("prints the agent's error object and exits with 1", async () => {
    await answerWith(http('422 Unprocessable Entity', '{"cniVersion":"1.0.0","code":7,"msg":"no"}\n'));
    expect(errorOf(await run({ CNI_COMMAND: 'ADD' }))).to.deep.equal({ cniVersion: '1.0.0', code: 7, msg: 'no' });
  });

  it('finds its socket only at the outermost level of the configuration', async () => {
    await answerWith(http('200 OK', ''));
    const nested = JSON.stringify({
      cniVersion: '1.1.0',
      prevResult: { socket: '/nonexistent/a' },
      list: [{ socket: '/nonexistent/b' }],
      note: 'a "socket": {[',
      'x\\"socket': 1,
      key: 'socket',
      other: '/nonexistent/c',
      socket: socketPath,
      last: { socket: '/nonexistent/d' },
    });
    expect((await run({ CNI_COMMAND: 'DEL' }, nested)).code).to.equal(0);
  });

  it('uses the default socket when the configuration names none', async function () {
    if (existsSync('/run/tortie/agent.sock')) this.skip();
    const { code, msg } = errorOf(
      await run({ CNI_COMMAND: 'ADD' }, '{"cniVersion":"1.1.0","prevResult":{"socket":"/x"}}'),
    );
    expect(msg).to.match(/^Cannot reach the Tortie agent at "\/run\/tortie\/agent\.sock": /);
    expect(code).to.equal(11);
  });

  it('asks to try again later when there is no agent, naming the socket and what to look at', async () => {
    const absent = errorOf(await run({ CNI_COMMAND: 'ADD' }));
    expect(absent).to.deep.equal({
      cniVersion: '1.0.0',
      code: 11,
      msg:
        `Cannot reach the Tortie agent at "${socketPath}": No such file or directory; is "tortie agent" running on ` +
        'this node, with that socket?',
    });
    writeFileSync(socketPath, '');
    expect(errorOf(await run({ CNI_COMMAND: 'DEL' })).code).to.equal(11);
  });

  it('says "not available" to STATUS when there is no agent', async () => {
    expect(errorOf(await run({ CNI_COMMAND: 'STATUS' })).code).to.equal(50);
  });

  it('waits for an agent that is being restarted, and asks STATUS again of one that died over it', async () => {
    const wait = { TORTIE_CNI_RESTART_WAIT: '15' };
    const added = run({ CNI_COMMAND: 'ADD', ...wait });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await answerWith(http('200 OK', '{"ok":1}\n'));
    expect(await added).to.include({ code: 0, stdout: '{"ok":1}\n' });
    await new Promise<void>((resolve) => server?.close(() => resolve()));
    let calls = 0;
    await answerWith('', () => {
      if (++calls < 3) return;
      server?.close();
      rmSync(socketPath, { force: true });
      void answerWith(http('200 OK', ''));
    });
    expect(await run({ CNI_COMMAND: 'STATUS', ...wait })).to.include({ code: 0 });
    expect(calls).to.equal(3);
  });

  it('waits longer than a pod of the DaemonSet takes on a machine with too much to do', async function () {
    this.timeout(60_000);
    const asked = runPlugin(client, { CNI_COMMAND: 'STATUS' }, config());
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await answerWith(http('200 OK', ''));
    expect(await asked).to.include({ code: 0 });
  });

  it('refuses a socket path that the kernel would not take', async () => {
    const long = JSON.stringify({ cniVersion: '1.0.0', socket: `/${'x'.repeat(108)}` });
    expect(errorOf(await run({ CNI_COMMAND: 'ADD' }, long))).to.deep.equal({
      cniVersion: '1.0.0',
      code: 7,
      msg: 'Cannot use the network configuration "socket": expected a path of at most 107 bytes',
    });
  });

  it('never prints an answer that was cut short', async () => {
    for (const answer of [
      '',
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"a"',
      http('200 OK', '{}').replace('content-length', 'x-length'),
    ]) {
      await answerWith(answer);
      expect(errorOf(await run({ CNI_COMMAND: 'ADD' })).code, JSON.stringify(answer)).to.equal(11);
      await new Promise<void>((resolve) => server?.close(() => resolve()));
    }
    server = undefined;
  });

  it('tells another service on the socket from the agent', async () => {
    await answerWith(http('404 Not Found', 'nothing here'));
    expect(errorOf(await run({ CNI_COMMAND: 'ADD' }))).to.deep.equal({
      cniVersion: '1.0.0',
      code: 5,
      msg: `Cannot use the answer at "${socketPath}": whoever has that socket is not the Tortie agent`,
    });
  });

  it('reads at most a mebibyte', async () => {
    expect(errorOf(await run({ CNI_COMMAND: 'ADD' }, Buffer.alloc(1024 * 1024 + 1, 0x20)))).to.include({ code: 6 });
    await answerWith(http('200 OK', ''));
    const full = Buffer.alloc(1024 * 1024, 0x20);
    full.write(config());
    expect((await run({ CNI_COMMAND: 'ADD' }, full)).code).to.equal(0);
  });

  it('survives standard input of any kind', async () => {
    for (const stdin of [
      '',
      '{',
      '"',
      '{"socket',
      '{"socket":',
      '{"socket":"',
      '{"socket":"\\',
      '[[[',
      '}}}',
      '\0{"socket":"x"}',
      Buffer.from([0xff, 0xfe, 0x22, 0x5c]),
    ])
      expect(errorOf(await run({ CNI_COMMAND: 'ADD' }, stdin)).msg, JSON.stringify(stdin)).to.match(/^Cannot /);
  });

  it('says what it is when run by hand', async () => {
    const result = await run({}, '');
    expect(result.stderr).to.include('CNI plugin of Tortie');
    expect(errorOf(result).code).to.equal(4);
  });

  it('is one small static file', () => {
    const elf = readFileSync(client);
    expect(elf.length).to.be.lessThan(1024 * 1024);
    expect(programHeaderTypes(elf)).not.to.include(PT_INTERP);
  });
});

/** elf(5): the program header that names a dynamic linker. */
const PT_INTERP = 3;

/** Of a 64-bit little-endian ELF file. */
function programHeaderTypes(elf: Buffer): readonly number[] {
  const offset = Number(elf.readBigUInt64LE(32));
  return Array.from({ length: elf.readUInt16LE(56) }, (_, i) => elf.readUInt32LE(offset + i * elf.readUInt16LE(54)));
}
