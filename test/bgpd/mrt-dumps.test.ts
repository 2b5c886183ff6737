/** Dumps of a living speaker's table, read by the letter of RFC 6396. */
import { expect } from 'chai';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { SpeakerConfig } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import { Speaker } from 'node-bgp/speaker/speaker';
import { MrtDumps } from '../../src/bgpd/mrt-dumps.js';

const PORT = 30_000 + (process.pid % 10_000);

interface Table {
  /** "10.0.0.8 AS64508", in the order of the index. */
  readonly peers: readonly string[];
  /** "10.65.8.0/24 from 1". */
  readonly routes: readonly string[];
}

/** Sections 2, 4.3.1 and 4.3.2, IPv4 only. */
function readTable(path: string): Table {
  const file = readFileSync(path);
  const peers: string[] = [];
  const routes: string[] = [];
  for (let at = 0; at < file.length; ) {
    const [type, subtype, length] = [file.readUInt16BE(at + 4), file.readUInt16BE(at + 6), file.readUInt32BE(at + 8)];
    const body = file.subarray(at + 12, at + 12 + length);
    at += 12 + length;
    expect([type, body.length]).to.deep.equal([13, length]);
    if (subtype === 1) {
      let entry = 8 + body.readUInt16BE(4);
      for (let count = body.readUInt16BE(entry - 2); count > 0; count--) {
        expect(body[entry]).to.equal(2); // IPv4, AS of four octets
        peers.push(`${[...body.subarray(entry + 1, entry + 5)].join('.')} AS${body.readUInt32BE(entry + 9)}`);
        entry += 13;
      }
    } else if (subtype === 2) {
      const octets = ((body[4] ?? 0) + 7) >> 3;
      const address = [...body.subarray(5, 5 + octets), 0, 0, 0, 0].slice(0, 4).join('.');
      expect(body.readUInt16BE(5 + octets)).to.equal(1);
      routes.push(`${address}/${body[4]} from ${body.readUInt16BE(7 + octets)}`);
    }
  }
  return { peers, routes: routes.sort() };
}

