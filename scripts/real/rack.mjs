// The lab's own rack (namespaces tl-real-*), without its cluster. rack.mjs network | router NAME | objects | values (of the Helm chart)
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { apiVersionOf, kinds } from '../../dist/src/api/kinds.js';
import { valuesOf, valuesText } from '../../dist/src/install/helm-chart.js';
import { loadKustomization } from '../../dist/src/install/kustomization.js';
import { buildNetwork } from '../../dist/src/lab/network.js';
import { rackObjects } from '../../dist/src/lab/rack-objects.js';
import { buildRack } from '../../dist/src/lab/rack.js';
import { parseTopology } from '../../dist/src/lab/topology.js';
import { prepareTor } from '../../dist/src/lab/tors.js';

const { LAB, LOGS, RUN } = process.env;
const file = join(dirname(fileURLToPath(import.meta.url)), 'topology.yaml');
const rack = buildRack(LAB, parseTopology(file, readFileSync(file, 'utf8')));

/** As env.sh does: field 22 of proc(5) stat beside the process id. */
const startOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')[19];

async function startRouter(name) {
  const tor = rack.tors.find((each) => each.name === name);
  const directory = join(RUN, name);
  mkdirSync(directory, { recursive: true });
  for (const { netns, argv } of await prepareTor('bird', rack, tor, directory)) {
    const log = openSync(join(LOGS, `${name}.log`), 'a');
    const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...argv], {
      detached: true,
      stdio: ['ignore', log, log],
    });
    writeFileSync(join(RUN, `${name}.pid`), `${child.pid} ${startOf(child.pid)}\n`);
    child.unref();
  }
}

const [action, name] = process.argv.slice(2);
if (action === 'network') await buildNetwork(rack);
else if (action === 'router') await startRouter(name);
else {
  // kubelets register their nodes themselves.
  const items = rackObjects(rack)
    .filter(({ kind }) => kind !== 'nodes' && kind !== 'namespaces')
    .map(({ kind, object }) => ({ apiVersion: apiVersionOf(kinds[kind]), kind: kinds[kind].kind, ...object }));
  const base = loadKustomization(join(dirname(file), '../../manifests/base'));
  const text =
    action === 'values'
      ? valuesText(valuesOf([...base, ...items], base))
      : JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  process.stdout.write(text);
}
