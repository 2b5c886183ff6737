import { expect } from 'chai';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CniError, CniRuntime, type Attachment, type NetworkConfigList } from '../../src/lab/cni-runtime.js';
import { attempt, run } from '../../src/lab/command.js';

const RECORDER = fileURLToPath(new URL('../../../test/lab/fixtures/recording-plugin.sh', import.meta.url));
const LIST: NetworkConfigList = {
  cniVersion: '1.1.0',
  name: 'net',
  plugins: [{ type: 'first', socket: '/run/x', capabilities: { portMappings: true } }, { type: 'second' }],
};
const ATTACHMENT: Attachment = {
  containerId: 'c1',
  netns: '/run/netns/n',
  interface: 'eth0',
  args: { K8S_POD_NAME: 'web', K8S_POD_NAMESPACE: 'shop' },
  runtimeConfig: { portMappings: [{ hostPort: 1 }], bandwidth: { ingressRate: 1 } },
};

interface Call {
  readonly plugin: string;
  readonly command: string;
  readonly env: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
}

describe('lab/cni-runtime', () => {
  let directory = '';
  let runtime: CniRuntime;
  const runtimeOf = (list: NetworkConfigList, path: readonly string[] = [directory]): CniRuntime =>
    new CniRuntime(list, path, join(directory, 'cache'), (program, env, input) =>
      attempt([program], input, { env: { ...process.env, ...env } }),
    );
  const answer = (plugin: string, command: string, text: string, fails = false): void => {
    writeFileSync(join(directory, `${plugin}.${command}`), text);
    if (fails) writeFileSync(join(directory, `${plugin}.${command}.fails`), '');
  };
  const calls = (): readonly Call[] =>
    (existsSync(join(directory, 'calls')) ? readFileSync(join(directory, 'calls'), 'utf8') : '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [plugin = '', command = '', ...rest] = line.split('\t');
        return {
          plugin,
          command,
          env: rest.slice(0, 4),
          config: JSON.parse(rest[4] ?? '') as Readonly<Record<string, unknown>>,
        };
      });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-cni-'));
    for (const plugin of ['first', 'second']) copyFileSync(RECORDER, join(directory, plugin));
    answer('first', 'ADD', '{"cniVersion":"1.1.0","ips":[{"address":"10.65.0.1/32"}]}');
    answer('second', 'ADD', '{"cniVersion":"1.1.0","ips":[{"address":"10.65.0.1/32"}],"dns":{}}');
    runtime = runtimeOf(LIST);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('calls every plugin of the list in order and hands each the result before it', async () => {
    const result = await runtime.add(ATTACHMENT);
    expect(result['dns']).to.deep.equal({});
    const [first, second] = calls();
    expect(first?.env).to.deep.equal(['c1', '/run/netns/n', 'eth0', 'K8S_POD_NAME=web;K8S_POD_NAMESPACE=shop']);
    expect(first?.config).to.deep.equal({
      cniVersion: '1.1.0',
      name: 'net',
      type: 'first',
      socket: '/run/x',
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort: 1 }] },
    });
    expect(second?.config).to.deep.equal({
      cniVersion: '1.1.0',
      name: 'net',
      type: 'second',
      prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.65.0.1/32' }] },
    });
  });

  it('deletes in reverse order with the final result, and forgets it', async () => {
    const result = await runtime.add(ATTACHMENT);
    await runtimeOf(LIST).delete(ATTACHMENT); // Another instance: the result comes from the disk.
    const deletions = calls().filter((call) => call.command === 'DEL');
    expect(deletions.map((call) => call.plugin)).to.deep.equal(['second', 'first']);
    for (const call of deletions) expect(call.config['prevResult']).to.deep.equal(result);
    expect(readdirSync(join(directory, 'cache'))).to.deep.equal([]);
    await runtime.delete(ATTACHMENT);
    expect(
      calls()
        .filter((call) => call.command === 'DEL')
        .slice(2)
        .map((call) => call.config['prevResult']),
    ).to.deep.equal([undefined, undefined]);
  });

  it('checks in order with the final result, unless the list says not to', async () => {
    const result = await runtime.add(ATTACHMENT);
    await runtime.check(ATTACHMENT);
    await runtimeOf({ ...LIST, disableCheck: true }).check(ATTACHMENT);
    const checks = calls().filter((call) => call.command === 'CHECK');
    expect(checks.map((call) => [call.plugin, call.config['prevResult']])).to.deep.equal([
      ['first', result],
      ['second', result],
    ]);
  });

  it('collects garbage: DEL for what nobody owns any more, then GC with what is valid', async () => {
    await runtime.add(ATTACHMENT);
    await runtime.add({ ...ATTACHMENT, containerId: 'c2' });
    await runtimeOf(LIST).collectGarbage([{ containerId: 'c2', interface: 'eth0' }]);
    expect(
      calls()
        .filter((call) => call.command === 'DEL')
        .map((call) => [call.plugin, call.env[0]]),
    ).to.deep.equal([
      ['second', 'c1'],
      ['first', 'c1'],
    ]);
    const collected = calls().filter((call) => call.command === 'GC');
    expect(collected.map((call) => [call.plugin, call.config['cni.dev/valid-attachments']])).to.deep.equal(
      ['first', 'second'].map((plugin) => [plugin, [{ containerID: 'c2', ifname: 'eth0' }]]),
    );
  });

  it("repeats a plugin's own error with its code, and stops there", async () => {
    answer('first', 'ADD', '{"cniVersion":"1.1.0","code":11,"msg":"try again","details":"agent is down"}', true);
    const error = await runtime.add(ATTACHMENT).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(CniError);
    expect((error as CniError).code).to.equal(11);
    expect((error as CniError).message).to.equal(
      'Cannot ADD by CNI plugin "first": try again: agent is down (code 11)',
    );
    expect(calls().map((call) => call.plugin)).to.deep.equal(['first']);
  });

  it('says so when a plugin breaks the protocol', async () => {
    answer('second', 'ADD', 'Segmentation fault');
    expect(((await runtime.add(ATTACHMENT).catch((reason: unknown) => reason)) as Error).message).to.contain(
      'its answer is not JSON',
    );
    const missing = runtimeOf({ ...LIST, plugins: [{ type: 'nowhere' }] });
    expect(((await missing.add(ATTACHMENT).catch((reason: unknown) => reason)) as Error).message).to.contain(
      'it is in none of',
    );
  });

  it('refuses a plugin that does not know the version of the list', async () => {
    answer('first', 'VERSION', '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}');
    answer('second', 'VERSION', '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}');
    expect(((await runtime.checkVersions().catch((reason: unknown) => reason)) as Error).message).to.contain(
      'version 1.1.0 is wanted and 1.0.0 supported',
    );
  });

  it('runs the reference plugins: ptp with host-local, then tuning', async function () {
    if (!existsSync('/usr/lib/cni/ptp')) this.skip();
    const netns = `tl-cnitest-${process.pid}`;
    const node = `${netns}-node`;
    await run(['ip', 'netns', 'add', netns]);
    await run(['ip', 'netns', 'add', node]);
    try {
      const list: NetworkConfigList = {
        cniVersion: '1.0.0',
        name: `ref${process.pid}`,
        plugins: [
          {
            type: 'ptp',
            ipam: { type: 'host-local', dataDir: join(directory, 'ipam'), ranges: [[{ subnet: '10.99.0.0/24' }]] },
          },
          { type: 'tuning', sysctl: { 'net.core.somaxconn': '500' } },
        ],
      };
      const real = new CniRuntime(list, ['/usr/lib/cni'], join(directory, 'cache'), (program, env, input) =>
        attempt(['ip', 'netns', 'exec', node, program], input, { env: { ...process.env, ...env } }),
      );
      const attachment: Attachment = {
        containerId: 'real1',
        netns: `/run/netns/${netns}`,
        interface: 'eth0',
        args: { IgnoreUnknown: '1' },
      };
      await real.checkVersions();
      const result = await real.add(attachment);
      expect(result.ips?.[0]?.address).to.equal('10.99.0.2/24');
      expect(await run(['ip', 'netns', 'exec', netns, 'cat', '/proc/sys/net/core/somaxconn'])).to.equal('500\n');
      await real.check(attachment);
      await real.delete(attachment);
      expect(await run(['ip', '-n', netns, '-br', 'link'])).to.not.contain('eth0');
    } finally {
      await run(['ip', 'netns', 'delete', netns]);
      await run(['ip', 'netns', 'delete', node]);
    }
  });
});
