import { expect } from 'chai';
import fc from 'fast-check';
import { CniError } from '../../src/cni/cni-error.js';
import type { CniAddRequest, CniDelRequest, CniGcRequest, CniHandlers } from '../../src/cni/contract.js';
import { answerCall, type CniAnswer, decodeCall, encodeCall } from '../../src/cni/exchange.js';
import type { CniResult } from '../../src/cni/result.js';
import { CNI_VERSIONS } from '../../src/cni/version.js';

const ours: CniResult = {
  interfaces: [
    { name: 'tort0123456789a', mac: 'ee:ee:ee:ee:ee:ee', mtu: 1500 },
    { name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1500, sandbox: '/run/netns/p' },
  ],
  ips: [
    { address: '10.65.0.7/32', interface: 1 },
    { address: 'fd00:65::7/128', interface: 1 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '169.254.1.1' },
    { dst: '::/0', gw: 'fe80::ecee:eeff:feee:eeee' },
  ],
};

const refuse = (): never => expect.fail('the handler must not be called');
const handlersWith = (overrides: Partial<CniHandlers>): CniHandlers => ({
  add: refuse,
  del: refuse,
  check: refuse,
  status: refuse,
  gc: refuse,
  ...overrides,
});

const target = {
  CNI_CONTAINERID: 'c1',
  CNI_IFNAME: 'eth0',
  CNI_NETNS: '/run/netns/p',
  CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u',
};

async function answer(
  command: string,
  config: unknown,
  handlers: Partial<CniHandlers>,
  env: Readonly<Record<string, string>> = target,
): Promise<CniAnswer & { readonly faults: readonly unknown[] }> {
  const faults: unknown[] = [];
  const stdin = typeof config === 'string' ? config : JSON.stringify(config);
  const environment = new Map(Object.entries({ CNI_COMMAND: command, ...env }));
  return {
    ...(await answerCall({ environment, stdin }, handlersWith(handlers), new AbortController().signal, (fault) =>
      faults.push(fault),
    )),
    faults,
  };
}
const errorOf = ({
  isDone,
  stdout,
}: CniAnswer): { cniVersion: string; code: number; msg: string; details?: string } => {
  expect(isDone, stdout).to.equal(false);
  return JSON.parse(stdout) as { cniVersion: string; code: number; msg: string; details?: string };
};
const config = { cniVersion: '1.1.0', name: 'pods', type: 'tortie' };

