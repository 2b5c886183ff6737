import { expect } from 'chai';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  commonVersion,
  installConflist,
  type InstallOptions,
  installPlugin,
  renderConflist,
  uninstallConflist,
} from '../../src/cni/conflist.js';
import { runtimeCniVersion } from '../../src/cni/runtime-version.js';

describe('CNI conflist', () => {
  let directory: string;
  let bin: string;
  let networks: string;
  let client: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-conflist-'));
    [bin, networks, client] = [join(directory, 'bin'), join(directory, 'net.d'), join(directory, 'client')];
    writeFileSync(client, 'binary');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const conflist = { socketPath: '/run/x/agent.sock' };

  it('names the socket, the MTU and the chained plugins', () => {
    const list: unknown = JSON.parse(
      renderConflist({
        socketPath: '/run/x/agent.sock',
        mtu: 1400,
        name: 'pods',
        cniVersion: '1.0.0',
        chained: [{ type: 'portmap', capabilities: { portMappings: true } }],
      }),
    );
    expect(list).to.deep.equal({
      cniVersion: '1.0.0',
      name: 'pods',
      plugins: [
        { type: 'tortie', socket: '/run/x/agent.sock', mtu: 1400 },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
  });

  it('and the plugin are installed, and not touched when they are there', () => {
    const files = [join(bin, 'tortie'), join(networks, '10-tortie.conflist')];
    expect([installPlugin(bin, client), installConflist(networks, conflist).path]).to.deep.equal(files);
    expect(files.map((file) => statSync(file).mode & 0o777)).to.deep.equal([0o755, 0o600]);
    expect(readFileSync(join(networks, '10-tortie.conflist'), 'utf8')).to.equal(renderConflist(conflist));
    expect([installPlugin(bin, client), installConflist(networks, conflist).path]).to.deep.equal([
      undefined,
      undefined,
    ]);
    expect([readdirSync(networks), readdirSync(bin)]).to.deep.equal([['10-tortie.conflist'], ['tortie']]);
  });

  it('and the plugin are replaced when they differ: content or mode', () => {
    installPlugin(bin, client);
    installConflist(networks, conflist);
    chmodSync(join(bin, 'tortie'), 0o600);
    expect(installPlugin(bin, client)).to.equal(join(bin, 'tortie'));
    writeFileSync(client, 'newer!');
    expect(installPlugin(bin, client)).to.equal(join(bin, 'tortie'));
    expect(installConflist(networks, { socketPath: '/run/y/agent.sock' }).path).to.equal(
      join(networks, '10-tortie.conflist'),
    );
  });

  describe('that an operator has edited', () => {
    const read = (): Record<string, unknown> & { plugins: Record<string, unknown>[] } =>
      JSON.parse(readFileSync(join(networks, '10-tortie.conflist'), 'utf8')) as never;
    const edit = (change: (list: ReturnType<typeof read>) => void): void => {
      const list = read();
      change(list);
      writeFileSync(join(networks, '10-tortie.conflist'), JSON.stringify(list));
    };
    const options = (more: Partial<InstallOptions> = {}): InstallOptions => ({
      ...conflist,
      cniVersion: '1.1.0',
      recordPath: join(directory, 'state.json'),
      ...more,
    });
    const portmap = { type: 'portmap', capabilities: { portMappings: true } };

    it('keeps its chain, MTU, version and name, and gets the socket of this agent', () => {
      installConflist(networks, options());
      edit((list) => {
        list['cniVersion'] = '1.0.0';
        list['name'] = 'pods';
        list['disableCheck'] = true;
        list.plugins = [{ type: 'first' }, { ...list.plugins[0], mtu: 1400, own: 1 }, portmap];
      });
      installConflist(networks, options({ socketPath: '/run/y/agent.sock' }));
      expect(read()).to.deep.equal({
        cniVersion: '1.0.0',
        name: 'pods',
        disableCheck: true,
        plugins: [{ type: 'first' }, { type: 'tortie', socket: '/run/y/agent.sock', mtu: 1400, own: 1 }, portmap],
      });
      expect(installConflist(networks, options({ socketPath: '/run/y/agent.sock' })).path).to.equal(undefined);
    });

    it('follows this agent in what he left as it was, and in what is asked for by an option', () => {
      installConflist(networks, options({ mtu: 9000 }));
      edit((list) => list.plugins.push(portmap));
      installConflist(networks, options({ cniVersion: '1.0.0' }));
      expect(read()).to.deep.equal({
        cniVersion: '1.0.0',
        name: 'tortie',
        plugins: [{ type: 'tortie', socket: conflist.socketPath }, portmap],
      });
      edit((list) => (list['cniVersion'] = '0.4.0'));
      installConflist(networks, options({ cniVersion: '1.0.0', asked: new Set(['cniVersion']) }));
      expect(read()['cniVersion']).to.equal('1.0.0');
    });

    it('asks for host ports unless a plugin of the chain takes them or the operator wants none', () => {
      installConflist(networks, options());
      expect(read().plugins[0]).to.have.deep.property('capabilities', { portMappings: true });
      edit((list) => list.plugins.push(portmap));
      installConflist(networks, options());
      expect(read().plugins[0]).to.not.have.property('capabilities');
      edit((list) => list.plugins.pop());
      installConflist(networks, options());
      expect(read().plugins[0]).to.have.deep.property('capabilities', { portMappings: true });
      edit((list) => (list.plugins = [{ ...list.plugins[0], capabilities: { portMappings: false, ips: true } }]));
      installConflist(networks, options());
      expect(read().plugins[0]).to.have.deep.property('capabilities', { portMappings: false, ips: true });
    });

    it('gets host ports where an older release wrote it, recorded or not', () => {
      for (const recorded of [true, false]) {
        installConflist(networks, options());
        edit((list) => delete list.plugins[0]?.['capabilities']);
        const path = join(networks, '10-tortie.conflist');
        const old = `${JSON.stringify(read(), undefined, 2)}\n`;
        writeFileSync(path, old);
        if (recorded) writeFileSync(join(directory, 'state.json'), old);
        else rmSync(join(directory, 'state.json'));
        installConflist(networks, options());
        expect(read().plugins[0]).to.have.deep.property('capabilities', { portMappings: true });
      }
    });

    it('stays without a record too, but for what an older release wrote', () => {
      mkdirSync(networks, { recursive: true });
      const path = join(networks, '10-tortie.conflist');
      writeFileSync(path, renderConflist({ ...conflist, cniVersion: '1.0.0', mtu: 1400, chained: [portmap] }));
      installConflist(networks, options({ cniVersion: '1.1.0' }));
      expect(read()['cniVersion']).to.equal('1.0.0');
      rmSync(join(directory, 'state.json'));
      writeFileSync(path, renderConflist(conflist));
      installConflist(networks, options({ cniVersion: '1.0.0' }));
      expect(read()['cniVersion']).to.equal('1.0.0');
    });

    for (const [what, text] of [
      ['is not JSON', '{'],
      ['is no object', '[]'],
      ['has no plugin of type "tortie"', '{"plugins":[{"type":"bridge"}]}'],
    ] as const)
      it(`is kept aside when it ${what}`, () => {
        mkdirSync(networks, { recursive: true });
        writeFileSync(join(networks, '10-tortie.conflist'), text);
        const { aside } = installConflist(networks, options());
        expect(aside?.why).to.include(what);
        expect(readFileSync(aside?.path ?? '', 'utf8')).to.equal(text);
        expect(read().plugins).to.have.length(1);
      });
  });

  it('has the version that the runtime speaks, as far as the node says', () => {
    const versions = [
      'containerd://2.3.3',
      'containerd://1.7.22',
      'containerd://1.6.20~ds1',
      'cri-o://1.33.1',
      'docker://27.0.1',
      undefined,
    ];
    expect(versions.map(runtimeCniVersion)).to.deep.equal(['1.1.0', '1.0.0', '1.0.0', '1.1.0', '1.0.0', '1.0.0']);
  });

  it('goes away on its own, and twice without complaint', () => {
    installPlugin(bin, client);
    installConflist(networks, conflist);
    for (const _ of [1, 2]) uninstallConflist(networks);
    expect([readdirSync(networks), readdirSync(bin)]).to.deep.equal([[], ['tortie']]);
  });

  it('leaves no draft behind when it cannot be written', () => {
    mkdirSync(join(networks, '10-tortie.conflist'), { recursive: true });
    expect(() => installConflist(networks, conflist)).to.throw('EISDIR');
    expect(readdirSync(networks)).to.deep.equal(['10-tortie.conflist']);
    expect(() => installPlugin(bin, join(directory, 'nonesuch'))).to.throw('ENOENT');
  });

  describe('versions of a chain', () => {
    const script = (name: string, text: string): void =>
      writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });

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
      expect(await failure('ancient')).to.equal(
        'Cannot chain CNI plugin "ancient": it speaks no version that Tortie knows, expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      );
      expect(await failure('broken')).to.match(/^Cannot chain CNI plugin "broken": ".*broken" does not run: /);
      expect(await failure('absent')).to.match(/^Cannot chain CNI plugin "absent": ".*absent" does not run: .*ENOENT/);
    });
  });
});
