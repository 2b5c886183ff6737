/** What bgpd says of itself on this node, and who has its port. */
import type { Listener } from '../node-facts.js';
import { listed, type NodeCheck } from './check.js';

const bgpd: NodeCheck = ({ bgpd: answer }) => {
  if ('problem' in answer)
    return [
      {
        check: 'bgpd',
        severity: 'error',
        evidence: `bgpd does not answer: ${answer.problem}`,
        remedy: 'See whether the container "bgpd" of this node runs, and its log; --run-dir says where its socket is.',
      },
    ];
  return answer.summary.isConfigured
    ? []
    : [
        {
          check: 'bgpd',
          severity: 'error',
          evidence: 'bgpd has no configuration',
          remedy: 'The agent gives it one: see the condition BGPReady of NodeStatus and the log of the agent.',
        },
      ];
};

const port: NodeCheck = ({ bgpd: answer, listeners }) => {
  if ('problem' in answer || !answer.summary.isConfigured) return [];
  return answer.summary.listen.flatMap(({ address, port: number, problem }) => {
    const there = (listeners ?? []).filter((each) => each.port === number);
    if (problem !== undefined)
      return [
        {
          check: 'bgp-port',
          severity: 'error',
          evidence: `bgpd cannot listen on ${address} port ${number}: ${problem}; there: ${ownersOf(there)}`,
          remedy: 'Stop the other BGP daemon, or give one of them another port (BGPConfiguration listenPort).',
        },
      ];
    return listeners === undefined || there.length > 0
      ? []
      : [
          {
            check: 'bgp-port',
            severity: 'error',
            evidence: `bgpd says that it listens on ${address} port ${number}, and nobody does in this network namespace`,
            remedy: 'bgpd runs in another network namespace: it needs hostNetwork: true.',
          },
        ];
  });
};

const ownersOf = (listeners: readonly Listener[]): string =>
  listeners.length === 0
    ? 'nobody listens'
    : listeners
        .map(
          ({ address, owner }) =>
            `${address} ${owner === undefined ? '(not seen whose)' : `by ${owner.name} (pid ${owner.pid})`}`,
        )
        .join(', ');

const sessions: NodeCheck = ({ bgpd: answer }) => {
  if ('problem' in answer || !answer.summary.isConfigured) return [];
  const { peers } = answer.summary;
  return peers.flatMap(({ name, address, remoteAs, state, isEstablished, problem, heldDown, lastError }) => {
    if (isEstablished && problem === undefined) return [];
    const why = problem ?? heldDown ?? lastError ?? 'nothing was heard yet';
    return [
      {
        check: 'bgp-session',
        severity: 'error',
        evidence: `The session with ${name} (${address}, AS ${remoteAs}) is ${state}: ${why}`,
        remedy:
          heldDown === undefined
            ? `See \`tortie bgp neighbor ${name}\`; \`tortie tor-config\` prints what the other side needs.`
            : `Mend what held it down, then \`tortie bgp clear ${name}\`.`,
      },
    ];
  });
};

const routes: NodeCheck = ({ bgpd: answer }) => {
  if ('problem' in answer || !answer.summary.isConfigured) return [];
  const { refused = 0, contested = 0, stale = 0 } = answer.summary.kernel ?? {};
  return [
    ...listed(refused > 0 ? [`${refused}`] : [], () => ({
      check: 'bgp-routes',
      severity: 'error',
      evidence: `The kernel refuses ${refused} learned routes`,
      remedy: 'The log of bgpd has the reason of each; `tortie bgp why PREFIX` shows one.',
    })),
    ...listed(contested > 0 ? [`${contested}`] : [], () => ({
      check: 'bgp-routes',
      severity: 'error',
      evidence: `Somebody else keeps changing ${contested} learned routes`,
      remedy: 'Find out who (`ip monitor route`): another routing daemon, or a network manager (docs/host.md).',
    })),
    ...listed(stale > 0 && !answer.summary.isRestarting ? [`${stale}`] : [], () => ({
      check: 'bgp-routes',
      severity: 'warning',
      evidence: `${stale} routes in the kernel are of an earlier bgpd, and no peer has announced them since`,
      remedy:
        'They go once every peer has said that it is done, or its time is over; see the sessions that are not up.',
    })),
  ];
};

export const BGP_CHECKS: readonly NodeCheck[] = [bgpd, port, sessions, routes];
