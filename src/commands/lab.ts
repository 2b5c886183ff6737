/** `tortie lab ...`: a rack in network namespaces on this machine. docs/lab.md explains it. */
import { Option, type Command } from 'commander';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { UserError } from '../errors.js';
import type { LabStatus } from '../lab/control.js';
import type { TorKind } from '../lab/state-dir.js';

interface NameOption {
  readonly name: string;
}

interface StartFlags extends NameOption {
  readonly topology?: string;
  readonly tor: TorKind;
  readonly kubeconfig?: string;
}

const named = (command: Command): Command =>
  command.option('--name <lab>', 'which lab; several can live side by side', 'lab');
const output = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table');

export function registerLabCommand(program: Command): void {
  const lab = program
    .command('lab')
    .description('build a rack on this machine, in network namespaces, and try things on it');
  registerLife(lab);
  registerLooks(lab);
  registerFaults(lab);
  named(lab.command('supervise', { hidden: true }))
    .option('--held', 'end with standard input')
    .action(async ({ name, held }: NameOption & { held?: boolean }) =>
      (await import('../lab/supervise.js')).supervise(name, held === true),
    );
}

/** Making labs and taking them away. */
function registerLife(lab: Command): void {
  const starting = (command: Command): Command =>
    named(command)
      .option('--topology <file>', 'YAML file that describes the rack (default: two routers, three nodes)')
      .addOption(
        new Option('--tor <kind>', 'what the top-of-rack routers run')
          .choices(['bird', 'frr', 'tortie'])
          .default('bird'),
      )
      .option('--kubeconfig <file>', 'use the API server of this kubeconfig instead of the embedded one');
  starting(lab.command('run'))
    .description('start a lab, show it, and take it down on Ctrl-C')
    .option('--once', 'show everything, check every claim, then take it down; exit status 0 only if all held')
    .action(async (flags: StartFlags & { once?: boolean }) =>
      (await import('../lab/run-lab.js')).runLab(flags, flags.once === true),
    );
  starting(lab.command('up'))
    .description('start a lab and leave it running')
    .action(async (flags: StartFlags) => {
      await (await import('../lab/start-lab.js')).startLab(flags, (text) => process.stdout.write(`${text}\n`));
      process.stdout.write(
        `Lab "${flags.name}" is up. Next: tortie lab status, tortie lab probe, tortie lab exec node1 -- route -n\n`,
      );
    });
  named(lab.command('down'))
    .description('take a lab away, also one that crashed')
    .action(async ({ name }: NameOption) => {
      const swept = await (await import('../lab/start-lab.js')).stopLab(name);
      process.stdout.write(
        `Lab "${name}" is gone: ${swept.processes} processes and ${swept.namespaces} namespaces were left to remove\n`,
      );
    });
  lab
    .command('list')
    .description('names of the labs on this machine')
    .action(
      async () =>
        void process.stdout.write(
          (await (await import('../lab/state-dir.js')).listLabs()).map((name) => `${name}\n`).join(''),
        ),
    );
}

/** Looking at a lab and working in it. */
function registerLooks(lab: Command): void {
  named(lab.command('status')).description('what runs in a lab').addOption(output()).action(showStatus);
  named(lab.command('kubeconfig'))
    .description('print the kubeconfig of a lab')
    .option('--path', 'print where it lies instead')
    .action(showKubeconfig);
  named(lab.command('exec'))
    .description('run a command on a node, router or outside host, or in a pod: tortie lab exec node1 -- route -n')
    .argument('<where>', 'node, pod (NAMESPACE/NAME), router or outside host')
    .argument('<command...>')
    .action((where: string, argv: readonly string[], { name }: NameOption) => execAt(name, where, argv));
  named(lab.command('probe'))
    .description('who reaches whom: every pod, node and outside host tries every pod')
    .option('--port <port>', 'port to try: 80/TCP, 53/UDP, 9999/SCTP', '80/TCP')
    .addOption(new Option('--family <family>', 'one address family only').choices(['4', '6']))
    .option('--timeout <ms>', 'how long an answer may take', '1000')
    .option('--service <NAMESPACE/NAME>', "a Service's addresses and NodePort too; may be repeated", many, [])
    .addOption(output())
    .action(showProbe);
}

