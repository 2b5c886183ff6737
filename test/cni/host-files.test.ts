import { expect } from 'chai';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HOST_FILES, installHostFiles } from '../../src/cni/host-files.js';

describe('cni/host-files', () => {
  let etc: string;
  const read = (path: string): string => readFileSync(join(etc, path), 'utf8');

  beforeEach(() => {
    etc = mkdtempSync(join(tmpdir(), 'tortie-etc-'));
  });
  afterEach(() => rmSync(etc, { recursive: true }));

  it('tells every manager that is there, once', () => {
    for (const manager of ['NetworkManager', 'systemd']) mkdirSync(join(etc, manager));
    expect(installHostFiles(etc)).to.deep.equal(HOST_FILES.map(({ path }) => join(etc, path)));
    expect(read('NetworkManager/conf.d/90-tortie.conf')).to.match(
      /^\[keyfile\]\nunmanaged-devices\+=interface-name:tort\*;interface-name:torq\*$/m,
    );
    expect(read('systemd/network/00-tortie.network')).to.match(
      /\[Match\]\nName=tort\* torq\*\n\n\[Link\]\nUnmanaged=yes\n$/,
    );
    expect(read('systemd/networkd.conf.d/90-tortie.conf')).to.include('[Network]\nManageForeignRoutes=no\n');
    expect(statSync(join(etc, 'systemd/network/00-tortie.network')).mode & 0o777).to.equal(0o644);
    expect(installHostFiles(etc)).to.deep.equal([]);
  });

  it('makes no folder for a manager that is not there, and leaves files of others alone', () => {
    mkdirSync(join(etc, 'NetworkManager/conf.d'), { recursive: true });
    const others = join(etc, 'NetworkManager/conf.d/calico.conf');
    writeFileSync(others, '[keyfile]\nunmanaged-devices=interface-name:cali*\n');
    expect(installHostFiles(etc)).to.have.length(1);
    expect(existsSync(join(etc, 'systemd'))).to.equal(false);
    expect(readFileSync(others, 'utf8')).to.include('cali*');
  });

  it('puts back what somebody changed', () => {
    mkdirSync(join(etc, 'systemd'));
    installHostFiles(etc);
    const file = join(etc, 'systemd/network/00-tortie.network');
    writeFileSync(file, '[Match]\nName=tort0\n');
    expect(installHostFiles(etc)).to.deep.equal([file]);
    expect(readFileSync(file, 'utf8')).to.include('Unmanaged=yes');
  });
});
