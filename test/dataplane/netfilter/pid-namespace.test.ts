import { expect } from 'chai';
import { execFileSync } from 'node:child_process';

/** An agent in a container has other process ids than the kernel's first PID namespace counts. */
const SCRIPT = `
const { createNetfilter } = await import(process.argv[1] + '/dist/src/dataplane/netfilter/netfilter.js');
const { PolicyEngine } = await import('@tortie/policy');
const engine = new PolicyEngine({ nodeName: 'n' });
engine.flush();
const drifts = [];
const netfilter = await createNetfilter({ families: [4, 6], backend: process.argv[2], onDrift: (drift) => drifts.push(drift) });
await netfilter.sync(engine.ruleset());
const upsert = (kind, object) => engine.apply({ type: 'upsert', kind, object });
upsert('Namespace', { metadata: { name: 'a' } });
const status = { podIPs: [{ ip: '10.65.0.7' }] };
upsert('Pod', { metadata: { name: 'p', namespace: 'a' }, spec: { nodeName: 'n', containers: [] }, status });
upsert('NetworkPolicy', { metadata: { name: 'x', namespace: 'a' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } });
const endpoint = { namespace: 'a', name: 'p', interface: 'tort3f0a12b4c5d', addresses: ['10.65.0.7'] };
engine.apply({ type: 'endpoint-upsert', endpoint });
await netfilter.apply(engine.flush());
const { chainsWritten } = netfilter.status().counters;
await new Promise((resolve) => setTimeout(resolve, 3000));
console.log(JSON.stringify({ pid: process.pid, again: netfilter.status().counters.chainsWritten - chainsWritten, drifts }));
process.exit(0);
`;

describe('netfilter in a PID namespace', function () {
  this.timeout(60_000);
  for (const backend of ['nftables', 'nft', 'legacy'])
    it(`knows its own commits and writes nothing twice: ${backend}`, () => {
      const argv = [
        '-n',
        '-p',
        '-f',
        '--mount-proc',
        process.execPath,
        '--input-type=module',
        '-e',
        SCRIPT,
        process.cwd(),
        backend,
      ];
      const output = execFileSync('unshare', argv, { encoding: 'utf8', timeout: 50_000 });
      expect(JSON.parse(output)).to.deep.equal({ pid: 1, again: 0, drifts: [] });
    });
});
