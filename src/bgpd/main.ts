/**
 * The process of `tortie bgpd`: options, signals, exit codes.
 *
 * SIGHUP reads the file again. SIGTERM and SIGINT end the daemon as users of other routing daemons expect: peers get a Cease, routes
 * leave the kernel; with `--graceful-stop` both stay for the process that follows (docs/decisions/0010-bgpd-stop-and-restart.md).
 */
import { join } from 'node:path';
import { ConfigError, speakerSchema } from 'node-bgp/config/validate';
import type { ConfigChanges } from 'node-bgp/speaker/config-diff';
import { warmUp } from 'node-bgp/speaker/warm-up';
import { UserError, messageOf } from '../errors.js';
import { parseHealthAddress, serveHealth } from '../health.js';
import { renderMetrics } from './metrics.js';
import { createLogger, type LogFormat, type LogLevel } from '../log.js';
import { requestOverUnixSocket } from '../unix-http.js';
import { acceptableConfig } from './acceptable-config.js';
import { afterReboot } from './after-reboot.js';
import { serveApi } from './api.js';
import { parseConfig, readConfigFile } from './config-file.js';
import { Daemon } from './daemon.js';
import { readinessOf } from './readiness.js';
import { print } from '../print.js';

/** Things that a saved configuration has to do without, told one by one. */
const MOST_TOLD = 20;

export interface BgpdFlags {
  readonly config?: string;
  readonly check?: boolean;
  readonly schema?: boolean;
  readonly runDir: string;
  readonly stateDir: string;
  readonly gracefulStop?: boolean;
  readonly healthAddress?: string;
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
}

export async function runBgpd(flags: BgpdFlags): Promise<void> {
  if (flags.schema === true) return void print(`${JSON.stringify(speakerSchema, undefined, 2)}\n`);
  if (flags.check === true) return await check(flags);
  const log = createLogger('bgpd', { format: flags.logFormat, level: flags.logLevel });
  const fromFile = flags.config === undefined ? undefined : readConfigFile(flags.config);
  const healthAddress =
    flags.healthAddress === undefined ? undefined : parseHealthAddress(flags.healthAddress, '--health-address');
  const daemon = new Daemon({ stateDir: flags.stateDir, log });
  const server = await serveApi(daemon, join(flags.runDir, 'bgpd.sock'));
  const health =
    healthAddress &&
    (await serveHealth(
      healthAddress,
      () => readinessOf(daemon),
      () => renderMetrics(daemon),
    ));
  daemon.start();
  // Routes after sessions: what is compiled last is what the tables of a restart need most.
  await warmUp();
  const stop = stopOnSignals(daemon, flags, log, () => {
    server.close();
    // Somebody who is connected and says nothing must not keep a stopped daemon alive.
    server.closeAllConnections();
    health?.close();
    health?.closeAllConnections();
  });
  if (fromFile !== undefined) {
    const { listenFailures } = await daemon.configure(fromFile);
    const [failure] = listenFailures;
    if (failure !== undefined) {
      await stop(false);
      throw new UserError(failure.reason);
    }
  } else await useSaved(daemon, log);
  log.info({ runDir: flags.runDir, stateDir: flags.stateDir }, 'bgpd is ready');
}

/** A saved configuration that no longer passes is no reason not to start, nor for a node without BGP: what of it can be used is. */
async function useSaved(daemon: Daemon, log: ReturnType<typeof createLogger>): Promise<void> {
  const saved = daemon.savedConfig;
  if (saved === undefined) return log.info('no configuration yet; waiting for one on the socket');
  const { path, isOfFormerBoot } = saved;
  const { text, held } = isOfFormerBoot ? afterReboot(saved.text) : { text: saved.text, held: 0 };
  if (held > 0)
    log.info({ held }, 'the machine was started anew; prefixes of pods and Services wait for the next configuration');
  try {
    await daemon.configure(parseConfig(text, path));
    log.info({ path }, 'went on with the last configuration');
  } catch (error) {
    if (!(error instanceof UserError) && !(error instanceof ConfigError)) throw error;
    const acceptable = acceptableConfig(readJson(text));
    if (acceptable === undefined)
      return log.error({ problem: error.message }, 'cannot use the saved configuration; waiting for one on the socket');
    for (const problem of acceptable.leftOut.slice(0, MOST_TOLD)) log.error({ path, problem }, problem);
    log.error(
      { path, leftOut: acceptable.leftOut.length },
      'cannot use all of the saved configuration; the rest of it is used until there is another',
    );
    await daemon.configure(acceptable.config);
  }
}

/** Undefined: it is none. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

type Stop = (graceful: boolean) => Promise<void>;

function stopOnSignals(
  daemon: Daemon,
  flags: BgpdFlags,
  log: ReturnType<typeof createLogger>,
  closeApi: () => void,
): Stop {
  let stopping: Promise<void> | undefined;
  const stop: Stop = (graceful) => (stopping ??= daemon.stop(graceful, 'bgpd was stopped').finally(closeApi));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      log.info({ signal, graceful: flags.gracefulStop === true }, 'stopping');
      // No exit call: the last NOTIFICATIONs are on their way, and the loop ends when their sockets have.
      void stop(flags.gracefulStop === true);
    });
  process.on('SIGHUP', () => void reload(daemon, flags, log));
  return stop;
}

async function reload(daemon: Daemon, flags: BgpdFlags, log: ReturnType<typeof createLogger>): Promise<void> {
  if (flags.config === undefined) return log.warn('cannot reload: there is no --config FILE');
  try {
    await daemon.configure(readConfigFile(flags.config));
  } catch (error) {
    if (!(error instanceof UserError) && !(error instanceof ConfigError)) throw error;
    log.error({ problem: error.message }, 'cannot use the new configuration; the old one stays');
  }
}

/** Says whether a file is good, and what it would do to the daemon that runs, if one does. */
async function check(flags: BgpdFlags): Promise<void> {
  if (flags.config === undefined) throw new UserError('Cannot check: --check needs --config FILE', 2);
  const config = readConfigFile(flags.config);
  print(`${flags.config} is good: ${(config.peers ?? []).length} peers, ${(config.originate ?? []).length} prefixes\n`);
  let changes: ConfigChanges;
  try {
    const { status, body } = await requestOverUnixSocket(
      join(flags.runDir, 'bgpd.sock'),
      'POST',
      '/v1/plan',
      config,
      3000,
    );
    if (status !== 200) throw new Error(`the daemon answers with ${status}`);
    ({ changes } = body as { readonly changes: ConfigChanges });
  } catch (error) {
    print(`No running bgpd to compare with (${messageOf(error)})\n`);
    return;
  }
  print(describeChanges(changes));
}

function describeChanges({
  added,
  removed,
  renamed,
  changed,
  reset,
  originated,
  listenChanged,
}: ConfigChanges): string {
  const lines = [
    ...added.map((peer) => `new peer ${peer}`),
    ...removed.map((peer) => `peer ${peer} goes: its session ends`),
    ...renamed.map(({ from, to }) => `peer ${from} is called ${to}, its session stays`),
    ...reset.map(({ peer, reasons }) => `peer ${peer}: SESSION RESETS because of ${reasons.join(', ')}`),
    ...changed.map((peer) => `peer ${peer} changes, its session stays`),
    ...(originated.added + originated.removed > 0
      ? [`originated prefixes: ${originated.added} more, ${originated.removed} fewer`]
      : []),
    ...(listenChanged ? ['listening sockets are opened and closed to match; sessions that came over them stay'] : []),
  ];
  return `${(lines.length === 0 ? ['nothing would change'] : lines).join('\n')}\n`;
}
