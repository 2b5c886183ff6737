import { expect } from 'chai';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CniServer, type CniServerOptions } from '../../src/cni/cni-server.js';
import type { CniAddRequest, CniHandlers } from '../../src/cni/contract.js';
import { encodeCall } from '../../src/cni/exchange.js';

describe('CNI server', () => {
  let directory: string;
  let socketPath: string;
  let server: CniServer | undefined;
  const faults: unknown[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-server-'));
    socketPath = join(directory, 'run/agent.sock');
    faults.splice(0);
  });
  afterEach(async () => {
    await server?.close();
    server = undefined;
    rmSync(directory, { recursive: true });
    expect(faults).to.deep.equal([]);
  });

  const empty = { interfaces: [], ips: [], routes: [] };
  const start = async (handlers: Partial<CniHandlers>, options: Partial<CniServerOptions> = {}): Promise<void> => {
    const refuse = (): never => expect.fail('the handler must not be called');
    const all = { add: refuse, del: refuse, check: refuse, status: refuse, gc: refuse, ...handlers };
    server = new CniServer({ socketPath, handlers: all, onFault: (error) => faults.push(error), ...options });
    await server.listen();
  };
  const environment = new Map([
    ['CNI_COMMAND', 'ADD'],
    ['CNI_CONTAINERID', 'c1'],
    ['CNI_IFNAME', 'eth0'],
    ['CNI_NETNS', '/n'],
  ]);
  const addCall = (): Uint8Array => encodeCall({ environment, stdin: '{"cniVersion":"1.1.0","name":"n"}' });
  const post = (body: Uint8Array, path = '/v1/cni', method = 'POST'): Promise<{ status: number; body: string }> =>
    new Promise((resolve, reject) => {
      const asked = request({ socketPath, path, method, agent: false }, (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => (text += chunk))
          .on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      });
      asked.on('error', reject).end(body);
    });

  it('serves root alone, and makes the directory', async () => {
    await start({});
    expect(statSync(socketPath).mode & 0o777).to.equal(0o600);
  });

  it('serves calls side by side', async () => {
    let running = 0;
    let most = 0;
    let release = (): void => undefined;
    const all = new Promise<void>((resolve) => (release = resolve));
    await start({
      add: async () => {
        most = Math.max(most, ++running);
        if (running === 20) release();
        await all;
        return empty;
      },
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(addCall())));
    expect(most).to.equal(20);
    expect(answers.map(({ status }) => status)).to.deep.equal(new Array(20).fill(200));
  });

  it('asks to try again when too many are under way', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let entered = 0;
    const add = async (): Promise<typeof empty> => {
      entered++;
      await held;
      return empty;
    };
    await start({ add }, { maxCalls: 2 });
    const first = [post(addCall()), post(addCall())];
    while (entered < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const { status, body } = await post(addCall());
    expect([status, JSON.parse(body)]).to.deep.equal([
      422,
      { cniVersion: '1.1.0', code: 11, msg: 'Cannot serve the call: 2 are under way' },
    ]);
    release();
    expect((await Promise.all(first)).map((answer) => answer.status)).to.deep.equal([200, 200]);
  });

  it('tells the handler when the client has gone away', async () => {
    let seen: CniAddRequest | undefined;
    await start({
      add: (call) =>
        new Promise((resolve) => {
          seen = call;
          call.signal.addEventListener('abort', () => resolve(empty));
        }),
    });
    const socket = connect(socketPath);
    const body = addCall();
    socket.write(`POST /v1/cni HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
    while (seen === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(seen.signal.aborted).to.equal(false);
    socket.destroy();
    while (!seen.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('answers calls under way before it closes', async () => {
    let entered = false;
    await start({
      add: async () => {
        entered = true;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return empty;
      },
    });
    const answer = post(addCall());
    while (!entered) await new Promise((resolve) => setTimeout(resolve, 5));
    await server?.close();
    expect((await answer).status).to.equal(200);
    server = undefined;
  });

  it('bounds a call, and refuses what the client did not write', async () => {
    await start({});
    expect(JSON.parse((await post(Buffer.alloc(2 * 1024 * 1024 + 1, 0x41))).body)).to.include({
      code: 6,
      msg: 'Cannot read the call: it has more than 2097152 bytes',
    });
    expect(JSON.parse((await post(Buffer.from('hello'))).body)).to.include({
      code: 6,
      msg: 'Cannot decode the call: its environment has no end',
    });
  });

  it('leaves every other path to the agent', async () => {
    await start({}, { fallback: (_request, response) => response.end('own') });
    expect(await post(Buffer.alloc(0), '/v1/status', 'GET')).to.deep.equal({ status: 200, body: 'own' });
    expect((await post(Buffer.alloc(0), '/v1/cni', 'GET')).status).to.equal(405);
    await server?.close();
    await start({});
    expect((await post(Buffer.alloc(0), '/v1/status', 'GET')).status).to.equal(404);
  });

  it('takes the place of a dead agent, not of a living one, nor of a file', async () => {
    await start({ add: async () => empty });
    const second = new CniServer({ socketPath, handlers: {} as CniHandlers, onFault: (error) => faults.push(error) });
    const failure = await second.listen().catch((error: unknown) => error);
    expect(failure)
      .to.be.an('error')
      .with.property('message', `Cannot listen on "${socketPath}": another agent serves it`);
    expect((await post(addCall())).status).to.equal(200);
    await server?.close();

    // A killed agent leaves its socket behind: a bound, unlistened socket is what that looks like.
    const { execFileSync } = await import('node:child_process');
    const script = `const s=require('net').createServer().listen(${JSON.stringify(socketPath)},()=>process.kill(process.pid,'SIGKILL'))`;
    try {
      execFileSync(process.execPath, ['-e', script]);
    } catch {
      /* it killed itself, as it was told to */
    }
    expect(statSync(socketPath).isSocket()).to.equal(true);
    await start({ add: async () => empty });
    expect((await post(addCall())).status).to.equal(200);
    await server?.close();

    writeFileSync(socketPath, 'x');
    const refused = await second.listen().catch((error: unknown) => error);
    expect(refused)
      .to.be.an('error')
      .with.property('message', `Cannot listen on "${socketPath}": it is there and is no socket`);
    server = undefined;
  });

  it('reports every call with its answer', async () => {
    const seen: string[] = [];
    await start(
      { add: async () => empty },
      {
        onAnswer: (call, answer, duration) =>
          seen.push(`${call.environment.get('CNI_COMMAND') ?? ''} ${answer.isDone} ${duration >= 0}`),
      },
    );
    await post(addCall());
    expect(seen).to.deep.equal(['ADD true true']);
  });
});
