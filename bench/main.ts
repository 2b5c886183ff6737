/**
 * `npm run bench -- <area> [options]`: measurements beside the programs people use today. Each area is loaded only when asked for.
 */
interface Area {
  readonly about: string;
  readonly load: () => Promise<{ readonly run: (args: readonly string[]) => Promise<number> }>;
}

/** One row per area; `run` gets the remaining arguments and answers with the exit code. */
const AREAS: Readonly<Record<string, Area>> = {
  bgp: { about: 'the BGP speaker beside BIRD, FRR, OpenBGPD and GoBGP', load: () => import('./bgp/main.js') },
  policy: {
    about: 'the packet path and the programming cost of NetworkPolicy',
    load: () => import('./policy/main.js'),
  },
  soak: {
    about: 'half an hour of churn: memory, sessions, BFD beside it, tables at the end',
    load: () => import('./soak/main.js'),
  },
  edits: {
    about: "random edits of Calico's resources in a lab, under traffic: who says what afterwards",
    load: () => import('./edits/main.js'),
  },
  bfd: {
    about: 'BFD while a full table goes through: the time between packets, beside BIRD and FRR',
    load: () => import('./bfd/main.js'),
  },
  services: { about: 'Services beside kube-proxy', load: () => import('./services/main.js') },
  announce: {
    about: 'endpoints of fifty Local Services gone and back: their addresses at the routers',
    load: () => import('./announce/main.js'),
  },
  cni: { about: 'CNI ADD and DEL beside ptp and host-local', load: () => import('./cni/main.js') },
  load: { about: 'the agent of a node in a large, changing cluster', load: () => import('./load/main.js') },
  hostile: { about: 'objects that ask for much against the policy engine', load: () => import('./hostile/main.js') },
  flows: { about: 'what recording flows costs the agent and the packet path', load: () => import('./flows/main.js') },
  kill: {
    about: 'kill -9 of the agent amid CNI calls: what is lost, left or given twice',
    load: () => import('./kill/main.js'),
  },
  change: {
    about: 'Changes on trial while agents are killed: all or nothing of each, on every node',
    load: () => import('./change/main.js'),
  },
  ipam: { about: 'addresses: assign, claim, requests for each pod, memory', load: () => import('./ipam/main.js') },
  plan: { about: 'a plan of a change of a large cluster', load: () => import('./plan/main.js') },
  routes: { about: 'kernel routes over netlink beside iproute2', load: () => import('./routes/main.js') },
};

const [name = '', ...args] = process.argv.slice(2);
const area = Object.hasOwn(AREAS, name) ? AREAS[name] : undefined;
const areas = (): string =>
  Object.entries(AREAS)
    .map(([key, { about }]) => `  ${key.padEnd(8)} ${about}\n`)
    .join('');
if (name === '--help' || name === '-h') {
  process.stdout.write(
    `npm run bench -- <area> [options]\n\n${areas()}\nnpm run bench -- <area> --help says what an area measures, needs and takes.\n`,
  );
} else if (area === undefined) {
  process.stderr.write(`Cannot measure "${name}": expected npm run bench -- <area>, where area is one of\n${areas()}`);
  process.exitCode = 2;
} else process.exitCode = await (await area.load()).run(args);
