// What the suite asks of a cluster's DNS, where CoreDNS would be: A and AAAA of Services, of headless ones those of their ready endpoints.
// Lists both once a second; on the control plane's host, port 53 over UDP.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { addressToBytes, parseAddress } from 'node-bgp/address';

const { PKI, CONTROL_IP } = process.env;
const pem = (name) => readFileSync(join(PKI, name));
const agent = new Agent({ keepAlive: true, ca: pem('ca.crt'), cert: pem('admin.crt'), key: pem('admin.key') });
/** Types of records by their codes (RFC 1035, RFC 3596), and the length of an address. */
const LENGTHS = { 1: 4, 28: 16 };
const [AUTHORITATIVE_ANSWER, NO_SUCH_NAME] = [0x8580, 3];
let addresses = new Map();

const list = (path) =>
  new Promise((resolve, reject) => {
    get({ host: CONTROL_IP, port: 6443, path, agent }, async (response) => {
      try {
        const chunks = await response.toArray();
        resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')).items);
      } catch (error) {
        reject(error);
      }
    }).on('error', reject);
  });

async function refresh() {
  const slices = await list('/apis/discovery.k8s.io/v1/endpointslices');
  const services = await list('/api/v1/services');
  const endpointsOf = ({ name, namespace }) =>
    slices
      .filter(
        ({ metadata }) => metadata.namespace === namespace && metadata.labels?.['kubernetes.io/service-name'] === name,
      )
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap((endpoint) => endpoint.addresses);
  addresses = new Map(
    services.map(({ metadata, spec }) => {
      const own = (spec.clusterIPs ?? []).filter((ip) => ip !== 'None');
      const bytes = (own.length > 0 ? own : endpointsOf(metadata)).map((ip) => addressToBytes(parseAddress(ip)));
      return [`${metadata.name}.${metadata.namespace}.svc.cluster.local`, bytes];
    }),
  );
}

function answer(query) {
  const labels = [];
  let at = 12;
  for (; query[at] !== 0; at += query[at] + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  const type = query.readUInt16BE(at + 1);
  const known = addresses.get(labels.join('.').toLowerCase());
  const found = (known ?? []).filter((bytes) => bytes.length === LENGTHS[type]);
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(AUTHORITATIVE_ANSWER | (known === undefined ? NO_SUCH_NAME : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(found.length, 6);
  const records = found.map((bytes) => {
    // The name of the question, type, class IN, five seconds, length.
    const record = Buffer.from([0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 5, 0, bytes.length]);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([head, query.subarray(12, at + 5), ...records]);
}

const socket = createSocket('udp4');
socket.on('message', (query, { address, port }) => {
  try {
    socket.send(answer(query), port, address);
  } catch (error) {
    console.error(`A query that cannot be read: ${error.message}`);
  }
});
socket.bind(53);
for (;;) {
  await refresh().catch((error) => console.error(error.message));
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
