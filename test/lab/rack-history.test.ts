/** What a rack remembers: changes of objects with who made them, sessions and routes, on one line of time, over the deaths of daemons. */
import { expect } from 'chai';
import { attempt, type CommandResult } from '../../src/lab/command.js';
import { labPaths } from '../../src/lab/state-dir.js';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import type { HistoryEntry } from '../../src/history/entry.js';
import { soon, useRack } from './rack-fixture.js';

type Told = HistoryEntry & { readonly node: string };

describe('a rack and its history', function () {
  this.timeout(120_000);
  const rack = useRack('thst');

  const here = async (node: string, ...words: readonly string[]): Promise<readonly Told[]> =>
    JSON.parse(await rack().output(node, 'tortie', 'history', '-o', 'json', ...words)) as readonly Told[];
  const via = (): string => `${tortieArgv('lab', 'exec').join(' ')} --name ${rack().record.name} {node} --`;
  const everywhere = (...words: readonly string[]): Promise<CommandResult> =>
    attempt(tortieArgv('history', '--all-nodes', '--via', via(), ...words), undefined, {
      env: { ...process.env, KUBECONFIG: labPaths(rack().record.name).kubeconfig },
    });
  const changePeer = (name: string, spec: object, manager: string): Promise<string> =>
    rack().kubectl([
      'patch',
      'bgppeer',
      name,
      '--type=merge',
      `--field-manager=${manager}`,
      '-p',
      JSON.stringify({ spec }),
    ]);

  it('tells on every node which fields of an object changed, and who wrote it; of all nodes once', async () => {
    await changePeer('node1-tor1-ipv4', { keepaliveTime: '20s' }, 'alice');
    for (const node of ['node1', 'node3'])
      await soon(`${node} to have it`, async () =>
        (await here(node, '--object', 'BGPPeer/node1-tor1-ipv4')).some(
          (entry) =>
            entry.type === 'object' &&
            entry.verb === 'changed' &&
            entry.by === 'alice' &&
            entry.fields?.some(({ path, after }) => path === 'spec.keepaliveTime' && after === '"20s"') === true,
        ),
      );
    const { code, stdout, stderr } = await everywhere('--object', 'BGPPeer/node1-tor1-ipv4', '--type', 'object');
    expect(code, stderr).to.equal(0);
    expect(stdout.match(/keepaliveTime none -> "20s"/g), stdout).to.have.length(1);
    expect(stderr).to.match(/^node2: \d+ entries$/m);
  });

  it('tells of a session that went and came, and of the routes that went with it, on the node that had it', async () => {
    await rack().link({ device: 'node2', tor: 'tor1', state: 'down' });
    await soon('the session down', async () =>
      (await here('node2', '--type', 'session')).some((each) => each.type === 'session' && each.event === 'down'),
    );
    await rack().link({ device: 'node2', tor: 'tor1', state: 'up' });
    await soon('the session up again', async () => {
      const events = (await here('node2', '--object', 'node2-tor1-ipv4')).filter((each) => each.type === 'session');
      return events.at(-1)?.event === 'up' && events.some(({ event }) => event === 'down');
    });
    const routes = (await here('node2', '--type', 'route')).filter((each) => each.type === 'route');
    expect(routes.map(({ event }) => event)).to.include.members(['added', 'changed']);
    const down = (await here('node2')).find((each) => each.type === 'session' && each.event === 'down');
    expect(down).to.have.property('reason').that.is.a('string');
  });

  it('remembers over kill -9 of both daemons, and learns what was changed meanwhile', async () => {
    const before = (await here('node3')).length;
    await rack().process({ name: 'node3 bgpd', action: 'kill' });
    await rack().process({ name: 'node3 agent', action: 'stop' });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await changePeer('node2-tor2-ipv4', { keepaliveTime: '25s' }, 'bob');
    await rack().process({ name: 'node3 agent', action: 'start' });
    await soon('node3 to have found it', async () =>
      (await here('node3', '--object', 'node2-tor2-ipv4')).some(
        (each) => each.type === 'object' && each.verb === 'found' && each.by === 'bob',
      ),
    );
    const all = await here('node3');
    expect(all.length).to.be.greaterThan(before);
    const messages = all.flatMap((each) => (each.type === 'process' ? [`${each.process} ${each.message}`] : []));
    expect(
      messages.some((text) => /bgpd .* started after the last one was killed/.test(text)),
      messages.join(),
    ).to.equal(true);
    expect(messages).to.include('agent stopped');
  });

  it('names a node that does not answer, and tells what the others have', async () => {
    const { code, stdout, stderr } = await attempt(
      tortieArgv('history', '--node', 'node1', '--node', 'nowhere', '--via', via(), '--type', 'process'),
      undefined,
      {},
    );
    expect(code).to.equal(1);
    expect(stderr).to.match(/^nowhere: no answer: /m);
    expect(stdout).to.include('node1');
  });
});
