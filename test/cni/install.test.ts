import { expect } from 'chai';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installPlugins } from '../../src/cni/install.js';
import { UserError } from '../../src/errors.js';

describe('cni install', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-cni-install-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  it('puts the plugin into the folder, executable, and nothing half written beside it', () => {
    expect(installPlugins(directory)[0]).to.contain('is installed');
    expect(statSync(join(directory, 'tortie')).mode & 0o777).to.equal(0o755);
    expect(readdirSync(directory).filter((name) => name.startsWith('.'))).to.deep.equal([]);
    expect(installPlugins(directory)[0]).to.contain('is as it should be');
  });

  it('brings a loopback where there is none, and renews its own', () => {
    expect(installPlugins(directory)[1]).to.equal(`${join(directory, 'loopback')} is installed`);
    expect(installPlugins(directory)[1]).to.equal(`${join(directory, 'loopback')} is as it should be`);
    expect(statSync(join(directory, 'loopback')).mode & 0o777).to.equal(0o755);
    appendFileSync(join(directory, 'loopback'), 'older');
    expect(installPlugins(directory)[1]).to.equal(`${join(directory, 'loopback')} is installed`);
  });

  it('leaves the loopback of another network', () => {
    writeFileSync(join(directory, 'loopback'), 'theirs');
    installPlugins(directory);
    expect(readFileSync(join(directory, 'loopback'), 'utf8')).to.equal('theirs');
  });

  it('says which folder cannot be written', () => {
    writeFileSync(join(directory, 'file'), '');
    expect(() => installPlugins(join(directory, 'file'))).to.throw(UserError, join(directory, 'file'));
  });
});
