/**
 * What connections of one subject did in the interval that runs, and which connections are open. Pure.
 *
 * BOUNDED: subjects by the recorder (`roomLeft`), open connections by MOST_OPEN; one that does not fit is looked up anew when it ends.
 */
import type { Amount, Flow, FlowSubject } from './flow.js';

export interface Subject {
  readonly key: string;
  readonly subject: FlowSubject;
  /** Connections of it that are open. */
  open: number;
  /** Of the interval; undefined when nothing has happened in it yet. */
  totals: Totals | undefined;
}

interface Totals {
  start: number;
  last: number;
  begun: number;
  ended: number;
  sentPackets: number;
  sentBytes: number;
  answeredPackets: number;
  answeredBytes: number;
}

/** As many as a node tracks by default (net.netfilter.nf_conntrack_max). */
const MOST_OPEN = 262_144;

export class SubjectTable {
  private readonly subjects = new Map<string, Subject>();
  /** By the kernel's number of the connection. */
  private readonly open = new Map<number, Subject>();

  get size(): number {
    return this.subjects.size;
  }

  /** The subject of a key, made when there is none. */
  of(key: string, make: () => FlowSubject): Subject {
    const known = this.subjects.get(key);
    if (known !== undefined) return known;
    const subject: Subject = { key, subject: make(), open: 0, totals: undefined };
    this.subjects.set(key, subject);
    return subject;
  }

  has(key: string): boolean {
    return this.subjects.has(key);
  }

  begin(subject: Subject, connection: number, at: number): void {
    this.touch(subject, at).begun++;
    this.forget(connection);
    if (this.open.size >= MOST_OPEN) return;
    this.open.set(connection, subject);
    subject.open++;
  }

  /** Which subject the connection was of when it began; it is open no longer. */
  forget(connection: number): Subject | undefined {
    const subject = this.open.get(connection);
    if (subject === undefined) return undefined;
    this.open.delete(connection);
    subject.open--;
    return subject;
  }

  end(subject: Subject, at: number, sent: Amount, answered: Amount): void {
    const totals = this.touch(subject, at);
    totals.ended++;
    add(totals, sent, answered);
  }

  /** @param isFirst of its attempt */
  deny(subject: Subject, at: number, bytes: number, isFirst: boolean): void {
    const totals = this.touch(subject, at);
    if (isFirst) totals.begun++;
    add(totals, { packets: 1, bytes }, { packets: 0, bytes: 0 });
  }

  /** What the interval held; the next one begins. Subjects of which nothing is open and nothing was said are forgotten. */
  close(): readonly Flow[] {
    const flows: Flow[] = [];
    for (const subject of this.subjects.values()) {
      if (subject.totals !== undefined) flows.push(flowOf(subject.subject, subject.totals));
      else if (subject.open === 0) this.subjects.delete(subject.key);
      subject.totals = undefined;
    }
    return flows;
  }

  /** What it holds so far. */
  current(): readonly Flow[] {
    const flows: Flow[] = [];
    for (const { subject, totals } of this.subjects.values())
      if (totals !== undefined) flows.push(flowOf(subject, totals));
    return flows;
  }

  private touch(subject: Subject, at: number): Totals {
    // Who is held elsewhere may have been forgotten here.
    if (!this.subjects.has(subject.key)) this.subjects.set(subject.key, subject);
    subject.totals ??= {
      start: at,
      last: at,
      begun: 0,
      ended: 0,
      sentPackets: 0,
      sentBytes: 0,
      answeredPackets: 0,
      answeredBytes: 0,
    };
    subject.totals.last = Math.max(subject.totals.last, at);
    return subject.totals;
  }
}

function add(totals: Totals, sent: Amount, answered: Amount): void {
  totals.sentPackets += sent.packets;
  totals.sentBytes += sent.bytes;
  totals.answeredPackets += answered.packets;
  totals.answeredBytes += answered.bytes;
}

const flowOf = (subject: FlowSubject, totals: Totals): Flow => ({
  type: 'flow',
  ...subject,
  start: totals.start,
  last: totals.last,
  begun: totals.begun,
  ended: totals.ended,
  sent: { packets: totals.sentPackets, bytes: totals.sentBytes },
  answered: { packets: totals.answeredPackets, bytes: totals.answeredBytes },
});
