/**
 * One churning peer: a bare BGP session over TCP, and the table it has announced. It has no decision process and forgets what it hears.
 *
 * The table belongs to the peer, not to the session: after a flap the new session tells all of it again, then End-of-RIB.
 */
import { connect, type Socket } from 'node:net';
import { KEEPALIVE, encodeControlMessage } from 'node-bgp/codec/message';
import { MessageFramer } from 'node-bgp/codec/framer';
import { describeNotification } from 'node-bgp/codec/notification';
import { openAsField } from 'node-bgp/codec/open';
import { UpdateWriter } from 'node-bgp/codec/update-writer';
import { Afi, CeaseCode, ErrorCode, MAX_MESSAGE_LENGTH, MessageType, Safi } from 'node-bgp/iana';
import { attributesOf, nextHopOf, prefixOf, prefixText, type ChurnPeer, type PeerTable } from './route-model.js';

const HOLD_TIME = 90;
const RECONNECT_AFTER = 2000;
/** BOUNDED: octets that wait in one socket; beyond it a peer sends nothing and the rate falls behind, which is counted. */
const MOST_WAITING = 4 << 20;

export interface ChurnSessionOptions {
  readonly peer: ChurnPeer;
  readonly identifier: number;
  readonly dut: string;
  /** The session has ended and nobody here wanted it to. */
  readonly onLost: (reason: string) => void;
  readonly onUp: () => void;
}

export class ChurnSession {
  readonly peer: ChurnPeer;
  private readonly options: ChurnSessionOptions;
  /** Index of a prefix to the serial number it is announced with. BOUNDED by the number of prefixes. */
  private readonly announced = new Map<number, number>();
  private readonly out = new Uint8Array(1 << 16);
  private readonly writer = new UpdateWriter({
    as4: true,
    addPathIpv4: false,
    addPathIpv6: false,
    extendedNextHop: false,
    maxMessageLength: MAX_MESSAGE_LENGTH,
  });
  private socket: Socket | undefined;
  private hasOpened = false;
  private isUp = false;
  private isClosing = false;

  constructor(options: ChurnSessionOptions) {
    this.options = options;
    this.peer = options.peer;
    this.writer.into(this.out, 0);
    setInterval(() => this.control(encodeControlMessage(KEEPALIVE)), (HOLD_TIME * 1000) / 3).unref();
    this.connect();
  }

  get isReady(): boolean {
    return this.isUp && (this.socket?.writableLength ?? 0) < MOST_WAITING;
  }

  get isEstablished(): boolean {
    return this.isUp;
  }

  get table(): PeerTable {
    return Object.fromEntries([...this.announced].map(([index, serial]) => [prefixText(index), serial]));
  }

  has(index: number): boolean {
    return this.announced.has(index);
  }

  /** One UPDATE with one prefix. */
  announce(index: number, serial: number): void {
    this.announced.set(index, serial);
    if (this.isUp) this.write(index, serial);
  }

  withdraw(index: number): void {
    this.announced.delete(index);
    if (!this.isUp) return;
    const prefix = prefixOf(index);
    if (!this.writer.beginWithdraw(prefix.family)) {
      this.flush();
      this.writer.beginWithdraw(prefix.family);
    }
    this.writer.addPrefix(prefix, 0);
    this.writer.finish();
  }

  /** Hands what has been written to the kernel. */
  flush(): void {
    if (this.writer.at > 0) this.socket?.write(this.out.slice(0, this.writer.at));
    this.writer.into(this.out, 0);
  }

  flap(): void {
    const { socket } = this;
    if (!this.isUp || socket === undefined) return;
    this.flush();
    this.isClosing = true;
    this.isUp = false;
    if (this.peer.flaps === 'reset') socket.resetAndDestroy();
    else
      socket.end(
        encodeControlMessage({
          type: 'notification',
          code: ErrorCode.cease,
          subcode: CeaseCode.administrativeReset,
          data: new Uint8Array(0),
        }),
      );
  }

  private connect(): void {
    const socket = connect({ host: this.options.dut, port: 179, localAddress: this.peer.localAddress, noDelay: true });
    this.socket = socket;
    this.hasOpened = false;
    this.isClosing = false;
    let reason = 'the speaker closed the connection';
    const framer = new MessageFramer((type, bytes, start, end) => {
      if (type === MessageType.notification)
        reason = describeNotification(bytes[start] ?? 0, bytes[start + 1] ?? 0, bytes.subarray(start + 2, end));
      else this.heard(type);
    });
    socket.once('connect', () => this.control(this.open()));
    socket.on('data', (chunk) => {
      const error = framer.push(chunk);
      if (error !== undefined) socket.destroy(new Error(error.reason));
    });
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.once('close', () => {
      const wasLost = this.isUp && !this.isClosing;
      this.isUp = false;
      this.writer.into(this.out, 0);
      if (wasLost) this.options.onLost(reason);
      setTimeout(() => this.connect(), RECONNECT_AFTER);
    });
  }

  private heard(type: number): void {
    if (type === MessageType.open) {
      this.hasOpened = true;
      this.socket?.write(encodeControlMessage(KEEPALIVE));
    } else if (type === MessageType.keepalive && this.hasOpened && !this.isUp && !this.isClosing) {
      this.isUp = true;
      for (const [index, serial] of this.announced) this.write(index, serial);
      for (const family of [4, 6] as const) {
        if (this.writer.endOfRib(family)) continue;
        this.flush();
        this.writer.endOfRib(family);
      }
      this.flush();
      this.options.onUp();
    }
  }

  /** Control messages go behind the updates written before, never into the middle of them. */
  private control(message: Uint8Array): void {
    this.flush();
    if (this.socket?.readyState === 'open') this.socket.write(message);
  }

  private write(index: number, serial: number): void {
    const prefix = prefixOf(index);
    const attributes = attributesOf(this.peer, serial);
    const nextHop = nextHopOf(this.peer, index);
    if (!this.writer.beginReach(prefix.family, nextHop, attributes, 0, attributes.length)) {
      this.flush();
      this.writer.beginReach(prefix.family, nextHop, attributes, 0, attributes.length);
    }
    this.writer.addPrefix(prefix, 0);
    this.writer.finish();
  }

  private open(): Uint8Array {
    const families = [
      { afi: Afi.ipv4, safi: Safi.unicast },
      { afi: Afi.ipv6, safi: Safi.unicast },
    ];
    const { as, flaps } = this.peer;
    return encodeControlMessage({
      type: 'open',
      version: 4,
      as: openAsField(as),
      holdTime: HOLD_TIME,
      identifier: this.options.identifier,
      capabilities: [
        ...families.map((family) => ({ type: 'multiprotocol' as const, ...family })),
        { type: 'four-octet-as', as },
        ...(flaps === 'reset'
          ? [
              {
                type: 'graceful-restart' as const,
                restarting: true,
                notification: false,
                restartTime: 60,
                families: families.map((family) => ({ ...family, forwardingPreserved: true })),
              },
            ]
          : []),
      ],
    });
  }
}
