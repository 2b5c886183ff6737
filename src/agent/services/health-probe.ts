/** Does anybody answer HTTP on a port of this node? */
import { get } from 'node:http';
import type { ListenAddress } from './listener.js';

const PATIENCE = 1_000;

/** Any answer at all counts: a kube-proxy that is unwell is there all the same. */
export function answersHealth({ host, port }: ListenAddress): Promise<boolean> {
  const to = host === undefined || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return new Promise((resolve) => {
    const request = get({ host: to, port, path: '/healthz', timeout: PATIENCE }, (response) => {
      response.resume();
      resolve(true);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
