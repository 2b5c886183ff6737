/** NodePorts that a program of this node listens on: it hears nothing from outside, the Service does. Pure. */
import type { ServicesEngine } from '@tortie/services';

export interface TakenPort {
  readonly namespace: string;
  /** Of the Service. */
  readonly name: string;
  readonly text: string;
}

/** `listening` has "tcp:30080" of every port that a program listens on. */
export function takenPorts(
  engine: Pick<ServicesEngine, 'services'>,
  listening: ReadonlySet<string>,
  most: number,
): readonly TakenPort[] {
  const taken: TakenPort[] = [];
  for (const { service } of engine.services())
    for (const { nodePort, protocol } of service.ports) {
      if (nodePort === undefined || !listening.has(`${protocol}:${nodePort}`)) continue;
      const { namespace, name } = service;
      const port = `${nodePort}/${protocol.toUpperCase()}`;
      const text = `a program of this node listens on its NodePort ${port} too; connections go to the Service`;
      taken.push({ namespace, name, text: `Service ${namespace}/${name}: ${text}` });
      if (taken.length === most) return taken;
    }
  return taken;
}
