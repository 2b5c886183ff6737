/** What is Redis' own: whom it trusts, how it gets in, what it sees of a server that forgets. Block claims: block-stores.test.ts. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { formatPrefix, parsePrefix, prefixOf } from 'node-bgp/address';
import { openDatastore } from '../../../src/datastore/open-datastore.js';
import type { ObjectStore } from '../../../src/datastore/datastore.js';
import type { IPPool } from '../../../src/api/ipam.js';
import { eventually } from '../../apiserver/api-client.js';
import { Gate } from './gate.js';
import { freePort, RedisServer, SERVERS } from './redis-server.js';

const poolOf = (name: string, cidr: string): IPPool => ({ metadata: { name }, spec: { cidr } });
const refusalOf = (url: string): Promise<string> =>
  openDatastore(url, {}).then(
    async ({ store }) => {
      await store.close();
      return 'opened';
    },
    (error: unknown) => String(error),
  );

/** What a sink has. */
function mirror(store: ObjectStore) {
  const names = new Map<string, string>();
  const told: (string | undefined)[] = [];
  let lists = 0;
  const watch = store.watch('ipPools', {
    upsert: (_, { metadata, spec }) => void names.set(metadata.name, spec.cidr),
    delete: (_, { metadata }) => void names.delete(metadata.name),
    firstListDone: () => lists++,
    health: (_, problem) => void told.push(problem),
  });
  return { names, told, stop: () => watch.stop(), lists: () => lists };
}

