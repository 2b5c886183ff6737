/**
 * The speaker's table as an MRT file (RFC 6396), again and again or when asked: what `bgpdump` and route analysers read.
 *
 * BOUNDED: as many older files as `keep` says; a shorter `keep` also takes away those beyond it, at the next dump.
 *
 * A dump is written beside the file and takes its place when it is whole and on the disk, so that a reader never sees half of one. It is
 * made in slices between turns of the event loop: a full table must not cost a keepalive.
 */
import { link, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseAddress } from 'node-bgp/address';
import type { MrtConfig } from 'node-bgp/config';
import type { MrtPeer } from 'node-bgp/mrt/record';
import { dumpTable } from 'node-bgp/mrt/table-dump';
import { identifierOf } from 'node-bgp/speaker/peer-settings';
import type { Speaker } from 'node-bgp/speaker/speaker';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

const DEFAULT_INTERVAL_SECONDS = 3600;
/** Octets gathered before they are written. */
const CHUNK = 256 * 1024;

export class MrtDumps {
  private config: MrtConfig | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly speaker: Speaker,
    private readonly log: Logger,
  ) {}

  /** An unchanged configuration keeps its rhythm; undefined ends it. */
  configure(config: MrtConfig | undefined): void {
    if (JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    clearTimeout(this.timer);
    if (config !== undefined) this.schedule(config);
  }

  private schedule(config: MrtConfig): void {
    this.timer = setTimeout(() => void this.dump(config), (config.interval ?? DEFAULT_INTERVAL_SECONDS) * 1000);
    this.timer.unref();
  }

  private async dump(config: MrtConfig): Promise<void> {
    try {
      const bytes = await writeDump(this.speaker, config);
      this.log.debug({ file: config.file, bytes }, 'the table was dumped');
    } catch (error) {
      this.log.error(
        { file: config.file, problem: messageOf(error) },
        `cannot dump the table into ${config.file}: ${messageOf(error)}`,
      );
    }
    // The next one only after this one: a slow disk gets no second writer.
    if (this.config === config) this.schedule(config);
  }
}

/** Answers how many octets the file has. */
async function writeDump(speaker: Speaker, { file: path, keep = 0 }: MrtConfig): Promise<number> {
  const temporary = `${path}.${process.pid}.new`;
  await mkdir(dirname(path), { recursive: true });
  try {
    // Others may write to the folder, too: made here, never opened through a link of theirs (O_EXCL).
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o644);
    let size = 0;
    try {
      for (const chunk of tableChunks(speaker)) {
        await file.writeFile(chunk);
        size += chunk.length;
        await nextTurn();
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rotate(path, keep);
    await rename(temporary, path);
    return size;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Keeps what is at `path` as `path`.1, what was there as `path`.2, and so on up to `keep`; the rest goes. */
async function rotate(path: string, keep: number): Promise<void> {
  const own = `${basename(path)}.`;
  const numbers = (await readdir(dirname(path))).flatMap((name) => {
    const number =
      name.startsWith(own) && /^[1-9]\d{0,8}$/.test(name.slice(own.length)) ? Number(name.slice(own.length)) : 0;
    return number > 0 ? [number] : [];
  });
  for (const number of numbers.filter((each) => each >= Math.max(1, keep)))
    await rm(join(dirname(path), `${own}${number}`), { force: true });
  if (keep === 0) return;
  // From the oldest on: a crash in between leaves a gap, never one file in the place of two.
  for (const number of numbers.filter((each) => each < keep).sort((a, b) => b - a))
    await rename(`${path}.${number}`, `${path}.${number + 1}`);
  // A second name: the file itself is never missing.
  await link(path, `${path}.1`).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error; // the first dump
  });
}

/** The whole table as it is now, in pieces of some 256 KiB; the caller lets the event loop run between two. */
export function* tableChunks(speaker: Speaker): Generator<Uint8Array, void, undefined> {
  const { rib, config } = speaker;
  if (rib === undefined || config === undefined) return;
  let records: Uint8Array[] = [];
  let size = 0;
  const { localAs, routerId } = config;
  for (const record of dumpTable({
    rib,
    localAs,
    routerId: identifierOf(routerId),
    peers: peersOf(speaker),
    seconds: Math.floor(Date.now() / 1000),
  })) {
    records.push(record);
    size += record.length;
    if (size < CHUNK) continue;
    yield Buffer.concat(records);
    records = [];
    size = 0;
  }
  yield Buffer.concat(records);
}

/** A peer that is down has no identifier; its routes may still be there (RFC 4724). */
function peersOf(speaker: Speaker): ReadonlyMap<string, MrtPeer> {
  return new Map(
    speaker.neighborNames.flatMap((name): [string, MrtPeer][] => {
      const peer = speaker.neighbor(name);
      if (peer === undefined) return [];
      // An unnumbered peer that was never found has no routes to be dumped either.
      if (peer.address === peer.interface) return [];
      const address = parseAddress(peer.address.split('%')[0] ?? peer.address);
      return [[name, { identifier: identifierOf(peer.routerId ?? '0.0.0.0'), address, as: peer.remoteAs }]];
    }),
  );
}
