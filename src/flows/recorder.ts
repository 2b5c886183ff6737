/**
 * Events of the kernel to flows: who the ends are, through which Service, what decided; and what the connections of one subject did in
 * an interval. Aggregation is that of Calico's Goldmane: client workload, server workload, port, verdict and what decided. Pure: time is
 * told.
 *
 * Only connections with an end in a pod of this node are kept, and what rules of ours deny.
 *
 * BOUNDED: subjects of an interval. Past the first bound ends outside lose their address, past the second flows lose their port as well,
 * and past the third connections are left out and counted.
 */
import { DENY_PREFIX, type Decision, type DenyPoint, type Direction, type Flow as PolicyFlow } from '@tortie/policy';
import type { ConnectionEvent, ConnectionState } from '../dataplane/netlink/conntrack-events.js';
import type { ConnectionTuple } from '../dataplane/netlink/conntrack-tuple.js';
import type { LoggedPacket } from '../dataplane/netlink/packet-log.js';
import {
  type Connection,
  type EndDecision,
  type Flow,
  type FlowEnd,
  type FlowLosses,
  type FlowService,
  type FlowSubject,
  protocolText,
} from './flow.js';
import { FlowJudge, type Judge } from './flow-judge.js';
import type { Identities, Identity } from './identities.js';
import { type Subject, SubjectTable } from './subject-table.js';

export interface RecorderOptions {
  readonly node: string;
  readonly identities: Identities;
  readonly judge: Judge & { denyPoint(id: string): DenyPoint | undefined };
  /** Of an address and port that clients speak to. */
  readonly serviceOf: (address: string, protocol: number, port: number) => FlowService | undefined;
  /** Milliseconds for which the kernel keeps a connection after its last packet. */
  readonly lingering: (connection: ConnectionState) => number;
  /** Hears of each connection. Undefined while nobody wants to: it costs. */
  onConnection?: ((connection: Connection) => void) | undefined;
}

/** Subjects of an interval from which on ends outside are not told apart, ports neither, and nothing more is kept. */
const CROWDED = 4_096;
const FULL = 8_192;
const MOST = 12_288;
/** BOUNDED: begun anew when full. */
const MOST_ROUTES = 32_768;
/** BOUNDED: attempts whose repetitions are known; the oldest is forgotten. */
const MOST_ATTEMPTS = 8_192;
/** A SYN is repeated for so long by default (net.ipv4.tcp_syn_retries), in milliseconds. */
const ATTEMPT = 130_000;

interface Attempt {
  readonly at: number;
  readonly subject: Subject;
}

export class FlowRecorder {
  private readonly table = new SubjectTable();
  private readonly judge: FlowJudge;
  /** Subjects by addresses and ports, while identities and rules are the same. */
  private routes = new Map<string, Subject | 'none'>();
  private generation = -1;
  private readonly attempts = new Map<string, Attempt>();
  private readonly losses = { connections: 0, reports: 0, unreported: 0, subjects: 0 };

  constructor(private readonly options: RecorderOptions) {
    this.judge = new FlowJudge(options.judge);
  }

  /** Pods, nodes or Services are others. */
  changed(): void {
    this.options.identities.changed();
    if (this.routes.size > 0) this.routes = new Map();
  }

  get lost(): FlowLosses {
    return { ...this.losses };
  }

  lose(what: keyof FlowLosses, count: number): void {
    this.losses[what] += count;
  }

  /** @param now milliseconds since 1970 */
  takeConnection({ type, connection }: ConnectionEvent, now: number): void {
    const known = type === 'ended' ? this.table.forget(connection.id) : undefined;
    const subject = known ?? this.subjectOf(connection);
    if (subject === undefined) return;
    const { sent, answered } = connection;
    if (type === 'new') this.table.begin(subject, connection.id, now);
    else this.table.end(subject, now, sent, answered);
    if (this.options.onConnection === undefined) return;
    const { start, stop, original } = connection;
    const isNew = type === 'new';
    const last = stop === undefined ? undefined : Math.max(start ?? 0, stop - this.options.lingering(connection));
    this.options.onConnection({
      type: 'connection',
      happening: isNew ? 'begun' : 'ended',
      ...this.named(subject.subject, original.source, connection.reply.source),
      port: portOf(connection),
      at: now,
      ...(isNew ? { start: start ?? now } : start === undefined ? {} : { start }),
      ...(isNew || last === undefined ? {} : { last }),
      sourcePort: original.sourcePort,
      sent,
      answered,
    });
  }

