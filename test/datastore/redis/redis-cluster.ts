/** A Redis Cluster on loopback: masters with a replica each, every server real and in a directory of its own. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { freePort, RedisServer } from './redis-server.js';

/** The port of the cluster's own talk is this much higher. */
const BUS = 10_000;
const HIGHEST = 65_535;
const NODE_TIMEOUT = 1_500;
const PATIENCE = 30_000;

/** Why there can be none on this machine; undefined when there can. */
export function whyNoCluster(): string | undefined {
  // It prints its help and exits 1.
  const { stdout } = spawnSync('redis-cli', ['--cluster', 'help'], { encoding: 'utf8' });
  return stdout?.includes('create') === true ? undefined : 'redis-cli has no --cluster';
}

async function clusterPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port + BUS <= HIGHEST) return port;
  }
}

export class RedisCluster {
  private constructor(readonly servers: readonly RedisServer[]) {}

  static async start(masters: number): Promise<RedisCluster> {
    const servers: RedisServer[] = [];
    const cluster = new RedisCluster(servers);
    try {
      for (let index = 0; index < masters * 2; index++) {
        const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(NODE_TIMEOUT)];
        servers.push(await RedisServer.start({ port: await clusterPort(), args: [...args, '--loglevel', 'notice'] }));
      }
      const hosts = servers.map(({ port }) => `127.0.0.1:${port}`);
      await promisify(execFile)('redis-cli', [
        ...['--cluster', 'create', ...hosts],
        ...['--cluster-replicas', '1', '--cluster-yes'],
      ]);
      await cluster.ready();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** Every server says that all slots are served. */
  private async ready(): Promise<void> {
    for (const until = Date.now() + PATIENCE; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const states = await this.each(async (client) => String(await client.cluster('INFO')));
      if (states.every((state) => state.includes('cluster_state:ok'))) return;
      if (Date.now() > until) throw new Error(`the cluster does not get ready: ${states[0]}`);
    }
  }

  async stop(): Promise<void> {
    for (const server of this.servers) await server.stop();
  }

  /** What each living server says of itself. */
  async each<T>(
    ask: (client: ReturnType<RedisServer['client']>, server: RedisServer) => Promise<T>,
  ): Promise<readonly T[]> {
    return Promise.all(
      this.servers.map(async (server) => {
        const client = server.client();
        try {
          return await ask(client, server);
        } finally {
          client.disconnect();
        }
      }),
    );
  }
}
