/** The controller's metrics. No labels: nothing that users make multiplies them. */
import { MetricText, plain } from '../prometheus.js';

export interface ControllerReading {
  readonly isLeader: boolean;
  readonly waitingServices: readonly string[];
  readonly isReady: boolean;
}

export function renderControllerMetrics({ isLeader, waitingServices, isReady }: ControllerReading): string {
  const text = new MetricText('tortie_controller_');
  text.addProcess();
  text.add('leader', 'gauge', '1 in the process that does the work.', plain(isLeader ? 1 : 0));
  text.add('ready', 'gauge', '1 while /readyz is well.', plain(isReady ? 1 : 0));
  text.add(
    'services_waiting',
    'gauge',
    'Services of type LoadBalancer that wait for an address.',
    plain(waitingServices.length),
  );
  return text.toString();
}