  takeDenied({ prefix, family, tuple, bytes }: LoggedPacket, now: number): void {
    if (!prefix.startsWith(DENY_PREFIX)) return;
    const point = this.options.judge.denyPoint(prefix.slice(DENY_PREFIX.length));
    // A rule that has gone since.
    if (point === undefined) return this.lose('subjects', 1);
    const id = `${prefix} ${tuple.protocol} ${tuple.source} ${tuple.sourcePort} ${tuple.destination} ${tuple.destinationPort}`;
    const known = this.attempts.get(id);
    const isFirst = known === undefined || now - known.at > ATTEMPT;
    const subject = isFirst ? this.deniedSubject(point, family, tuple) : known.subject;
    if (subject === undefined) return;
    if (isFirst) this.remember(id, { at: now, subject });
    this.table.deny(subject, now, bytes, isFirst);
    if (!isFirst) return;
    this.options.onConnection?.({
      type: 'connection',
      happening: 'denied',
      ...this.named(subject.subject, tuple.source, tuple.destination),
      port: tuple.destinationPort,
      at: now,
      start: now,
      sourcePort: tuple.sourcePort,
      sent: { packets: 1, bytes },
      answered: { packets: 0, bytes: 0 },
    });
  }

  /** The flows of the interval that ends now. */
  close(): readonly Flow[] {
    return this.table.close();
  }

  /** Those of the interval that runs. */
  current(): readonly Flow[] {
    return this.table.current();
  }

  private remember(id: string, attempt: Attempt): void {
    this.attempts.delete(id);
    this.attempts.set(id, attempt);
    if (this.attempts.size <= MOST_ATTEMPTS) return;
    for (const oldest of this.attempts.keys()) {
      this.attempts.delete(oldest);
      return;
    }
  }

  /** Undefined: no pod of this node has to do with it, or there is no room. */
  private subjectOf(connection: ConnectionState): Subject | undefined {
    if (this.options.judge.generation !== this.generation) {
      this.generation = this.options.judge.generation;
      this.routes = new Map();
    }
    const { original, reply } = connection;
    const { icmp } = original;
    const route =
      `${original.source} ${reply.source} ${original.destination} ${original.protocol} ${portOf(connection)} ` +
      `${original.destinationPort}${icmp === undefined ? '' : ` ${icmp.type}.${icmp.code}`}` +
      `${this.options.judge.looksAtSourcePorts ? ` ${original.sourcePort}` : ''}`;
    const known = this.routes.get(route);
    if (known !== undefined) return known === 'none' ? undefined : known;
    if (this.routes.size >= MOST_ROUTES) this.routes = new Map();
    const subject = this.lookUp(connection);
    if (subject !== 'full') this.routes.set(route, subject);
    if (subject === 'full') this.lose('subjects', 1);
    return typeof subject === 'string' ? undefined : subject;
  }

  private lookUp(connection: ConnectionState): Subject | 'none' | 'full' {
    const { original, reply, family } = connection;
    const from = this.options.identities.of(original.source);
    const to = this.options.identities.of(reply.source);
    if (!from.isLocal && !to.isLocal) return 'none';
    const isTranslated = original.destination !== reply.source || original.destinationPort !== portOf(connection);
    const service = isTranslated
      ? this.options.serviceOf(original.destination, original.protocol, original.destinationPort)
      : undefined;
    const flow = policyFlow(from, to, family, original, portOf(connection));
    return this.enter({
      from,
      to,
      family,
      tuple: original,
      port: portOf(connection),
      verdict: 'allowed',
      ...(service === undefined ? {} : { service }),
      ...(from.isLocal ? { egress: this.passed(flow, 'egress') } : {}),
      ...(to.isLocal ? { ingress: this.passed(flow, 'ingress') } : {}),
    });
  }

  /** What decided at an end of a connection that is there. */
  private passed(flow: PolicyFlow, direction: Direction): EndDecision {
    const answer = this.judge.decisionAt(flow, direction, pairText(flow));
    return answer.allowed
      ? answer
      : this.judge.unique({ ...answer, allowed: true, decision: { type: 'exempt', why: OTHER_RULES } });
  }

  private deniedSubject(point: DenyPoint, family: 4 | 6, tuple: ConnectionTuple): Subject | undefined {
    const from = this.options.identities.of(tuple.source);
    const to = this.options.identities.of(tuple.destination);
    const flow = policyFlow(from, to, family, tuple, tuple.destinationPort);
    const answer = this.judge.decisionAt(flow, point.direction, pairText(flow));
    const denied = this.judge.unique({ ...answer, allowed: false, decision: decisionOf(point, answer.decision) });
    const subject = this.enter({
      from,
      to,
      family,
      tuple,
      port: tuple.destinationPort,
      verdict: 'denied',
      ...(point.direction === 'egress'
        ? { egress: denied }
        : { ingress: denied, ...(from.isLocal ? { egress: this.passed(flow, 'egress') } : {}) }),
    });
    if (subject !== 'full') return subject;
    this.lose('subjects', 1);
    return undefined;
  }

