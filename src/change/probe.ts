/** "namespace/pod:port": a TCP connection that can be made. */
export interface Probe {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

const MOST_PORT = 65_535;

/** Undefined: it is none. `fallback`: the namespace of one that names none; without it there must be one. */
export function parseProbe(text: string, fallback?: string): Probe | undefined {
  const [, namespace = fallback, pod, port] = /^(?:([^/:]+)\/)?([^/:]+):(\d{1,5})$/.exec(text) ?? [];
  const number = Number(port);
  return namespace === undefined || pod === undefined || number < 1 || number > MOST_PORT
    ? undefined
    : { namespace, pod, port: number };
}
