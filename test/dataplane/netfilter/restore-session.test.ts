/** The iptables-restore that stays, on both backends. Needs root. */
import { expect } from 'chai';
import { ChildError } from '../../../src/dataplane/netfilter/child.js';
import { findIptables, type IptablesProgram } from '../../../src/dataplane/netfilter/iptables-program.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';

const namespaces = new ScratchNamespaces('trs');
const table = (...lines: readonly string[]): string => ['*filter', ...lines, 'COMMIT', ''].join('\n');

for (const backend of ['legacy', 'nft'] as const) {
  describe(`a restore session of iptables-${backend}`, () => {
    let path: string;
    let program: IptablesProgram;
    beforeEach(async () => {
      path = namespaces.create();
      const found = await findIptables(backend, 4, (work) => inNamespace(path, work));
      if (found === undefined) throw new Error(`no iptables-${backend}`);
      program = found;
    });
    afterEach(() => program.close());
    after(() => namespaces.removeAll());
    const rules = (): string => exec(path, `iptables-${backend}`, '-S');

    it('commits one input after the other in one process', async () => {
      const pids = new Set<number>();
      for (let i = 1; i <= 20; i++) {
        expect(
          await program.restore(table(':TORTIE-A - [0:0]', `-A TORTIE-A -s 10.0.0.${i} -j ACCEPT`), (pid) =>
            pids.add(pid),
          ),
        ).to.deep.equal({ type: 'done' });
        expect(rules().trim().split('\n').slice(-2)).to.deep.equal([
          '-N TORTIE-A',
          `-A TORTIE-A -s 10.0.0.${i}/32 -j ACCEPT`,
        ]);
      }
      expect(pids.size).to.equal(1);
    });

    it('blames the right line after many others, and goes on in a new process', async () => {
      const pids: number[] = [];
      const note = (pid: number): void => void pids.push(pid);
      await program.restore(table(...Array.from({ length: 300 }, (_, i) => `:TORTIE-${i} - [0:0]`)), note);
      expect(
        await program.restore(
          table(':TORTIE-A - [0:0]', '-A TORTIE-A -j ACCEPT', '-A TORTIE-A -m set --match-set nonesuch src -j DROP'),
          note,
        ),
      ).to.deep.include({ type: 'refused', lines: [4] });
      expect(await program.restore(table('-X TORTIE-NONE'), note)).to.deep.include({ type: 'refused', lines: [2] });
      expect(await program.restore(table(':TORTIE-A - [0:0]'), note)).to.deep.equal({ type: 'done' });
      expect(new Set(pids).size).to.equal(3);
    });

    it('sees what others changed meanwhile', async () => {
      await program.restore(table(':TORTIE-A - [0:0]', '-A TORTIE-A -j ACCEPT', '-I FORWARD 1 -j TORTIE-A'));
      exec(
        path,
        'sh',
        '-c',
        `iptables-${backend} -F; iptables-${backend} -X; iptables-${backend} -N FOREIGN; iptables-${backend} -A FORWARD -j FOREIGN`,
      );
      if (backend === 'nft') exec(path, 'nft', 'flush', 'ruleset');
      expect(
        await program.restore(table(':TORTIE-A - [0:0]', '-A TORTIE-A -j DROP', '-I FORWARD 1 -j TORTIE-A')),
      ).to.deep.equal({ type: 'done' });
      const foreign = backend === 'nft' ? [] : ['-A FORWARD -j FOREIGN'];
      expect(
        rules()
          .split('\n')
          .filter((line) => line.startsWith('-A')),
      ).to.deep.equal(['-A FORWARD -j TORTIE-A', ...foreign, '-A TORTIE-A -j DROP']);
    });

    it('takes inputs larger than any pipe', async () => {
      const lines = Array.from(
        { length: 5_000 },
        (_, i) => `-A TORTIE-A -s 10.${i >> 8}.${i & 255}.1 -m comment --comment tortie:abcdefghijklmnop -j ACCEPT`,
      );
      expect(await program.restore(table(':TORTIE-A - [0:0]', ...lines))).to.deep.equal({ type: 'done' });
      expect(rules().match(/-A TORTIE-A/g)).to.have.length(5_000);
    });

    it('tells when its process was killed, and starts another', async () => {
      let pid = 0;
      await program.restore(table(':TORTIE-A - [0:0]'), (now) => (pid = now));
      const big = table(
        ':TORTIE-A - [0:0]',
        ...Array.from({ length: 20_000 }, (_, i) => `-A TORTIE-A -s 10.${i >> 8}.${i & 255}.1 -j ACCEPT`),
      );
      const restoring = program.restore(big);
      process.kill(pid, 'SIGKILL');
      const error = await restoring.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(ChildError);
      expect(await program.restore(table(':TORTIE-A - [0:0]', '-A TORTIE-A -j DROP'))).to.deep.equal({ type: 'done' });
      expect(rules()).to.include('-A TORTIE-A -j DROP');
    });

    it('waits for the lock, and is there after a long rest', async function () {
      this.timeout(20_000);
      let pid = 0;
      await program.restore(table(':TORTIE-A - [0:0]'), (now) => (pid = now));
      // An alarm that iptables sets while it waits for the lock must not end the session later.
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      const pids: number[] = [];
      expect(
        await program.restore(table(':TORTIE-A - [0:0]', '-A TORTIE-A -j DROP'), (now) => pids.push(now)),
      ).to.deep.equal({ type: 'done' });
      expect(pids).to.deep.equal([pid]);
    });

    it('holds no lock between inputs', async () => {
      await program.restore(table(':TORTIE-A - [0:0]'));
      exec(path, `iptables-${backend}`, '-w', '1', '-A', 'TORTIE-A', '-j', 'ACCEPT');
    });
  });
}
