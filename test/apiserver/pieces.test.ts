/** The small pieces: ages, JSONPath, formats, version order, protobuf. */
import { expect } from 'chai';
import { formatAge } from '../../src/apiserver/age.js';
import { hasFormat } from '../../src/apiserver/formats.js';
import { parseJsonPath } from '../../src/apiserver/json-path.js';
import type { Json, JsonObject } from '../../src/apiserver/json.js';
import { decodeProtobuf } from '../../src/apiserver/protobuf.js';
import { compareVersions } from '../../src/apiserver/registry.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('apiserver: ages read as in kubectl', () => {
  const ages: readonly (readonly [number, string])[] = [
    [-5, '<invalid>'],
    [-1, '0s'],
    [0, '0s'],
    [119, '119s'],
    [2 * MINUTE, '2m'],
    [2 * MINUTE + 5, '2m5s'],
    [10 * MINUTE + 5, '10m'],
    [3 * HOUR, '3h'],
    [3 * HOUR + 5 * MINUTE, '3h5m'],
    [8 * HOUR + 5 * MINUTE, '8h'],
    [2 * DAY + 3 * HOUR, '2d3h'],
    [8 * DAY + 3 * HOUR, '8d'],
    [730 * DAY, '2y'],
    [735 * DAY, '2y5d'],
    [9 * 365 * DAY, '9y'],
  ];
  for (const [seconds, text] of ages) it(`${seconds} s is ${text}`, () => expect(formatAge(seconds)).to.equal(text));
});

describe('apiserver: JSONPath', () => {
  const root: JsonObject = {
    spec: {
      cidr: '10.0.0.0/8',
      ports: [
        { name: 'a', port: 1 },
        { name: 'b', port: 2 },
      ],
    },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Valid', status: 'False' },
      ],
    },
    metadata: { labels: { 'a.b/c': 'x' } },
  };
  const rows: readonly (readonly [string, readonly Json[]])[] = [
    ['.spec.cidr', ['10.0.0.0/8']],
    ['{.spec.cidr}', ['10.0.0.0/8']],
    ['.spec.ports[1].name', ['b']],
    ['.spec.ports[-1].name', ['b']],
    ['.spec.ports[*].port', [1, 2]],
    ['.spec.nothing', []],
    ['.spec.ports[7].name', []],
    [".status.conditions[?(@.type=='Ready')].status", ['True']],
    ['.status.conditions[?(@.type=="Valid")].status', ['False']],
    ['.status.conditions[?(@.type!="Valid")].type', ['Ready']],
    ['.spec.ports[?(@.port==2)].name', ['b']],
    [".metadata.labels['a.b/c']", ['x']],
    ['.metadata.labels.a\\.b/c', ['x']],
    ['.constructor', []],
    ['.spec.toString', []],
  ];
  for (const [path, values] of rows) it(path, () => expect(parseJsonPath(path)(root)).to.deep.equal(values));
  it('says where it cannot be read', () =>
    expect(() => parseJsonPath('.spec[')).to.throw('Cannot parse JSONPath ".spec[" at "["'));
});

describe('apiserver: formats', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['cidr', '10.0.0.0/8', true],
    ['cidr', 'fd00::/8', true],
    ['cidr', '10.0.0.0', false],
    ['ipv4', '10.0.0.1', true],
    ['ipv4', '010.0.0.1', false],
    ['ipv6', '::1', true],
    ['ipv6', '1.2.3.4', false],
    ['date-time', '2026-11-20T18:00:00Z', true],
    ['date-time', '2026-11-20T18:00:00.5+01:00', true],
    ['date-time', '2026-13-20T18:00:00Z', false],
    ['date-time', '2026-11-20', false],
    ['date', '2026-11-20', true],
    ['duration', '1m30s', true],
    ['duration', '0', true],
    ['duration', '5', false],
    ['duration', '-1.5h', true],
    ['byte', 'aGk=', true],
    ['byte', 'a', false],
    ['uuid', 'not', false],
    ['hostname', 'a.b', true],
    ['unheard-of', 'anything', true],
  ];
  for (const [format, text, isGood] of rows)
    it(`${format} ${JSON.stringify(text)}: ${isGood}`, () => expect(hasFormat(format, text)).to.equal(isGood));
});

