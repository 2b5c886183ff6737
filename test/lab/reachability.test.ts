import { expect } from 'chai';
import { run } from '../../src/lab/command.js';
import { probe, renderMatrix, type Endpoint } from '../../src/lab/reachability.js';
import { Workload } from '../../src/lab/workload.js';

/** Two namespaces and one wire; the far one serves port 80, a filter hides its port 81. */
describe('lab/reachability', () => {
  const near = `tl-reach-${process.pid}-a`;
  const far = `tl-reach-${process.pid}-b`;
  const endpoint = (name: string, type: Endpoint['type'], netns: string, host: number): Endpoint => ({
    name,
    type,
    netns,
    ips: [`10.9.9.${host}`, `fd09::${host}`],
  });
  const rows = [
    endpoint('shop/web', 'pod', far, 2),
    endpoint('node1', 'node', near, 1),
    endpoint('outside', 'outside', near, 1),
  ];
  let workload: Workload | undefined;

  before(async () => {
    for (const netns of [near, far]) await run(['ip', 'netns', 'add', netns]);
    await run(['ip', 'link', 'add', 'e', 'netns', near, 'type', 'veth', 'peer', 'name', 'e', 'netns', far]);
    for (const [netns, host] of [
      [near, 1],
      [far, 2],
    ] as const)
      await run(
        ['ip', '-n', netns, '-batch', '-'],
        `link set lo up\naddress add 10.9.9.${host}/24 dev e\naddress add fd09::${host}/64 dev e nodad\nlink set e up\n`,
      );
    await new Promise<void>((resolve, reject) => {
      workload = new Workload(
        { name: 'shop/web', netns: far, ports: { TCP: [80], UDP: [80], SCTP: [80] } },
        (isReady, problem) => (isReady ? resolve() : reject(new Error(problem))),
      );
      workload.start();
    });
    await run(['ip', 'netns', 'exec', far, 'iptables', '-A', 'INPUT', '-p', 'tcp', '--dport', '81', '-j', 'DROP']);
  });
  after(async () => {
    await workload?.stop();
    for (const netns of [near, far]) await run(['ip', 'netns', 'delete', netns]);
  });

  for (const transport of ['TCP', 'UDP', 'SCTP'] as const)
    it(`finds that ${transport} is answered with the right name, in both families`, async () => {
      const { cells } = await probe(rows, { port: { port: 80, transport }, families: [4, 6] });
      expect(
        cells.filter((cell) => cell.to === 'shop/web').map(({ from, family, verdict }) => [from, family, verdict]),
      ).to.deep.equal([4, 6].flatMap((family) => rows.map((row) => [row.name, family, 'allow'])));
    });

  it('tells silence from a closed port', async () => {
    const verdicts = async (port: number): Promise<readonly string[]> =>
      (await probe(rows.slice(0, 2), { port: { port, transport: 'TCP' }, families: [4], timeout: 300 })).cells
        .filter((cell) => cell.from === 'node1')
        .map((cell) => cell.verdict);
    expect(await verdicts(81)).to.deep.equal(['drop']);
    expect(await verdicts(82)).to.deep.equal(['refused']);
  });

  it("does not take somebody else's answer for the right one", async () => {
    const { cells } = await probe(
      [{ ...endpoint('shop/other', 'pod', far, 2) }, rows[1] ?? endpoint('', 'node', near, 1)],
      { port: { port: 80, transport: 'TCP' }, families: [4] },
    );
    expect(cells.find((cell) => cell.from === 'node1')).to.include({ verdict: 'wrong', detail: 'shop/web' });
  });

  it('renders one aligned table per family', () => {
    const text = renderMatrix({
      port: { port: 80, transport: 'TCP' },
      families: [4],
      from: rows,
      to: [rows[0] ?? endpoint('', 'pod', far, 2)],
      cells: rows.map((row, index) => ({
        from: row.name,
        to: 'shop/web',
        family: 4,
        verdict: index === 2 ? 'drop' : 'allow',
      })),
    });
    expect(text.split('\n')).to.deep.equal([
      '#  from, port 80/TCP  IPv4      on  >1',
      '1  shop/web           10.9.9.2      ok',
      '   node1              10.9.9.1      ok',
      '   outside            10.9.9.1      -',
      '',
      'ok answers, - silence',
    ]);
  });
});
