/** What two OPENs offered, for people and for JSON: a peer's own text comes out escaped. */
import {
  capabilitiesOf,
  capabilityCode,
  capabilityName,
  capabilityValue,
  formatFamily,
  formatHostName,
  type Capability,
} from '../codec/capability.js';
import type { OpenMessage } from '../codec/control-message.js';
import { escapeText } from '../codec/octets.js';

export interface CapabilityView {
  readonly code: number;
  /** "graceful-restart"; "capability 200" for a code without a name. */
  readonly name: string;
  /** What it says beside its name: "120 s, notification: ipv4 unicast". Octets of an unknown one in hexadecimal. */
  readonly value?: string;
}

export interface OffersView {
  /** Of our last OPEN. */
  readonly ours?: readonly CapabilityView[];
  /** Of the peer's last OPEN, whatever came of it. */
  readonly theirs?: readonly CapabilityView[];
  /** What we leave out because the peer refuses it (RFC 5492 section 3). */
  readonly refused?: readonly CapabilityView[];
  /** What the peer calls itself, and what it runs. */
  readonly hostName?: string;
  readonly softwareVersion?: string;
}

export interface Opens {
  readonly sent?: OpenMessage;
  readonly received?: OpenMessage;
}

export function offersView({ sent, received }: Opens, refused: readonly Capability[]): OffersView {
  const theirs = received?.capabilities ?? [];
  const [fqdn] = capabilitiesOf(theirs, 'fqdn');
  const [software] = capabilitiesOf(theirs, 'software-version');
  return {
    ...(sent === undefined ? {} : { ours: sent.capabilities.map(capabilityView) }),
    ...(received === undefined ? {} : { theirs: theirs.map(capabilityView) }),
    ...(refused.length === 0 ? {} : { refused: refused.map(capabilityView) }),
    ...(fqdn === undefined ? {} : { hostName: formatHostName(fqdn) }),
    ...(software === undefined ? {} : { softwareVersion: escapeText(software.version) }),
  };
}

/** Why an Established session carries nothing. */
export function noFamilyText({ sent, received }: Opens): string {
  return `The session carries no routes: it has no address family in common; ${familiesText({ sent, received })}`;
}

export const familiesText = ({ sent, received }: Opens): string =>
  `we offer ${familiesOf(sent).join(', ')}, the peer offers ${familiesOf(received).join(', ')}`;

/** Both OPENs are there, and no family stands in both: a peer may refuse us for it, and less of anything would not help. */
export const haveNoFamily = ({ sent, received }: Opens): boolean =>
  sent !== undefined && received !== undefined && !familiesOf(sent).some((name) => familiesOf(received).includes(name));

function capabilityView(capability: Capability): CapabilityView {
  const code = capabilityCode(capability);
  const value = capabilityValue(capability);
  return { code, name: capabilityName(code), ...(value === '' ? {} : { value }) };
}

/** RFC 4760 section 8: no multiprotocol capability at all means IPv4 unicast. */
function familiesOf(open: OpenMessage | undefined): readonly string[] {
  const families = capabilitiesOf(open?.capabilities ?? [], 'multiprotocol').map(formatFamily);
  return families.length === 0 ? ['ipv4 unicast'] : families;
}
