/** What BGPConfiguration says of the daemon as a whole, beside its sessions: which interfaces are links, how much it logs. */
import type { LogLevelName, SpeakerConfig } from 'node-bgp/config';
import { fieldProblems } from 'node-bgp/config/parts';
import type { Configuration } from './configuration.js';
import { quoted, type Problems } from './problems.js';

/** Calico's words, in any case. */
const LOG_LEVELS: ReadonlyMap<string, LogLevelName> = new Map([
  ['trace', 'trace'],
  ['debug', 'debug'],
  ['info', 'info'],
  ['warning', 'warn'],
  ['error', 'error'],
  ['fatal', 'fatal'],
]);

export type DaemonFields = Pick<SpeakerConfig, 'ignoredInterfaces' | 'logLevel' | 'kernelMetric' | 'kernelMetricIpv6'>;

export function daemonFieldsOf({ spec, placeOf }: Configuration, problems: Problems): DaemonFields {
  const patterns = (spec.ignoredInterfaces ?? []).filter((pattern, index) => {
    const [wrong] = fieldProblems('ignoredInterfaces', [pattern]);
    if (wrong !== undefined)
      problems.problem(
        placeOf('ignoredInterfaces', `[${index}]`),
        `is ${quoted(pattern)}; expected ${wrong.expected}; left out`,
      );
    return wrong === undefined;
  });
  const { logSeverityScreen = '' } = spec;
  const logLevel = LOG_LEVELS.get(logSeverityScreen.toLowerCase());
  if (logLevel === undefined && logSeverityScreen !== '')
    problems.problem(
      placeOf('logSeverityScreen'),
      `is ${quoted(logSeverityScreen)}; expected one of Trace, Debug, Info, Warning, Error, Fatal; logging as before`,
    );
  return {
    ...metricOf('ipv4NormalRoutePriority', 'kernelMetric', { spec, placeOf }, problems),
    ...metricOf('ipv6NormalRoutePriority', 'kernelMetricIpv6', { spec, placeOf }, problems),
    ...(patterns.length === 0 ? {} : { ignoredInterfaces: patterns }),
    ...(logLevel === undefined ? {} : { logLevel }),
  };
}

function metricOf(
  from: 'ipv4NormalRoutePriority' | 'ipv6NormalRoutePriority',
  to: 'kernelMetric' | 'kernelMetricIpv6',
  { spec, placeOf }: Pick<Configuration, 'spec' | 'placeOf'>,
  problems: Problems,
): DaemonFields {
  const metric = spec[from];
  if (metric === undefined) return {};
  const [wrong] = fieldProblems(to, metric);
  if (wrong === undefined) return { [to]: metric };
  problems.problem(placeOf(from), `is ${quoted(metric)}; expected ${wrong.expected}; using 20`);
  return {};
}
