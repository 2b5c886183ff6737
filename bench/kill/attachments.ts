/** What a runtime knows of its pods' interfaces, over calls that succeed, fail, or end with the agent. Pure. */
export const NETWORKS = ['tortie', 'blue', 'green', 'red'] as const;
export type Network = (typeof NETWORKS)[number];
/** Of the first network and of those that follow (Multus: net1 ...). */
export const INTERFACES: Readonly<Record<Network, string>> = {
  tortie: 'eth0',
  blue: 'net1',
  green: 'net2',
  red: 'net3',
};

export interface Attachment {
  readonly pod: number;
  readonly network: Network;
  /** Of the sandbox; a pod has one at a time. */
  readonly containerId: string;
  /** Canonical, with the prefix length; none: not attached. Undefined: the last call about it did not end. */
  addresses: readonly string[] | undefined;
  isBusy: boolean;
}

/** Addresses that two attachments have. */
export function doubles(attachments: readonly Attachment[]): readonly string[] {
  const owners = new Map<string, Attachment>();
  const found: string[] = [];
  for (const one of attachments)
    for (const address of one.addresses ?? []) {
      const other = owners.get(address);
      if (other !== undefined)
        found.push(
          `${address} is of ${other.containerId} in ${other.network} and of ${one.containerId} in ${one.network}`,
        );
      owners.set(address, one);
    }
  return found;
}
