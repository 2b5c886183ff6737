/** A link in memory: who sends to all is heard by all others, a step of the clock later. */
import { formatAddress, parseAddress, type IpAddress } from 'node-bgp/address';
import {
  DiscoveryError,
  type OpenRouterSocket,
  type RouterSocket,
  type RouterSocketEvents,
} from 'node-bgp/discovery/contract';
import type { Clock } from 'node-bgp/session/clock';

interface Station {
  readonly address: IpAddress;
  readonly interfaceName: string;
  readonly events: RouterSocketEvents;
}

export interface Sent {
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly type: number | undefined;
}

export class MemoryLink {
  readonly stations = new Set<Station>();
  readonly sent: Sent[] = [];
  /** What the next sends answer instead of being sent, by source address. */
  readonly sendErrors = new Map<string, string>();
  /** What `open` throws. */
  openError: string | undefined;

  constructor(private readonly clock: Clock) {}

  /** How the host of this link-local address opens sockets. */
  host(address: string): OpenRouterSocket {
    return (interfaceName, events) => {
      if (this.openError !== undefined) throw new DiscoveryError(this.openError);
      const station: Station = { address: parseAddress(address), interfaceName, events };
      this.stations.add(station);
      return this.socketOf(station);
    };
  }

  /** A message of somebody who has no socket here. */
  inject(from: string, bytes: Uint8Array, to: string | undefined = undefined): void {
    this.clock.after(0, () => {
      for (const station of [...this.stations])
        if (to === undefined || formatAddress(station.address) === to)
          station.events.onMessage(bytes, parseAddress(from));
    });
  }

  private socketOf(station: Station): RouterSocket {
    const from = formatAddress(station.address);
    return {
      linkLayer: Uint8Array.of(2, 0, 0, 0, 0, 1),
      send: (bytes, to) => {
        const error = this.sendErrors.get(from);
        if (error !== undefined) return error;
        this.sent.push({
          at: this.clock.now(),
          from,
          to: typeof to === 'string' ? to : formatAddress(to),
          type: bytes[0],
        });
        this.clock.after(0, () => {
          for (const other of [...this.stations])
            if (other !== station && (typeof to === 'string' || other.address.value === to.value))
              other.events.onMessage(bytes, station.address);
        });
        return undefined;
      },
      close: () => {
        this.stations.delete(station);
      },
    };
  }
}