describe('apiserver: versions', () => {
  it("stand in Kubernetes' order", () => {
    expect(
      ['foo10', 'v1alpha1', 'v11beta2', 'v2', 'v1', 'v10', 'v3beta1', 'foo1', 'v12alpha1', 'v11alpha2'].sort(
        compareVersions,
      ),
    ).to.deep.equal(['v10', 'v2', 'v1', 'v11beta2', 'v3beta1', 'v12alpha1', 'v11alpha2', 'v1alpha1', 'foo1', 'foo10']);
  });
});

describe('apiserver: protobuf', () => {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
  const bytes = (field: number, value: string | readonly number[]): number[] => {
    const data = typeof value === 'string' ? [...Buffer.from(value)] : value;
    return [...varint(field * 8 + 2), ...varint(data.length), ...data];
  };
  const number = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
  const whole = (apiVersion: string, kind: string, raw: readonly number[]): Buffer =>
    Buffer.concat([
      Buffer.from('k8s\0'),
      Buffer.from([...bytes(1, [...bytes(1, apiVersion), ...bytes(2, kind)]), ...bytes(2, raw)]),
    ]);
  const plain = (value: JsonObject): unknown => JSON.parse(JSON.stringify(value));

  it('reads what kubectl create sends, zeros of Go left out, zeros that were meant kept', () => {
    const metadata = [
      ...bytes(1, 'web'),
      ...bytes(2, ''),
      ...bytes(8, []),
      ...bytes(11, [...bytes(1, 'app'), ...bytes(2, 'web')]),
    ];
    const port = [
      ...bytes(1, ''),
      ...bytes(2, 'TCP'),
      ...number(3, 80),
      ...bytes(4, [...number(1, 0), ...number(2, 8080), ...bytes(3, '')]),
      ...number(5, 0),
    ];
    const named = [
      ...bytes(1, 'n'),
      ...number(3, 81),
      ...bytes(4, [...number(1, 1), ...number(2, 0), ...bytes(3, 'http')]),
    ];
    expect(
      plain(
        decodeProtobuf(
          whole('v1', 'Service', [...bytes(1, metadata), ...bytes(2, [...bytes(1, port), ...bytes(1, named)])]),
        ),
      ),
    ).to.deep.equal({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        ports: [
          { protocol: 'TCP', port: 80, targetPort: 8080 },
          { name: 'n', port: 81, targetPort: 'http' },
        ],
      },
    });
    expect(plain(decodeProtobuf(whole('apps/v1', 'Deployment', bytes(2, number(1, 0)))))).to.deep.equal({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      spec: { replicas: 0 },
    });
    expect(plain(decodeProtobuf(whole('v1', 'Secret', bytes(2, [...bytes(1, 'k'), ...bytes(2, 'hi')]))))).to.deep.equal(
      { apiVersion: 'v1', kind: 'Secret', data: { k: 'aGk=' } },
    );
  });

  it('refuses bytes that are none', () => {
    const good = whole('v1', 'Service', bytes(1, bytes(1, 'web')));
    for (let end = 0; end < good.length; end += 1) {
      try {
        decodeProtobuf(good.subarray(0, end)); // some prefixes are messages themselves
      } catch (error) {
        expect((error as { code?: number }).code, `cut at ${end}`).to.be.oneOf([400, 415]);
      }
    }
    expect(() => decodeProtobuf(Buffer.from('{}'))).to.throw('expected prefix');
    expect(() => decodeProtobuf(whole('v1', 'Gizmo', []))).to.throw('unknown format');
    expect(() => decodeProtobuf(whole('v1', 'Service', [0x0d, 1, 2, 3, 4]))).to.throw('wire type');
  });
});
