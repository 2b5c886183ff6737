/**
 * The few calls of the Container Runtime Interface (runtime.v1) that make and end a sandbox, as kubelet makes them: gRPC over HTTP/2
 * on a unix socket, unary calls only. Field numbers are those of k8s.io/cri-api/pkg/apis/runtime/v1/api.proto; messages are so
 * small that no protobuf library is worth its weight.
 */
import { connect as connectHttp2, constants, type ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';

export interface SandboxConfig {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** How many sandboxes this pod had before. */
  readonly attempt: number;
  readonly cgroupParent: string;
  /** In the network namespace of the runtime. */
  readonly isOnHost?: boolean;
  /** Of what its containers say: "NAME.log" in it. */
  readonly logFolder?: string;
}

/** A container as kubelet asks for it. */
export interface ContainerConfig {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly {
    readonly containerPath: string;
    readonly hostPath: string;
    readonly isReadOnly: boolean;
    /** Mounts that the host makes later are seen. */
    readonly isFollowing: boolean;
  }[];
  readonly capabilities: { readonly add: readonly string[]; readonly drop: readonly string[] };
}

export interface ContainerStatus {
  readonly state: 'created' | 'running' | 'exited' | 'unknown';
  readonly exitCode: number;
}

export interface RuntimeCondition {
  readonly type: string;
  readonly isTrue: boolean;
  readonly message: string;
}

const CALL_WITHIN = 60_000;
const NODE = 2;
const HOST_TO_CONTAINER = 1;
const STATES = ['created', 'running', 'exited', 'unknown'] as const;
/** Of every container without privileges (pkg/securitycontext of kubelet). */
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
const VARINT = 0;
const BYTES = 2;

type Field = readonly [number, number | boolean | string | Buffer];

export class CriClient {
  private readonly session: ClientHttp2Session;

  constructor(socketPath: string) {
    this.session = connectHttp2('http://localhost', { createConnection: () => connect(socketPath) });
    this.session.on('error', () => undefined); // Every call under way fails with it too.
  }

  close(): void {
    this.session.destroy();
  }

  async conditions(): Promise<readonly RuntimeCondition[]> {
    const [status = Buffer.alloc(0)] = parts(await this.call('Status', []), 1);
    return parts(status, 1).map((condition) => ({
      type: textOf(condition, 1),
      isTrue: numberOf(condition, 2) === 1,
      message: textOf(condition, 4),
    }));
  }

  /** The sandbox's id. */
  async runPodSandbox(config: SandboxConfig): Promise<string> {
    return textOf(await this.call('RunPodSandbox', [[1, encodeSandbox(config)]]), 1);
  }

  /** Made and started; its id. */
  async runContainer(sandboxId: string, sandbox: SandboxConfig, config: ContainerConfig): Promise<string> {
    const request: readonly Field[] = [
      [1, sandboxId],
      [2, encodeContainer(config)],
      [3, encodeSandbox(sandbox)],
    ];
    const id = textOf(await this.call('CreateContainer', request), 1);
    await this.call('StartContainer', [[1, id]]);
    return id;
  }

  async container(id: string): Promise<ContainerStatus> {
    const [status = Buffer.alloc(0)] = parts(await this.call('ContainerStatus', [[1, id]]), 1);
    return { state: STATES[numberOf(status, 3)] ?? 'unknown', exitCode: numberOf(status, 7) };
  }

  /** By its signal, then by force. */
  async stopContainer(id: string, seconds: number): Promise<void> {
    await this.call('StopContainer', [
      [1, id],
      [2, seconds],
    ]);
    await this.call('RemoveContainer', [[1, id]]);
  }

  /** The network's DEL is of this call. */
  async stopPodSandbox(id: string): Promise<void> {
    await this.call('StopPodSandbox', [[1, id]]);
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.call('RemovePodSandbox', [[1, id]]);
  }

  async listPodSandboxes(): Promise<readonly string[]> {
    return parts(await this.call('ListPodSandbox', []), 1).map((item) => textOf(item, 1));
  }

  async sandbox(id: string): Promise<{ readonly isReady: boolean; readonly addresses: readonly string[] }> {
    const [status = Buffer.alloc(0)] = parts(await this.call('PodSandboxStatus', [[1, id]]), 1);
    const [network = Buffer.alloc(0)] = parts(status, 5);
    const addresses = [textOf(network, 1), ...parts(network, 2).map((further) => textOf(further, 1))];
    return { isReady: numberOf(status, 3) === 0, addresses: addresses.filter((address) => address !== '') };
  }

  /** gRPC's framing (a flag, a length, the message) and its status in the trailers, or in the headers where there is no answer. */
  private call(method: string, fields: readonly Field[]): Promise<Buffer> {
    const message = encode(fields);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    return new Promise((resolve, reject) => {
      const stream = this.session.request({
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: `/runtime.v1.RuntimeService/${method}`,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        [constants.HTTP2_HEADER_TE]: 'trailers',
      });
      const chunks: Buffer[] = [];
      let status: Readonly<Record<string, unknown>> = {};
      const learn = (headers: Readonly<Record<string, unknown>>): void => {
        if (headers['grpc-status'] !== undefined) status = headers;
      };
      stream.setTimeout(CALL_WITHIN, () => stream.destroy(new Error(`Cannot ${method}: no answer`)));
      stream.on('response', learn).on('trailers', learn).on('error', reject);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('close', () => {
        if (status['grpc-status'] === '0') resolve(Buffer.concat(chunks).subarray(head.length));
        else reject(new Error(`Cannot ${method}: ${decodeURIComponent(String(status['grpc-message'] ?? 'cut off'))}`));
      });
      stream.end(Buffer.concat([head, message]));
    });
  }
}

function encodeSandbox(config: SandboxConfig): Buffer {
  const { name, uid, namespace, attempt, cgroupParent, isOnHost = false, logFolder } = config;
  const metadata = encode([
    [1, name],
    [2, uid],
    [3, namespace],
    [4, attempt],
  ]);
  const namespaces = encode([[1, encode([[1, NODE]])]]);
  const linux: readonly Field[] = [[1, cgroupParent], ...(isOnHost ? [[2, namespaces] as const] : [])];
  return encode([
    [1, metadata],
    ...(isOnHost ? [] : [[2, name] as const]),
    ...(logFolder === undefined ? [] : [[3, logFolder] as const]),
    [8, encode(linux)],
  ]);
}

function encodeContainer({ name, image, args, env, mounts, capabilities }: ContainerConfig): Buffer {
  const each = <T>(number: number, values: readonly T[], field: (value: T) => Field[1]): readonly Field[] =>
    values.map((value): Field => [number, field(value)]);
  const security = encode([
    [1, encode([...each(1, capabilities.add, String), ...each(2, capabilities.drop, String)])],
    [3, encode([[1, NODE]])],
    [7, true],
    [11, true],
    ...each(14, READ_ONLY, String),
    // RuntimeDefault is 0, which is not written.
    [15, Buffer.alloc(0)],
  ]);
  return encode([
    [1, encode([[1, name]])],
    [2, encode([[1, image]])],
    ...each(4, args, String),
    ...each(6, Object.entries(env), ([key, value]) =>
      encode([
        [1, key],
        [2, value],
      ]),
    ),
    ...each(7, mounts, ({ containerPath, hostPath, isReadOnly, isFollowing }) =>
      encode([
        [1, containerPath],
        [2, hostPath],
        [3, isReadOnly],
        [5, isFollowing ? HOST_TO_CONTAINER : 0],
      ]),
    ),
    // Where the sandbox has a folder for it.
    [11, `${name}.log`],
    [15, encode([[2, security]])],
  ]);
}

function encode(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'boolean')
        return Buffer.concat([varint((number << 3) | VARINT), varint(Number(value))]);
      const bytes = Buffer.from(value as string);
      return Buffer.concat([varint((number << 3) | BYTES), varint(bytes.length), bytes]);
    }),
  );
}

function varint(value: number): Buffer {
  const octets: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) octets.push((value & 0x7f) | 0x80);
  return Buffer.from([...octets, value]);
}

function* decode(message: Buffer): Generator<readonly [number, number | Buffer]> {
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const octet = message.readUInt8(at++);
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = read();
    const number = Math.floor(key / 8);
    if (key % 8 === VARINT) yield [number, read()];
    else if (key % 8 === BYTES) {
      const length = read();
      yield [number, message.subarray(at, at + length)];
      at += length;
    } else throw new Error(`Cannot decode field ${number}: wire type ${key % 8} is in no message that is read here`);
  }
}

const parts = (message: Buffer, number: number): readonly Buffer[] =>
  [...decode(message)].flatMap(([field, value]) => (field === number && typeof value !== 'number' ? [value] : []));
const textOf = (message: Buffer, number: number): string => parts(message, number)[0]?.toString() ?? '';
const numberOf = (message: Buffer, number: number): number =>
  [...decode(message)].flatMap(([field, value]) => (field === number && typeof value === 'number' ? [value] : []))[0] ??
  0;
