import { expect } from 'chai';
import { counted, fitted, formatTable, formatUptime } from '../../../src/bgpd/show/text-table.js';

describe('bgpd text-table', () => {
  it('lines up whatever operators call their peers', () => {
    const rows = [
      { name: 'a-very-long-peer-name-of-forty-characters', as: 4200000001 },
      { name: '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', as: 65001 },
      { name: 'x', as: 1 },
    ];
    const lines = formatTable(
      [
        { title: 'Neighbor', text: ({ name }) => name },
        { title: 'AS', text: (row) => String(row.as), align: 'right' },
        { title: 'Info', text: () => 'i' },
      ],
      rows,
    ).split('\n');
    expect(new Set(lines.map((line) => line.search(/\S+$/)))).to.deep.equal(new Set([lines[0]?.indexOf('Info')]));
    expect(lines.map((line) => /(\S+) {2}\S+$/.exec(line)?.[1])).to.deep.equal(['AS', '4200000001', '65001', '1']);
  });

  it('cuts to a screen and says so', () => {
    expect(fitted('abcdef\nxy', 4, 10)).to.equal('abc>\nxy');
    expect(fitted('1\n2\n3\n4\n5', 80, 4)).to.equal('1\n2\n... 3 more lines');
    expect(fitted('1\n2\n3', 80, 4)).to.equal('1\n2\n3');
  });

  it('writes durations as routers do, and nouns as people do', () => {
    expect([0, 3723, 86_399, 97_200, 604_800 * 2 + 86_400 * 3].map(formatUptime)).to.deep.equal([
      '00:00:00',
      '01:02:03',
      '23:59:59',
      '1d03h',
      '2w3d',
    ]);
    expect([counted(0, 'path'), counted(1, 'path'), counted(2, 'path')]).to.deep.equal([
      '0 paths',
      '1 path',
      '2 paths',
    ]);
  });
});
