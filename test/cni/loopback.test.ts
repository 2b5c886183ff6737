/** Our loopback plugin in a namespace. Needs root. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exec, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { runPlugin, type PluginRun } from './plugin.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const plugin = join(root, 'dist/cni/loopback');

describe('CNI loopback', () => {
  const namespaces = new ScratchNamespaces('tclo');
  let netns: string;
  before(() => execFileSync(process.execPath, [join(root, 'scripts/build-cni.mjs')]));
  beforeEach(() => {
    netns = namespaces.create();
    exec(netns, 'ip', 'link', 'set', 'lo', 'down');
  });
  after(() => namespaces.removeAll());

  const call = (command: string, config: object = {}, path = netns): Promise<PluginRun> =>
    runPlugin(
      plugin,
      { CNI_COMMAND: command, CNI_CONTAINERID: 'c', CNI_IFNAME: 'lo', CNI_PATH: '/opt/cni/bin', CNI_NETNS: path },
      JSON.stringify({ cniVersion: '1.0.0', name: 'cni-loopback', type: 'loopback', ...config }),
    );
  const isUp = (): boolean => /<LOOPBACK,UP/.test(exec(netns, 'ip', 'link', 'show', 'lo'));

  it('brings lo up and says so in the version of the call; DEL takes it down', async () => {
    const results: unknown[] = [];
    for (const cniVersion of ['0.2.0', '0.3.1', '1.0.0', '1.1.0']) {
      const { code, stdout } = await call('ADD', { cniVersion });
      expect(code, stdout).to.equal(0);
      expect(isUp()).to.equal(true);
      results.push(JSON.parse(stdout));
      expect((await call('CHECK', { cniVersion })).code).to.equal(0);
      expect((await call('DEL', { cniVersion })).code).to.equal(0);
      expect(isUp()).to.equal(false);
    }
    const interfaces = [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: netns }];
    const four = { interface: 0, address: '127.0.0.1/8' };
    const six = { interface: 0, address: '::1/128' };
    expect(results).to.deep.equal([
      { cniVersion: '0.2.0', ip4: { ip: '127.0.0.1/8' }, ip6: { ip: '::1/128' }, dns: {} },
      {
        cniVersion: '0.3.1',
        interfaces,
        ips: [
          { version: '4', ...four },
          { version: '6', ...six },
        ],
        dns: {},
      },
      { cniVersion: '1.0.0', interfaces, ips: [four, six], dns: {} },
      { cniVersion: '1.1.0', interfaces, ips: [four, six], dns: {} },
    ]);
  });

  it('passes on what the plugin before it said', async () => {
    const prevResult = { cniVersion: '1.0.0', ips: [{ address: '10.0.0.1/8' }], dns: { search: ['a"}b'] } };
    const { stdout } = await call('ADD', { args: { prevResult: { no: 1 } }, prevResult, more: [{ prevResult: {} }] });
    expect(JSON.parse(stdout)).to.deep.equal(prevResult);
  });

  it('says what is wrong, and nothing of a namespace that is gone at DEL', async () => {
    const codeOf = async (run: Promise<PluginRun>): Promise<number> =>
      (JSON.parse((await run).stdout) as { code: number }).code;
    expect(await codeOf(call('CHECK'))).to.equal(5);
    expect(await codeOf(call('ADD', {}, '/run/netns/nonesuch'))).to.equal(3);
    expect(await codeOf(call('ADD', {}, '/dev/null'))).to.equal(5);
    expect(await codeOf(call('ADD', {}, ''))).to.equal(4);
    expect(await codeOf(call('FETCH'))).to.equal(4);
    for (const path of ['/run/netns/nonesuch', '']) expect((await call('DEL', {}, path)).code).to.equal(0);
    for (const command of ['STATUS', 'GC'])
      expect(await call(command, { cniVersion: '1.1.0' })).to.include({ code: 0, stdout: '' });
    expect(JSON.parse((await call('VERSION')).stdout))
      .to.have.property('supportedVersions')
      .that.includes('0.3.1');
  });
});
