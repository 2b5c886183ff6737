/** The options of `tortie agent` about Services, understood. */
import { tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { UserError } from '../../errors.js';
import type { ListenAddress } from './listener.js';
import { SERVICE_SETTINGS } from './proxy-choice.js';
import type { ServiceSettings } from './service-proxy.js';

export interface ServiceFlags {
  readonly services: string;
  readonly serviceBackend: string;
  readonly serviceHealthAddress: string;
  readonly serviceMetricsAddress: string;
  readonly serviceMasqueradeAll?: boolean;
  readonly nodePortAddresses?: string;
}

/** @throws UserError */
export function parseServiceFlags(flags: ServiceFlags): ServiceSettings {
  const setting = SERVICE_SETTINGS.find((one) => one === flags.services);
  if (setting === undefined)
    throw new UserError(`Cannot use --services "${flags.services}": expected ${SERVICE_SETTINGS.join(', ')}`, 2);
  checkBackend(flags.serviceBackend);
  const nodePortAddresses = parseNodePortAddresses(flags.nodePortAddresses);
  return {
    setting,
    healthAddress: parseListenAddress(flags.serviceHealthAddress, '--service-health-address'),
    metricsAddress: parseListenAddress(flags.serviceMetricsAddress, '--service-metrics-address'),
    ...(flags.serviceMasqueradeAll === undefined ? {} : { masqueradeAll: flags.serviceMasqueradeAll }),
    ...(nodePortAddresses === undefined ? {} : { nodePortAddresses }),
  };
}

function checkBackend(backend: string): void {
  if (backend === 'auto') return;
  if (backend === 'ipvs')
    throw new UserError(
      'Cannot use --service-backend "ipvs": Tortie does not balance with IPVS, which kube-proxy has given up too; expected auto, ' +
        'which is what --policy-backend writes',
      2,
    );
  throw new UserError(
    `Cannot use --service-backend "${backend}": expected auto; Services are written where policy is (--policy-backend)`,
    2,
  );
}

/** "0.0.0.0:10256", "[::1]:10249" or ":10256" for all addresses. @throws UserError */
function parseListenAddress(text: string, option: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]*)):(\d+)$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new UserError(
      `Cannot use ${option} "${text}": expected ADDRESS:PORT, such as 0.0.0.0:10256 or [::]:10256`,
      2,
    );
  const host = match[1] ?? match[2] ?? '';
  return { port, ...(host === '' ? {} : { host }) };
}

/** @throws UserError */
function parseNodePortAddresses(text: string | undefined): ServiceSettings['nodePortAddresses'] {
  if (text === undefined || text === '') return undefined;
  if (text === 'primary') return 'primary';
  return text.split(',').map((part): IpPrefix => {
    const prefix = tryParsePrefix(part.trim());
    if (prefix === undefined)
      throw new UserError(
        `Cannot use --node-port-addresses "${text}": "${part}" is no CIDR; expected CIDRs or primary`,
        2,
      );
    return prefix;
  });
}
