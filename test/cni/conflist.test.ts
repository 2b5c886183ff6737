import { expect } from 'chai';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commonVersion, installCni, type InstallOptions, renderConflist, uninstallConflist } from '../../src/cni/conflist.js';

describe('CNI conflist', () => {
  let directory: string;
  let options: InstallOptions;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-conflist-'));
    writeFileSync(join(directory, 'client'), 'binary');
    options = { configDirectory: join(directory, 'net.d'), pluginDirectory: join(directory, 'bin'), clientFile: join(directory, 'client'), conflist: { socketPath: '/run/x/agent.sock' } };
  });
  afterEach(() => rmSync(directory, { recursive: true }));


  it('names the socket, the MTU and the chained plugins', () => {
    const list: unknown = JSON.parse(renderConflist({ socketPath: '/run/x/agent.sock', mtu: 1400, name: 'pods', cniVersion: '1.0.0', chained: [{ type: 'portmap', capabilities: { portMappings: true } }] }));
    expect(list).to.deep.equal({
      cniVersion: '1.0.0', name: 'pods',
      plugins: [{ type: 'tortie', socket: '/run/x/agent.sock', mtu: 1400 }, { type: 'portmap', capabilities: { portMappings: true } }],
    });
  });

  it('is installed with the plugin, and not touched when it is there', () => {
    const files = [join(directory, 'bin/tortie'), join(directory, 'net.d/10-tortie.conflist')];
    expect(installCni(options)).to.deep.equal(files);
    expect(files.map((file) => statSync(file).mode & 0o777)).to.deep.equal([0o755, 0o600]);
    expect(readFileSync(join(directory, 'net.d/10-tortie.conflist'), 'utf8')).to.equal(renderConflist(options.conflist));
    expect(installCni(options)).to.deep.equal([]);
    expect([readdirSync(options.configDirectory), readdirSync(options.pluginDirectory)]).to.deep.equal([['10-tortie.conflist'], ['tortie']]);
  });

  it('replaces only what differs: content or mode', () => {
    installCni(options);
    chmodSync(join(directory, 'bin/tortie'), 0o600);
    expect(installCni(options)).to.deep.equal([join(directory, 'bin/tortie')]);
    expect(installCni({ ...options, conflist: { socketPath: '/run/y/agent.sock' } })).to.deep.equal([join(directory, 'net.d/10-tortie.conflist')]);
  });

  it('goes away on its own, and twice without complaint', () => {
    installCni(options);
    for (const _ of [1, 2]) uninstallConflist(options.configDirectory);
    expect([readdirSync(options.configDirectory), readdirSync(options.pluginDirectory)]).to.deep.equal([[], ['tortie']]);
  });

  it('leaves no draft behind when it cannot be written', () => {
    rmSync(options.clientFile);
    expect(() => installCni(options)).to.throw('ENOENT');
    writeFileSync(options.pluginDirectory, 'a file where the directory should be');
    writeFileSync(options.clientFile, 'binary');
    expect(() => installCni(options)).to.throw();
    expect(readdirSync(directory).sort()).to.deep.equal(['bin', 'client']);
  });

  describe('versions of a chain', () => {
    const script = (name: string, text: string): void => writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });

    it('come down to the newest that all plugins speak', async () => {
      script('old', 'echo \'{"supportedVersions":["0.1.0","0.3.1","1.0.0"]}\'');
      script('new', 'echo \'{"supportedVersions":["1.0.0","1.1.0"]}\'');
      expect(await commonVersion(directory, [])).to.equal('1.1.0');
      expect(await commonVersion(directory, [{ type: 'new' }])).to.equal('1.1.0');
      expect(await commonVersion(directory, [{ type: 'new' }, { type: 'old' }])).to.equal('1.0.0');
    });

    it('name the plugin that is missing, broken or too old', async () => {
      script('ancient', 'echo \'{"supportedVersions":["0.2.0"]}\'');
      script('broken', 'exit 3');
      const failure = async (type: string): Promise<string> => {
        const error: unknown = await commonVersion(directory, [{ type }]).catch((thrown: unknown) => thrown);
        return error instanceof Error ? error.message : 'no error';
      };
      expect(await failure('ancient')).to.equal('Cannot chain CNI plugin "ancient": it speaks no version that Tortie knows, expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0');
      expect(await failure('broken')).to.match(/^Cannot chain CNI plugin "broken": ".*broken" does not run: /);
      expect(await failure('absent')).to.match(/^Cannot chain CNI plugin "absent": ".*absent" does not run: .*ENOENT/);
    });
  });
});
