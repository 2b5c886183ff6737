import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { describeMissing, type FeatureReport, probeFeatures } from '../../src/dataplane/features.js';
import { namespaceIdentity } from '../../src/dataplane/netns.js';

describe('kernel features', () => {
  const links = (): string => execFileSync('ip', ['-br', 'link'], { encoding: 'utf8' });

  it('are all there on a machine that runs these tests, and nothing is left behind', () => {
    const [linksBefore, namespace] = [links(), namespaceIdentity('/proc/thread-self/ns/net')];
    const reports = probeFeatures();
    expect(describeMissing(reports)).to.deep.equal([]);
    expect([links(), namespaceIdentity('/proc/thread-self/ns/net')]).to.deep.equal([linksBefore, namespace]);
    expect(links()).not.to.include('tortprobe');
  });

  it('are the same when asked twice', () => {
    expect(probeFeatures()).to.deep.equal(probeFeatures());
  });

  it('that are missing are named, with what needs them and who provides them', () => {
    const veth: FeatureReport = {
      name: 'veth interfaces',
      kernelPart: 'CONFIG_VETH',
      purpose: 'connecting pods',
      isRequired: true,
      problem: 'Cannot create veth "x": operation not supported (ENOTSUP)',
    };
    expect(describeMissing([veth, { ...veth, problem: undefined }])).to.deep.equal([
      'This kernel lacks veth interfaces (CONFIG_VETH), which Tortie needs for connecting pods: Cannot create ' +
        'veth "x": operation not supported (ENOTSUP)',
    ]);
  });

  it('that the kernel does not have are found missing, among others that it has', () => {
    const found = probeFeatures(['conntrack', 'nonesuch']).filter(({ name }) => name.includes('match'));
    expect(found.map(({ name, problem }) => [name, problem])).to.deep.equal([
      ['the iptables match "conntrack"', undefined],
      ['the iptables match "nonesuch"', 'Cannot look up iptables match "nonesuch": no such file or directory (ENOENT)'],
    ]);
  });
});
