/**
 * A peer that reads one OPEN a connection and answers as it is told: with a NOTIFICATION, or with an OPEN of its own. What it was
 * offered is kept, and it counts what it is sent afterwards.
 */
import { decodeControlMessage, encodeControlMessage } from 'node-bgp/codec/message';
import { MessageFramer } from 'node-bgp/codec/framer';
import { capabilityCode, type Capability } from 'node-bgp/codec/capability';
import { MessageType } from 'node-bgp/iana';
import type { Clock } from 'node-bgp/session/clock';
import type { Connection, Endpoint, Transport } from 'node-bgp/transport/transport';

export interface Offer {
  /** Codes of the capabilities. */
  readonly codes: readonly number[];
  /** Of multiprotocol: "2/1". */
  readonly families: readonly string[];
}

/** Code, subcode and data of a NOTIFICATION; undefined: the session comes up. */
export type Answer = (offer: Offer) => readonly number[] | undefined;

export class StubPeer {
  /** Codes of each OPEN that came. */
  readonly opens: (readonly number[])[] = [];
  /** Of this session: type of each message and when it came, in clock milliseconds. */
  messages: { readonly type: number; readonly at: number }[] = [];
  /** Of this session: bodies of UPDATEs in hexadecimal. */
  updates: string[] = [];
  /** What it offers. */
  capabilities: readonly Capability[] = [];
  /** Its OPEN goes out before it answers ours, as it does when it has sent it first. */
  opensFirst = false;
  isEstablished = false;
  private connection: Connection | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly address: string,
    public answer: Answer,
    private readonly as = 65001,
  ) {}

  static async listen(transport: Transport, clock: Clock, address: string, answer: Answer): Promise<StubPeer> {
    const stub = new StubPeer(clock, address, answer);
    await transport.listen({ address, port: 1790 }, (connection) => stub.take(connection));
    return stub;
  }

  dial(transport: Transport, remote: Endpoint): void {
    transport.connect({ remote, localAddress: this.address }, (outcome) => {
      if (outcome.type === 'connected') this.take(outcome.connection);
    });
  }

  hangUp(): void {
    this.isEstablished = false;
    this.connection?.destroy();
  }

  send(bytes: Uint8Array): void {
    this.connection?.write([bytes]);
  }

  private take(connection: Connection): void {
    this.connection = connection;
    this.isEstablished = false;
    this.messages = [];
    this.updates = [];
    const framer = new MessageFramer((type, bytes, start, end) => {
      this.messages.push({ type, at: this.clock.now() });
      if (type === MessageType.update) this.updates.push(Buffer.from(bytes.subarray(start, end)).toString('hex'));
      if (type === MessageType.open) this.open(connection, bytes, start, end);
      if (type === MessageType.keepalive) this.isEstablished = true;
      return true;
    }, true);
    connection.open({
      onBytes: (bytes) => void framer.push(bytes),
      onDrain: () => undefined,
      onClosed: () => {
        if (this.connection === connection) this.isEstablished = false;
      },
    });
  }

  private open(connection: Connection, bytes: Uint8Array, start: number, end: number): void {
    const decoded = decodeControlMessage(MessageType.open, bytes, start, end);
    const capabilities = decoded.type === 'ok' && decoded.value.type === 'open' ? decoded.value.capabilities : [];
    const codes = capabilities.map(capabilityCode);
    this.opens.push(codes);
    const families = capabilities.flatMap((each) =>
      each.type === 'multiprotocol' ? [`${each.afi}/${each.safi}`] : [],
    );
    const answer = this.answer({ codes, families });
    if (answer !== undefined) {
      if (this.opensFirst) connection.write([this.ownOpen()]);
      const [code = 0, subcode = 0, ...data] = answer;
      connection.write([encodeControlMessage({ type: 'notification', code, subcode, data: Uint8Array.from(data) })]);
      return connection.end();
    }
    connection.write([this.ownOpen(), encodeControlMessage({ type: 'keepalive' })]);
    this.keepAlive(connection);
  }

  private ownOpen(): Uint8Array {
    const { as, capabilities } = this;
    return encodeControlMessage({ type: 'open', version: 4, as, holdTime: 90, identifier: 0xc0000202, capabilities });
  }

  private keepAlive(connection: Connection): void {
    this.clock.after(25_000, () => {
      if (this.connection !== connection || !this.isEstablished) return;
      connection.write([encodeControlMessage({ type: 'keepalive' })]);
      this.keepAlive(connection);
    });
  }
}