describe('bgpd mrt-dumps', function () {
  this.timeout(30_000);
  const folder = mkdtempSync(join(tmpdir(), 'tortie-mrt-dumps-'));
  const speakers: Speaker[] = [];
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });

  after(async () => {
    await Promise.all(speakers.map((speaker) => speaker.stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  const config = (self: number, other: number): SpeakerConfig => ({
    localAs: 64500 + self,
    routerId: `10.0.0.${self}`,
    listen: [{ address: `127.0.0.${self}`, port: PORT }],
    peers: [
      {
        name: `n${other}`,
        address: `127.0.0.${other}`,
        port: PORT,
        localAddress: `127.0.0.${self}`,
        remoteAs: 64500 + other,
        multihop: 2,
        families: ['ipv4'],
      },
    ],
    originate: [{ prefix: `10.65.${self}.0/24` }],
  });

  async function until(what: string, isTrue: () => boolean): Promise<void> {
    for (let i = 0; i < 300; i++) {
      if (isTrue()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`Not within 15 s: ${what}\n${lines.join('')}`);
  }

  it('hold every route with the peer it came from, again and again, and leave no half file', async () => {
    const [one, two] = [new Speaker(), new Speaker()];
    speakers.push(one, two);
    await Promise.all([one.configure(config(8, 9)), two.configure(config(9, 8))]);
    await until('both routes', () => (one.rib?.totals(4).prefixes ?? 0) === 2);
    const file = join(folder, 'deep', 'table.mrt');
    const dumps = new MrtDumps(one, log);
    dumps.configure({ file, interval: 1 });
    await until('a dump', () => existsSync(file));
    expect(readTable(file)).to.deep.equal({
      peers: ['10.0.0.8 AS64508', '10.0.0.9 AS64509'],
      routes: ['10.65.8.0/24 from 0', '10.65.9.0/24 from 1'],
    });
    one.originate([{ prefix: '10.65.80.0/20' }]);
    await until('a newer dump', () => readTable(file).routes.includes('10.65.80.0/20 from 0'));
    expect(readTable(file).routes).to.deep.equal(['10.65.80.0/20 from 0', '10.65.9.0/24 from 1']);
    dumps.configure(undefined);
    // The writer at work when it was told to end may still finish.
    await until('nothing but the file', () => readdirSync(join(folder, 'deep')).join(' ') === 'table.mrt');
  });

  it('keep as many older ones as asked, the newest first, and no more when asked for fewer', async () => {
    const [speaker] = speakers;
    if (speaker === undefined) throw new Error('There is no speaker: the first test failed');
    const place = join(folder, 'kept');
    const file = join(place, 'table.mrt');
    const dumps = new MrtDumps(speaker, log);
    const newest = (path: string): number => readFileSync(path).readUInt32BE(0);
    try {
      dumps.configure({ file, interval: 1, keep: 2 });
      await until('three dumps', () => existsSync(`${file}.2`));
      writeFileSync(`${file}.7`, 'left by a longer keep');
      writeFileSync(`${file}.old`, "somebody else's");
      const seen = newest(file);
      await until('a fourth', () => newest(file) > seen && !existsSync(`${file}.7`));
      dumps.configure(undefined);
      await until('an end', () => !readdirSync(place).some((name) => name.endsWith('.new')));
      expect(readdirSync(place).sort()).to.deep.equal(['table.mrt', 'table.mrt.1', 'table.mrt.2', 'table.mrt.old']);
      expect(newest(file)).to.be.greaterThan(newest(`${file}.1`));
      expect(newest(`${file}.1`)).to.be.greaterThan(newest(`${file}.2`));
      dumps.configure({ file, interval: 1 });
      await until('only one', () => readdirSync(place).sort().join() === 'table.mrt,table.mrt.old');
    } finally {
      dumps.configure(undefined);
    }
  });

  it('go into no file that somebody has put in their way by a link', async () => {
    const [speaker] = speakers;
    if (speaker === undefined) throw new Error('There is no speaker: the first test failed');
    const place = join(folder, 'shared');
    mkdirSync(place);
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'precious');
    const file = join(place, 'table.mrt');
    for (const name of [file, `${file}.${process.pid}.new`]) symlinkSync(victim, name);
    const dumps = new MrtDumps(speaker, log);
    try {
      dumps.configure({ file, interval: 1 });
      await until('a dump', () => lstatSync(file).isFile());
    } finally {
      dumps.configure(undefined);
    }
    expect(readFileSync(victim, 'utf8')).to.equal('precious');
    expect(readTable(file).peers).to.have.length(2);
  });

  it('say in words why they cannot be written, and go on once they can', async () => {
    const [speaker] = speakers;
    if (speaker === undefined) throw new Error('There is no speaker: the first test failed');
    const parent = join(folder, 'in-the-way');
    writeFileSync(parent, '');
    const dumps = new MrtDumps(speaker, log);
    const file = join(parent, 'table.mrt');
    dumps.configure({ file, interval: 1 });
    await until('an error', () => lines.some((line) => line.includes(`cannot dump the table into ${file}: `)));
    rmSync(parent);
    await until('a dump', () => existsSync(file));
    dumps.configure(undefined);
  });

  it('are configured with an absolute path and whole seconds; each problem is told', () => {
    const result = validateConfig({ ...config(8, 9), mrt: { file: 'table.mrt', interval: 0, every: 3 } });
    if (result.type !== 'invalid') throw new Error('It was taken for good');
    expect(result.problems.map(({ path, expected }) => `${path}: ${expected}`)).to.have.members([
      'mrt.file: an absolute path',
      'mrt.interval: an integer from 1 to 2000000',
      'mrt.every: a known field',
    ]);
  });
});
