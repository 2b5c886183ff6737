/** The process of `tortie controller`: options, signals, health. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { messageOf, UserError } from '../errors.js';
import { createLogger, type LogFormat, type LogLevel } from '../log.js';
import { Controller } from './controller.js';
import { serveHealth } from './health.js';
import { renderControllerMetrics } from './metrics.js';
import type { LeaseTimes } from './leader-election.js';

export interface ControllerFlags {
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly identity?: string;
  /** "HOST:PORT", ":PORT" or "none". */
  readonly health: string;
  readonly loadBalancerClass: readonly string[];
  readonly assignIps: string;
  /** Seconds. */
  readonly leaseDuration: string;
  readonly renewDeadline: string;
  readonly retryPeriod: string;
  readonly dryRun?: boolean;
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
}

const ASSIGN_IPS = ['AllServices', 'RequestedServicesOnly'] as const;
/** For the last lines of the log. */
const LINGER = 250;
const STOP_WITHIN = 5_000;

/** Runs until SIGTERM or SIGINT. @throws UserError when it cannot start */
export async function runController(flags: ControllerFlags): Promise<void> {
  const assignIPs = ASSIGN_IPS.find((each) => each === flags.assignIps);
  if (assignIPs === undefined)
    throw new UserError(`Cannot use --assign-ips "${flags.assignIps}": expected ${ASSIGN_IPS.join(' or ')}`, 2);
  const times = leaseTimes(flags);
  const listen = healthAddress(flags.health);
  const log = createLogger('controller', {
    ...(flags.logFormat && { format: flags.logFormat }),
    ...(flags.logLevel && { level: flags.logLevel }),
  });
  const client = KubernetesClient.load(flags.kubeconfig ?? process.env['KUBECONFIG']);
  // Two processes of one host name are two candidates.
  const identity = flags.identity ?? `${hostname()}_${randomBytes(6).toString('hex')}`;
  const controller = new Controller({
    ...times,
    datastore: new KubernetesDatastore(client),
    namespace: flags.namespace,
    identity,
    classes: flags.loadBalancerClass,
    assignIPs,
    isDryRun: flags.dryRun === true,
    log,
  });
  const health =
    listen === undefined
      ? undefined
      : await serveHealth(
          {
            deadness: () => controller.deadness(),
            unreadiness: () => controller.unreadiness(),
            state: () => controller.state(),
            metrics: () =>
              renderControllerMetrics({ ...controller.state(), isReady: controller.unreadiness() === undefined }),
          },
          listen,
        ).catch((error: unknown) => {
          throw new UserError(`Cannot listen on ${flags.health}: ${messageOf(error)}`, 1, { cause: error });
        });
  const stopped = untilSignal();
  log.info({ identity, api: client.url, health: health?.port }, 'Started');
  await Promise.race([stopped, controller.run().then(() => stopped)]);
  const late = setTimeout(() => process.exit(), STOP_WITHIN).unref();
  await controller.stop();
  await health?.close();
  clearTimeout(late);
  setTimeout(() => process.exit(), LINGER).unref();
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}

/** client-go's conditions. @throws UserError */
function leaseTimes(flags: ControllerFlags): LeaseTimes {
  const seconds = (name: string, text: string): number => {
    const value = Number(text);
    if (!(value > 0 && value <= 3600))
      throw new UserError(`Cannot use --${name} "${text}": expected seconds, more than 0 and at most 3600`, 2);
    return value * 1000;
  };
  const times = {
    leaseDuration: seconds('lease-duration', flags.leaseDuration),
    renewDeadline: seconds('renew-deadline', flags.renewDeadline),
    retryPeriod: seconds('retry-period', flags.retryPeriod),
  };
  if (times.leaseDuration <= times.renewDeadline || times.renewDeadline <= 1.2 * times.retryPeriod)
    throw new UserError(
      'Cannot use these times: expected --lease-duration longer than --renew-deadline, and that longer than 1.2 times --retry-period',
      2,
    );
  return times;
}

/** @throws UserError */
function healthAddress(text: string): { readonly host?: string; readonly port: number } | undefined {
  if (text === 'none') return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? NaN);
  if (match === null || port > 65535)
    throw new UserError(`Cannot use --health "${text}": expected [ADDRESS]:PORT, or none`, 2);
  const host = match[1] ?? match[2] ?? '';
  return { port, ...(host === '' ? {} : { host }) };
}
