import { expect } from 'chai';
import { chooseByEvidence } from '../../../src/dataplane/netfilter/backend.js';

const none = { kubeChains: 0, chains: 0 };

describe('the choice of an iptables backend', () => {
  it('follows kubelet and kube-proxy, nft before legacy', () => {
    expect(chooseByEvidence({ kubeChains: 1, chains: 1 }, { kubeChains: 0, chains: 90 })?.backend).to.equal('nft');
    expect(chooseByEvidence({ kubeChains: 0, chains: 90 }, { kubeChains: 1, chains: 1 })?.backend).to.equal('legacy');
    expect(chooseByEvidence({ kubeChains: 1, chains: 1 }, { kubeChains: 9, chains: 9 })?.backend).to.equal('nft');
  });
  it('else the one that others use more', () => {
    expect(chooseByEvidence({ kubeChains: 0, chains: 2 }, { kubeChains: 0, chains: 3 })?.backend).to.equal('legacy');
    expect(chooseByEvidence({ kubeChains: 0, chains: 1 }, none)?.backend).to.equal('nft');
  });
  it('has no opinion without evidence', () => expect(chooseByEvidence(none, none)).to.equal(undefined));
});
