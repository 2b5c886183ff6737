/** The runtime's half by its reference library: every pair of calls in every order, none of which may touch what is not theirs. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Write } from '../../bench/node/api-client.js';
import { BenchNode, NODE } from '../../bench/node/node.js';
import { World } from '../../bench/node/world.js';
import { CNI_BIN } from '../../src/lab/tortie-argv.js';
import { Libcni, type LibcniAnswer, type LibcniCall } from './libcni.js';

const PODS = '/api/v1/namespaces/default/pods';
const FOREIGN = '00000000-0000-4000-8000-000000000000';
const pool = (name: string, cidr: string, blockSize: number): Write => ({
  path: '/apis/projectcalico.org/v3/ippools',
  object: { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } },
});
const base: readonly Write[] = [
  {
    path: '/api/v1/nodes',
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    },
  },
  pool('v4', '10.65.0.0/24', 26),
  pool('v6', 'fd00:65::/112', 122),
];

describe('the agent under libcni', function () {
  this.timeout(240_000);
  const directory = mkdtempSync(join(tmpdir(), `tortie-libcni-${process.pid}-`));
  const world = new World('tlibcni');
  let netns = '';
  let node: BenchNode | undefined;
  let libcni: Libcni | undefined;
  let steady: LibcniCall;
  let steadyAddresses: readonly string[];
  let calls: Readonly<Record<string, LibcniCall & { readonly fails?: RegExp }>>;

  const list = (name: string): LibcniCall['list'] => ({
    cniVersion: '1.1.0',
    name,
    plugins: [{ type: 'tortie', socket: node?.socketPath }],
  });
  const call = async (request: LibcniCall): Promise<LibcniAnswer> => {
    if (libcni === undefined) throw new Error('libcni does not run');
    return libcni.call(request);
  };
  const makePod = async (name: string): Promise<string> => {
    const object = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { nodeName: NODE, containers: [{ name: 'main', image: 'main' }] },
    };
    if (node === undefined) throw new Error('The node is not up');
    await node.api.create(PODS, object);
    return ((await node.api.get(`${PODS}/${name}`)) as { readonly metadata: { uid: string } }).metadata.uid;
  };
  const attachment = (container: string, place: string, pod: string, uid: string): Omit<LibcniCall, 'command'> => ({
    list: list('tortie'),
    containerId: container,
    netns: place,
    ifName: 'eth0',
    args: [
      ['IgnoreUnknown', '1'],
      ['K8S_POD_NAMESPACE', 'default'],
      ['K8S_POD_NAME', pod],
      ['K8S_POD_UID', uid],
    ],
  });

  before(async function () {
    const built = Libcni.build(directory);
    if ('why' in built) {
      console.log(`      skipped: ${built.why}`);
      return this.skip();
    }
    netns = world.node('node');
    const [first = '', second = ''] = world.pods(2);
    node = await BenchNode.start({ netns, directory, policyBackend: 'auto' }, [base]);
    libcni = Libcni.start(built.program, CNI_BIN, join(directory, 'cache'));
    const uid = await makePod('steady');
    steady = { command: 'ADD', ...attachment('steady', first, 'steady', uid) };
    const { result, message } = await call(steady);
    expect(message).to.equal(undefined);
    steadyAddresses = (result?.ips ?? []).map(({ address }) => address.split('/')[0] ?? '');
    const other = attachment('other', second, 'other', await makePod('other'));
    const further = { ...other, list: list('second'), ifName: 'net1' };
    const both = ['steady', 'other'].flatMap((containerID) =>
      ['eth0', 'net1'].map((ifname) => ({ containerID, ifname })),
    );
    const late = /now another, with UID|is gone/;
    calls = {
      'ADD of another pod': { command: 'ADD', ...other },
      'ADD of its second interface': { command: 'ADD', ...further },
      'DEL of the other pod': { command: 'DEL', ...other },
      'DEL of its second interface': { command: 'DEL', ...further },
      'CHECK of the steady one': { ...steady, command: 'CHECK' },
      'ADD of a former sandbox': { command: 'ADD', ...attachment('former', second, 'steady', FOREIGN), fails: late },
      'DEL of a former sandbox': { command: 'DEL', ...attachment('former', '', 'steady', FOREIGN) },
      'DEL of the steady container in another network': { ...steady, command: 'DEL', list: list('second') },
      'GC that names all': { command: 'GC', list: list('tortie'), valid: both },
      'GC of the second network': { command: 'GC', list: list('second'), valid: [] },
      'GC of a network without any, null': { command: 'GC', list: list('third'), valid: null },
      STATUS: { command: 'STATUS', list: list('tortie') },
    };
  });
  after(async () => {
    libcni?.stop();
    await node?.stop();
    world.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  it('keeps the steady pod, whatever pair of calls comes in whatever order', async () => {
    for (const [first, one] of Object.entries(calls))
      for (const [second, other] of Object.entries(calls)) {
        for (const [name, { fails, ...request }] of [
          [first, one],
          [second, other],
        ] as const) {
          const { code, message = '' } = await call(request);
          const what = `${name}, in the pair ${first} / ${second}: ${message}`;
          // An interface that is there already is another's fault, an unknown one nobody's.
          if (fails !== undefined) expect(message, what).to.match(fails);
          else if (name.startsWith('ADD') && code !== 0)
            expect(message, what).to.match(/exists|has it already|duplicate/);
          else expect(code, what).to.equal(0);
        }
        for (const address of steadyAddresses) {
          const ping = spawnSync('nsenter', [`--net=${netns}`, 'ping', '-c1', '-W2', address]);
          expect(ping.status, `${address} answers after ${first} / ${second}`).to.equal(0);
        }
      }
  });

  it('has nothing left once all are deleted, and lets it be said twice', async () => {
    for (const request of [...Object.values(calls), steady])
      if (request.command === 'ADD')
        for (const _ of [1, 2]) expect((await call({ ...request, command: 'DEL' })).code).to.equal(0);
    for (const family of ['-4', '-6']) {
      const argv = [`--net=${netns}`, 'ip', family, 'route', 'show', 'proto', '171'];
      expect(execFileSync('nsenter', argv, { encoding: 'utf8' })).to.not.match(/ dev tort/);
    }
  });
});