/** Breaking things. */
function registerFaults(lab: Command): void {
  named(lab.command('link'))
    .description("shut or open a router's port: tortie lab link down node1 tor1")
    .argument('<state>', 'up or down')
    .argument('<device>', 'node, outside host or second router')
    .argument('<tor>')
    .action((state: string, device: string, tor: string, { name }: NameOption) => {
      if (state !== 'up' && state !== 'down')
        throw new UserError(`Cannot set a link "${state}": expected up or down`, 2);
      return post(name, '/v1/link', { state, device, tor });
    });
  const onProcess = (action: 'kill' | 'stop' | 'start', description: string): Command =>
    named(lab.command(action))
      .description(description)
      .argument('<where>', 'node or router; "apiserver" alone')
      .argument('[process]', 'agent, bgpd, bird, ...')
      .action((where: string, which: string | undefined, { name }: NameOption) =>
        post(name, '/v1/process', { name: which === undefined ? where : `${where} ${which}`, action }),
      );
  onProcess('kill', 'kill -9 a process, which is then started again: tortie lab kill node1 agent');
  onProcess('stop', 'end a process and leave it so');
  onProcess('start', 'start a process that was stopped');
  named(lab.command('restart-pod'))
    .description('give a pod a new sandbox, as after a crash of its runtime')
    .argument('<pod>', 'NAMESPACE/NAME')
    .action((pod: string, { name }: NameOption) => {
      const [namespace, podName] = pod.includes('/') ? pod.split('/') : ['default', pod];
      return post(name, '/v1/restart-pod', { namespace, name: podName });
    });
}

async function post(lab: string, path: string, body: unknown): Promise<void> {
  await (await import('../lab/control.js')).callLab(lab, 'POST', path, body);
}

async function showStatus({ name, output }: NameOption & { output: string }): Promise<void> {
  const { requireLab } = await import('../lab/state-dir.js');
  await requireLab(name);
  const status = await (await import('../lab/control.js')).callLab<LabStatus>(name, 'GET', '/v1/status');
  if (output === 'json') process.stdout.write(`${JSON.stringify(status, null, 2)}\n`);
  else process.stdout.write((await import('../lab/status-tables.js')).renderStatus(status));
}

async function showKubeconfig({ name, path }: NameOption & { path?: boolean }): Promise<void> {
  const { labPaths, requireLab } = await import('../lab/state-dir.js');
  await requireLab(name);
  const file = labPaths(name).kubeconfig;
  process.stdout.write(path === true ? `${file}\n` : await readFile(file, 'utf8'));
}

/** The command has the terminal; its exit status is ours. */
async function execAt(lab: string, where: string, argv: readonly string[]): Promise<void> {
  const { findPlace } = await import('../lab/devices.js');
  const place = await findPlace(lab, where);
  const child = spawn('ip', ['netns', 'exec', place.netns, ...argv], {
    stdio: 'inherit',
    env: { ...process.env, ...place.env },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

interface ProbeFlags extends NameOption {
  readonly port: string;
  readonly family?: '4' | '6';
  readonly timeout: string;
  readonly service: readonly string[];
  readonly output: string;
}

const many = (value: string, before: readonly string[]): readonly string[] => [...before, value];

async function showProbe({ name, port, family, timeout, service, output }: ProbeFlags): Promise<void> {
  const { parsePort } = await import('../lab/topology.js');
  const parsed = parsePort(port);
  if (parsed === undefined) throw new UserError(`Cannot probe port "${port}": expected 80/TCP, 53/UDP or 9999/SCTP`, 2);
  if (!/^[1-9][0-9]{0,5}$/.test(timeout))
    throw new UserError(`Cannot wait "${timeout}" milliseconds: expected 1 to 999999`, 2);
  const { endpointsOf, rackOf } = await import('../lab/devices.js');
  const { requireLab } = await import('../lab/state-dir.js');
  const { probe, renderMatrix } = await import('../lab/reachability.js');
  const rack = rackOf(await requireLab(name));
  const status = await (await import('../lab/control.js')).callLab<LabStatus>(name, 'GET', '/v1/status');
  const families = family === undefined ? ([4, 6] as const) : family === '4' ? ([4] as const) : ([6] as const);
  const services = await (await import('../lab/service-lookup.js')).lookUpServices(
    name,
    rack,
    service,
    parsed.transport,
  );
  const endpoints = [...endpointsOf(rack, status), ...services];
  const matrix = await probe(endpoints, { port: parsed, families, timeout: Number(timeout) });
  process.stdout.write(
    output === 'json'
      ? `${JSON.stringify({ port: `${parsed.port}/${parsed.transport}`, cells: matrix.cells }, null, 2)}\n`
      : `${renderMatrix(matrix)}\n`,
  );
}