  private enter(given: Given): Subject | 'full' {
    const { table } = this;
    const exact = this.keyOf(given, given.port);
    if (table.has(exact) || table.size < CROWDED) return table.of(exact, () => this.subjectFrom(given));
    const coarse = { ...given, from: withoutAddress(given.from), to: withoutAddress(given.to) };
    const coarseKey = this.keyOf(coarse, coarse.port);
    if (table.has(coarseKey) || table.size < FULL) return table.of(coarseKey, () => this.subjectFrom(coarse));
    const coarsest = { ...coarse, port: 0 };
    const coarsestKey = this.keyOf(coarsest, 0);
    if (table.has(coarsestKey) || table.size < MOST) return table.of(coarsestKey, () => this.subjectFrom(coarsest));
    return 'full';
  }

  private keyOf({ from, to, family, tuple, verdict, service, egress, ingress }: Given, port: number): string {
    const { icmp } = tuple;
    return (
      `${verdict} ${from.key}>${to.key} ${family} ${tuple.protocol} ${port} ` +
      `${this.judge.numberOf(egress)} ${this.judge.numberOf(ingress)}` +
      `${service === undefined ? '' : ` ${service.namespace}/${service.name}:${service.port}`}` +
      `${icmp === undefined ? '' : ` ${icmp.type}.${icmp.code}`}`
    );
  }

  private subjectFrom({ from, to, family, tuple, port, verdict, service, egress, ingress }: Given): FlowSubject {
    return {
      node: this.options.node,
      reporter:
        egress !== undefined && ingress !== undefined ? 'both' : egress !== undefined ? 'source' : 'destination',
      from: from.end,
      to: to.end,
      ...(service === undefined ? {} : { service }),
      family,
      protocol: protocolText(tuple.protocol),
      port,
      ...(tuple.icmp === undefined ? {} : { icmp: tuple.icmp }),
      verdict,
      ...(egress === undefined ? {} : { egress }),
      ...(ingress === undefined ? {} : { ingress }),
    };
  }

  /** Of one connection: its very pods and addresses. */
  private named(subject: FlowSubject, source: string, destination: string): FlowSubject {
    const end = (address: string): FlowEnd => ({ ...this.options.identities.of(address).end, address });
    return { ...subject, from: end(source), to: end(destination) };
  }
}

interface Given {
  readonly from: Identity;
  readonly to: Identity;
  readonly family: 4 | 6;
  readonly tuple: ConnectionTuple;
  readonly port: number;
  readonly verdict: FlowSubject['verdict'];
  readonly service?: FlowService;
  readonly egress?: EndDecision;
  readonly ingress?: EndDecision;
}

/** Said of a connection that is there and that the rules of now would not let begin. */
const OTHER_RULES = 'the rules were others when it began';

/** Of the real destination; ICMP's identifiers are no ports. */
const portOf = ({ original, reply }: ConnectionState): number => (original.icmp === undefined ? reply.sourcePort : 0);

function policyFlow(from: Identity, to: Identity, family: 4 | 6, tuple: ConnectionTuple, port: number): PolicyFlow {
  return {
    from: from.policyEnd,
    to: to.policyEnd,
    family,
    protocol: tuple.protocol,
    port,
    sourcePort: tuple.sourcePort,
    ...(tuple.icmp === undefined ? {} : { icmp: tuple.icmp }),
  };
}

const policyEndText = (end: PolicyFlow['from']): string =>
  end.type === 'pod' ? `${end.namespace}/${end.name}` : end.type === 'node' ? `node ${end.name}` : end.address;

const pairText = ({ from, to, family, protocol, port, icmp }: PolicyFlow): string =>
  `${policyEndText(from)} ${policyEndText(to)} ${family} ${protocol} ${port} ${icmp === undefined ? '' : `${icmp.type}.${icmp.code}`}`;

/** The kernel's rule is the truth; the engine adds what the rule does not say, where it says the same. */
function decisionOf(point: DenyPoint, judged: Decision): Decision {
  switch (point.type) {
    case 'rule':
      return { type: 'rule', tier: point.tier, policy: point.policy, rule: point.rule, action: 'deny' };
    case 'tier-end':
      return judged.type === 'tier-default' && judged.tier === point.tier
        ? judged
        : { type: 'tier-default', tier: point.tier, policies: [] };
    case 'closed':
      return judged.type === 'closed' || judged.type === 'unknown' || judged.type === 'host-default'
        ? judged
        : { type: 'closed', why: 'the pod was not open yet' };
  }
}

function withoutAddress(identity: Identity): Identity {
  if (identity.end.type !== 'outside') return identity;
  return { ...identity, key: 'outside', end: { type: 'outside' } };
}