for (const program of SERVERS)
  describe(`datastore: ${program}`, function () {
    this.timeout(60_000);
    const servers: RedisServer[] = [];
    const stores: ObjectStore[] = [];
    let directory: string;
    const start = async (...args: readonly string[]): Promise<RedisServer> => {
      const server = await RedisServer.start({ program, args });
      servers.push(server);
      return server;
    };
    const open = async (url: string): Promise<ObjectStore> => {
      const { store } = await openDatastore(url, {});
      stores.push(store);
      return store;
    };
    beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'tortie-redis-test-'))));
    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close();
      for (const server of servers.splice(0)) await server.stop();
      rmSync(directory, { recursive: true });
    });

    it('refuses a server that may lose what it has acknowledged, unless told otherwise', async () => {
      const server = await start('--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru');
      const said = await refusalOf(`${server.url}?wait=1`);
      expect(said).to.contain('may lose what it has acknowledged');
      for (const why of ['maxmemory-policy is allkeys-lru', 'appendonly is no', 'it has 0', 'accept-loss=true'])
        expect(said).to.contain(why);
      expect(await refusalOf(`${server.url}?accept-loss=true`)).to.equal('opened');
    });
    it('refuses a replica, and a port where nobody is', async () => {
      const primary = await start();
      const replica = await start('--replicaof', '127.0.0.1', String(primary.port));
      expect(await refusalOf(`${replica.url}?accept-loss=true`)).to.contain('it is a replica');
      expect(await refusalOf(`redis://127.0.0.1:${await freePort()}`)).to.contain('Cannot use redis://127.0.0.1');
    });
    it('counts a write when its replicas have it, and says so when they do not', async () => {
      const primary = await start();
      const replica = await start('--replicaof', '127.0.0.1', String(primary.port));
      const client = primary.client();
      try {
        await eventually('the replica', async () => (await client.info('replication')).includes('state=online'));
        const patient = await open(`${primary.url}?wait=1&wait-timeout=30000`);
        await patient.create('ipPools', poolOf('a', '10.65.0.0/16'));
        const store = await open(`${primary.url}?wait=1&wait-timeout=100`);
        await replica.kill();
        const said = await store.create('ipPools', poolOf('b', '10.66.0.0/16')).catch(String);
        expect(said).to.contain('0 of 1 replicas have it');
        expect((await store.get('ipPools', 'b'))?.spec.cidr, 'it may be done all the same').to.equal('10.66.0.0/16');
      } finally {
        client.disconnect();
      }
    });
    it('comes in as a user with a password from a file, over TLS', async () => {
      const port = await freePort();
      const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
      const made = spawnSync('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
        ...['-keyout', key, '-out', cert, '-subj', '/CN=redis.test', '-addext', 'subjectAltName=DNS:redis.test'],
      ]);
      expect(made.status, String(made.stderr)).to.equal(0);
      const acl = join(directory, 'users.acl');
      const keys = '~{tortie}* -@all +@read +@write +@scripting +@connection +info';
      writeFileSync(acl, `user default off\nuser tortie on >s3cret:x ${keys} +wait +time\n`);
      writeFileSync(join(directory, 'password'), 's3cret:x\n');
      const tls = ['--port', '0', '--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key];
      const server = await RedisServer.start({
        program,
        port,
        isSecure: true,
        args: [...tls, '--tls-ca-cert-file', cert, '--tls-auth-clients', 'no', '--aclfile', acl],
      });
      servers.push(server);
      const base = `rediss://tortie@127.0.0.1:${port}?ca-file=${cert}&server-name=redis.test`;
      expect(await refusalOf(base)).to.match(/NOAUTH|WRONGPASS|no password|without any password/i);
      const store = await open(`${base}&password-file=${join(directory, 'password')}`);
      await store.create('ipPools', poolOf('a', '10.65.0.0/16'));
      const seen = mirror(store);
      await eventually('the watch', () => seen.names.has('a'));
      const stranger = `rediss://tortie@127.0.0.1:${port}?password-file=${join(directory, 'password')}`;
      expect(await refusalOf(stranger), 'a certificate that nobody vouches for').to.match(/self.signed|certificate/i);
    });
    it('goes on where it was when a connection breaks', async () => {
      const server = await start();
      const store = await open(server.url);
      await store.create('ipPools', poolOf('a', '10.65.0.0/16'));
      const seen = mirror(store);
      await eventually('the list', () => seen.names.has('a'));
      const client = server.client();
      try {
        await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await eventually('a write', () =>
          store.create('ipPools', poolOf('b', '10.66.0.0/16')).then(
            () => true,
            async () => (await store.get('ipPools', 'b').catch(() => undefined)) !== undefined,
          ),
        );
        await eventually('the change', () => seen.names.has('b'));
      } finally {
        client.disconnect();
      }
    });
    it('sees that events were cut off while it was away, and lists anew', async () => {
      const server = await start();
      const gate = await Gate.to(server.port);
      const client = server.client();
      try {
        const store = await open(`redis://127.0.0.1:${gate.port}`);
        const other = await open(server.url);
        for (const name of ['a', 'b']) await other.create('ipPools', poolOf(name, '10.65.0.0/16'));
        const seen = mirror(store);
        await eventually('the list', () => seen.names.size === 2);
        gate.shut();
        await other.delete('ipPools', 'a');
        for (const name of ['c', 'd']) await other.create('ipPools', poolOf(name, '10.65.0.0/16'));
        await client.xtrim('{tortie}:events:ippools.projectcalico.org', 'MAXLEN', 1);
        await eventually('the news that it is away', () => seen.told.some((problem) => problem !== undefined));
        gate.open();
        await eventually('everything', () => [...seen.names.keys()].sort().join() === 'b,c,d');
        await eventually('the news that it is well', () => seen.told.at(-1) === undefined);
        expect(seen.lists(), 'told of a first list').to.equal(1);
      } finally {
        client.disconnect();
        await gate.close();
      }
    });
    it('reads everything anew from a server that was emptied or restored under it', async () => {
      const server = await start();
      const store = await open(server.url);
      await store.create('ipPools', poolOf('a', '10.65.0.0/16'));
      const seen = mirror(store);
      await eventually('the list', () => seen.names.has('a'));
      const client = server.client();
      try {
        await client.flushall();
        await eventually('nothing', () => seen.names.size === 0);
        await store.create('ipPools', poolOf('b', '10.66.0.0/16'));
        await eventually('the new one', () => seen.names.has('b'));
      } finally {
        client.disconnect();
      }
    });
    it('writes addresses in Lua as we do', async () => {
      const server = await start();
      const store = await open(server.url);
      const prefixes = fc.oneof(
        fc.tuple(
          fc.constant(4 as const),
          fc.bigInt({ min: 1n, max: 2n ** 32n - 1n }),
          fc.integer({ min: 20, max: 32 }),
        ),
        fc.tuple(
          fc.constant(6 as const),
          // Groups of zeros are what is hard.
          fc
            .array(fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 0xffffn })), { minLength: 8, maxLength: 8 })
            .map((groups) => groups.reduce((value, group) => (value << 16n) | group, 0n)),
          fc.integer({ min: 116, max: 128 }),
        ),
      );
      await fc.assert(
        fc.asyncProperty(prefixes, async ([family, value, length]) => {
          const block = prefixOf({ family, value }, length);
          const cidr = formatPrefix(block);
          const claimed = await store.claimFreeBlock?.({
            range: block,
            blockLength: length,
            start: block,
            held: [],
            blockOf: () => ({ metadata: { name: 'x' }, spec: { cidr: '10.0.0.0/26', node: 'n', pool: 'p' } }),
          });
          expect(claimed && formatPrefix(claimed)).to.equal(cidr);
          const [stored] = await store.list('ipamBlocks');
          expect(stored?.spec.cidr).to.equal(cidr);
          expect(stored?.metadata.name).to.equal(cidr.replace(/^:/, '0:').replaceAll(/[.:/]/g, '-'));
          await store.delete('ipamBlocks', stored?.metadata.name ?? '');
        }),
        { numRuns: 60 },
      );
    });
    it('asks owners first after it was started or promoted anew', async () => {
      const server = await start();
      const store = await open(`${server.url}?settle=60000`);
      const blockOf = (cidr: string, node: string) => ({
        metadata: { name: cidr.replaceAll(/[./]/g, '-') },
        spec: { cidr, node, pool: 'p' },
      });
      await store.create('ipamBlocks', blockOf('10.65.0.0/26', 'a'));
      await server.kill();
      await server.run();
      await eventually('the connection', () =>
        store.list('ipPools').then(
          () => true,
          () => false,
        ),
      );
      const range = parsePrefix('10.65.0.0/16');
      const request = {
        range,
        blockLength: 26,
        start: prefixOf(range, 26),
        held: [],
        blockOf: () => blockOf('10.65.0.0/26', 'b'),
      };
      expect(await store.claimFreeBlock?.(request).catch(String)).to.contain('only says whose blocks are whose');
      expect(await store.create('ipamBlocks', blockOf('10.65.1.0/26', 'b')).catch(String)).to.contain('whose blocks');
      await store.create('ipamBlocks', blockOf('10.65.2.0/26', 'c'), { isReassertion: true });
    });
  });