describe('CNI exchange', () => {
  describe('calls', () => {
    it('come through the wire form unchanged', () => {
      const text = fc
        .string({ unit: 'binary' })
        .filter((value) => !value.includes('\0') && Buffer.from(value).toString() === value);
      fc.assert(
        fc.property(fc.dictionary(fc.stringMatching(/^[A-Z_]{1,20}$/), text), fc.string(), (env, stdin) => {
          const call = { environment: new Map(Object.entries(env)), stdin };
          expect(decodeCall(encodeCall(call))).to.deep.equal(call);
        }),
      );
    });

    it('are refused when they have no end of environment', () => {
      fc.assert(
        fc.property(
          fc.uint8Array().filter((bytes) => !bytes.includes(0)),
          (bytes) => {
            expect(() => decodeCall(bytes)).to.throw(CniError, 'its environment has no end');
          },
        ),
      );
    });
  });

  describe('ADD', () => {
    it('hands the handler everything the runtime said', async () => {
      let seen: CniAddRequest | undefined;
      await answer(
        'ADD',
        { ...config, mtu: 1400, own: true },
        {
          add: async (request) => {
            seen = request;
            return ours;
          },
        },
      );
      expect(seen).to.deep.include({
        containerId: 'c1',
        interfaceName: 'eth0',
        netns: '/run/netns/p',
        previous: undefined,
      });
      expect(seen?.arguments).to.include({ podNamespace: 'shop', podName: 'web', podUid: 'u' });
      expect(seen?.config).to.deep.equal({
        cniVersion: '1.1.0',
        name: 'pods',
        mtu: 1400,
        raw: { ...config, mtu: 1400, own: true },
      });
    });

    const interfaces = [
      { name: 'tort0123456789a', mac: 'ee:ee:ee:ee:ee:ee' },
      { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/p' },
    ];
    const rendered = {
      old: {
        interfaces,
        ips: [
          { version: '4', interface: 1, address: '10.65.0.7/32' },
          { version: '6', interface: 1, address: 'fd00:65::7/128' },
        ],
        routes: ours.routes,
        dns: {},
      },
      '1.0.0': { interfaces, ips: ours.ips, routes: ours.routes },
      '1.1.0': { interfaces: ours.interfaces, ips: ours.ips, routes: ours.routes },
    };
    for (const version of CNI_VERSIONS) {
      it(`answers in the form of ${version}`, async () => {
        const { isDone, stdout } = await answer('ADD', { ...config, cniVersion: version }, { add: async () => ours });
        expect(isDone).to.equal(true);
        expect(JSON.parse(stdout)).to.deep.equal({
          cniVersion: version,
          ...(version === '1.0.0' || version === '1.1.0' ? rendered[version] : rendered.old),
        });
      });
    }

    it('puts its part behind that of the plugins before it', async () => {
      const prevResult = {
        cniVersion: '1.1.0',
        interfaces: [{ name: 'x', sandbox: '/run/netns/p' }],
        ips: [{ address: '192.0.2.1/24', interface: 0 }],
        routes: [{ dst: '198.51.100.0/24', gw: '192.0.2.9', mtu: 900 }],
        dns: { nameservers: ['192.0.2.3'] },
      };
      const { stdout } = await answer('ADD', { ...config, prevResult }, { add: async () => ours });
      const result = JSON.parse(stdout) as CniResult;
      expect(result.interfaces.map((item) => item.name)).to.deep.equal(['x', 'tort0123456789a', 'eth0']);
      expect(result.ips.map((ip) => ip.interface)).to.deep.equal([0, 2, 2]);
      expect(result.routes[0]).to.deep.equal({ dst: '198.51.100.0/24', gw: '192.0.2.9', mtu: 900 });
      expect(result.dns).to.deep.equal({ nameservers: ['192.0.2.3'] });
    });

    it('names every wrong parameter of the environment with value and expectation', async () => {
      const error = errorOf(
        await answer(
          'ADD',
          config,
          {},
          { CNI_CONTAINERID: '../c', CNI_IFNAME: 'name-that-is-too-long', CNI_ARGS: 'broken' },
        ),
      );
      expect(error).to.include({ cniVersion: '1.1.0', code: 4 });
      expect(error.msg).to.equal(
        'Cannot use the environment: CNI_CONTAINERID is "../c": expected letters, digits, "_", "." and "-", ' +
          'starting with a letter or digit (and 3 more)',
      );
      expect(error.details?.split('\n')).to.deep.equal([
        'CNI_CONTAINERID is "../c": expected letters, digits, "_", "." and "-", starting with a letter or digit',
        'CNI_IFNAME is "name-that-is-too-long": expected 1 to 15 bytes',
        'CNI_NETNS is missing: expected the path of a network namespace',
        'CNI_ARGS is "broken": expected pairs such as K8S_POD_NAME=web, separated by ";"',
      ]);
    });

    for (const name of ['', '.', '..', 'a/b', 'a:b', 'a b', 'ä'.repeat(8)])
      it(`refuses the interface name ${JSON.stringify(name)}`, async () => {
        expect(errorOf(await answer('ADD', config, {}, { ...target, CNI_IFNAME: name })).msg).to.match(
          /^Cannot use the environment: CNI_IFNAME is /,
        );
      });

    it('names every wrong field of the configuration', async () => {
      const error = errorOf(
        await answer(
          'ADD',
          {
            cniVersion: '1.0.0',
            name: '-x',
            mtu: 12,
            prevResult: {
              interfaces: {},
              ips: [{ address: 'x' }, { address: '10.0.0.1/32', interface: 4 }],
              routes: [{ dst: 7 }],
            },
          },
          {},
        ),
      );
      expect(error).to.include({ code: 7, cniVersion: '1.0.0' });
      expect(error.details?.split('\n')).to.deep.equal([
        'name is "-x": expected letters, digits, "_", "." and "-", starting with a letter or digit',
        'mtu is 12: expected a whole number from 1280 to 65535, or nothing',
        'prevResult.interfaces is {}: expected a list',
        'prevResult.ips[0].address is "x": expected an address with its length, such as 10.65.0.7/32',
        'prevResult.ips[1].interface is 4: expected an index of the 0 interfaces',
        'prevResult.routes[0].dst is 7: expected a prefix such as 10.65.0.0/16',
      ]);
    });

    it('refuses versions that it does not speak, and configurations without one', async () => {
      expect(errorOf(await answer('ADD', { ...config, cniVersion: '0.2.0' }, {}))).to.include({
        code: 1,
        msg: 'Cannot use the network configuration: cniVersion is "0.2.0": expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      });
      expect(errorOf(await answer('ADD', { name: 'pods' }, {}))).to.include({
        code: 1,
        msg: 'Cannot use the network configuration: cniVersion is missing: expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
      });
    });

    it('refuses standard input that is no JSON object', async () => {
      expect(errorOf(await answer('ADD', '', {}))).to.include({
        code: 6,
        msg: 'Cannot decode the network configuration: standard input is empty; expected a JSON object on standard input',
      });
      for (const stdin of ['{', '[]', 'null', '7', '"x"'])
        expect(errorOf(await answer('ADD', stdin, {})).code, stdin).to.equal(6);
    });

    it("passes a handler's CniError on, and reports what a handler should not have thrown", async () => {
      const again = errorOf(
        await answer('ADD', config, { add: () => Promise.reject(new CniError('tryAgainLater', 'Cannot yet', 'why')) }),
      );
      expect(again).to.deep.equal({ cniVersion: '1.1.0', code: 11, msg: 'Cannot yet', details: 'why' });
      const broken = await answer('ADD', config, { add: () => Promise.reject(new TypeError('x is not a function')) });
      expect(errorOf(broken)).to.include({ code: 999, msg: 'Cannot serve the call: x is not a function' });
      expect(broken.faults).to.have.length(1);
      expect(again).not.to.have.property('faults');
    });
  });

  describe('DEL', () => {
    it('needs no namespace and no valid prevResult, and prints nothing', async () => {
      let seen: CniDelRequest | undefined;
      const { isDone, stdout } = await answer(
        'DEL',
        { ...config, prevResult: { ips: [{ address: 'x' }] } },
        { del: async (request) => void (seen = request) },
        { CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0' },
      );
      expect({ isDone, stdout }).to.deep.equal({ isDone: true, stdout: '' });
      expect(seen).to.include({ containerId: 'c1', netns: '' });
    });
  });

  describe('CHECK', () => {
    const prevResult = { cniVersion: '1.1.0', ...ours };

    it('is silent when prevResult has all of our part', async () => {
      const more = {
        ...prevResult,
        interfaces: [{ name: 'other' }, ...prevResult.interfaces],
        ips: ours.ips.map((ip) => ({ address: ip.address.toUpperCase() })),
      };
      expect(await answer('CHECK', { ...config, prevResult: more }, { check: async () => ours })).to.deep.include({
        isDone: true,
        stdout: '',
      });
    });

    it('names everything that differs', async () => {
      const less = { ...prevResult, interfaces: [{ ...ours.interfaces[1], mac: '02:00:00:00:00:02' }], ips: [] };
      const error = errorOf(await answer('CHECK', { ...config, prevResult: less }, { check: async () => ours }));
      expect(error.code).to.equal(100);
      expect(error.details?.split('\n')).to.deep.equal([
        'prevResult has no interface "tort0123456789a" of the host',
        'prevResult says that interface "eth0" has MAC address 02:00:00:00:00:02, and it has 02:00:00:00:00:01',
        'prevResult has no address 10.65.0.7/32',
        'prevResult has no address fd00:65::7/128',
      ]);
    });

    it('wants prevResult, and a version that has CHECK', async () => {
      expect(errorOf(await answer('CHECK', config, {})).msg).to.equal(
        'Cannot use the network configuration: prevResult is missing: expected the result of the ADD that is to be checked',
      );
      expect(errorOf(await answer('CHECK', { ...config, cniVersion: '0.3.1', prevResult }, {}))).to.include({
        code: 1,
        msg: 'Cannot use the network configuration for CHECK: cniVersion is "0.3.1": expected 0.4.0 or newer, which introduced CHECK',
      });
    });
  });

  describe('STATUS and GC', () => {
    it('came with 1.1.0', async () => {
      for (const command of ['STATUS', 'GC'])
        expect(errorOf(await answer(command, { ...config, cniVersion: '1.0.0' }, {}, {})).code).to.equal(1);
    });

    it('need no container', async () => {
      expect(await answer('STATUS', config, { status: async () => undefined }, {})).to.deep.include({
        isDone: true,
        stdout: '',
      });
      let seen: CniGcRequest | undefined;
      const valid = [{ containerID: 'c1', ifname: 'eth0' }];
      expect(
        await answer(
          'GC',
          { ...config, 'cni.dev/valid-attachments': valid },
          { gc: async (request) => void (seen = request) },
          {},
        ),
      ).to.deep.include({ isDone: true, stdout: '' });
      expect(seen?.valid).to.deep.equal([{ containerId: 'c1', interfaceName: 'eth0' }]);
    });

    it('never take a missing or broken list for an empty one', async () => {
      expect(errorOf(await answer('GC', config, {}, {})).code).to.equal(7);
      expect(
        errorOf(await answer('GC', { ...config, 'cni.dev/valid-attachments': [{ containerID: 'c1' }] }, {}, {})).code,
      ).to.equal(7);
    });
  });

  it('answers VERSION, and names an unknown command', async () => {
    expect(JSON.parse((await answer('VERSION', { cniVersion: '0.4.0' }, {}, {})).stdout)).to.deep.equal({
      cniVersion: '0.4.0',
      supportedVersions: [...CNI_VERSIONS],
    });
    expect(errorOf(await answer('add', config, {}))).to.include({
      code: 4,
      msg: 'Cannot use the environment: CNI_COMMAND is "add": expected one of ADD, DEL, CHECK, STATUS, GC, VERSION',
    });
  });

  it('answers any input with an error object or a result, and never throws', async () => {
    const command = fc.constantFrom('ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION', '');
    const field = fc.oneof(fc.jsonValue(), fc.constantFrom('1.1.0', 'pods', ours as unknown));
    const stdin = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record(
          {
            cniVersion: fc.constantFrom('1.1.0', '0.4.0', '9'),
            name: field,
            prevResult: field,
            mtu: field,
            'cni.dev/valid-attachments': field,
          },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(
        command,
        stdin,
        fc.dictionary(fc.constantFrom('CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_ARGS'), fc.string()),
        async (name, text, env) => {
          const all = {
            add: async () => ours,
            del: async () => undefined,
            check: async () => ours,
            status: async () => undefined,
            gc: async () => undefined,
          };
          const result = await answer(name, text, all, env);
          expect(result.faults).to.deep.equal([]);
          if (!result.isDone) expect(errorOf(result)).to.have.property('code').that.is.a('number');
        },
      ),
      { numRuns: 500 },
    );
  });
});
