/**
 * Connects and disconnects pods for ever, as fast as it goes, until it is killed: the victim of endpoint-crash.test.ts. Runs in
 * the node's namespace; the pods are its argument, as JSON. Prints a line when it has begun.
 */
import { parseAddress } from 'node-bgp/address';
import { EndpointPlumbing } from '../../src/dataplane/endpoint-plumbing.js';
import type { EndpointSpec } from '../../src/dataplane/endpoint-spec.js';

type PlainSpec = Omit<EndpointSpec, 'addresses'> & { readonly addresses: readonly string[] };

const specs = (JSON.parse(process.argv[2] ?? '[]') as readonly PlainSpec[]).map(
  (spec): EndpointSpec => ({ ...spec, addresses: spec.addresses.map(parseAddress) }),
);
const plumbing = new EndpointPlumbing((error) => {
  throw error;
});
const [first] = specs;
if (first !== undefined) plumbing.add(first);
process.stdout.write('begun\n');
for (;;) {
  for (const spec of specs) plumbing.add(spec);
  for (const spec of specs) plumbing.remove(spec);
  await plumbing.drain();
}
