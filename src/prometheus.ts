/** Prometheus' text format (version 0.0.4): what a `/metrics` answers. Names and bounds of labels are their owner's. */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export const plain = (value: number): readonly Sample[] => [{ labels: {}, value }];

export class MetricText {
  private readonly lines: string[] = [];

  /** @param prefix of every name: "tortie_agent_" */
  constructor(private readonly prefix: string) {}

  add(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): void {
    this.lines.push(...this.head(name, type, help));
    for (const { labels, value } of samples) this.lines.push(`${this.prefix}${name}${labelText(labels)} ${value}`);
  }

  addHistograms(name: string, help: string, each: readonly (readonly [Sample['labels'], Histogram])[]): void {
    this.lines.push(...this.head(name, 'histogram', help));
    for (const [labels, histogram] of each)
      this.lines.push(...histogram.lines(`${this.prefix}${name}`, labelText(labels).slice(1, -1)));
  }

  /** What every process says of itself. */
  addProcess(): void {
    const { user, system } = process.cpuUsage();
    this.add('process_resident_memory_bytes', 'gauge', 'Resident memory.', plain(process.memoryUsage.rss()));
    this.add('process_cpu_seconds_total', 'counter', 'Time on a CPU.', plain((user + system) / 1e6));
    this.add('process_uptime_seconds', 'gauge', 'Seconds since the start.', plain(Math.round(process.uptime())));
  }

  toString(): string {
    return `${this.lines.join('\n')}\n`;
  }

  private head(name: string, type: string, help: string): readonly string[] {
    return [`# HELP ${this.prefix}${name} ${help}`, `# TYPE ${this.prefix}${name} ${type}`];
  }
}

export class Histogram {
  private readonly counts: number[];
  private sum = 0;
  private count = 0;

  /** @param bounds upper ones, in order */
  constructor(private readonly bounds: readonly number[]) {
    this.counts = bounds.map(() => 0);
  }

  observe(seconds: number): void {
    this.sum += seconds;
    this.count++;
    const at = this.bounds.findIndex((bound) => seconds <= bound);
    if (at >= 0) this.counts[at] = (this.counts[at] ?? 0) + 1;
  }

  /** @param labels as text without braces */
  lines(name: string, labels: string): readonly string[] {
    let below = 0;
    const buckets = this.bounds.map((bound, index) => {
      below += this.counts[index] ?? 0;
      return `${name}_bucket{${labels},le="${bound}"} ${below}`;
    });
    return [
      ...buckets,
      `${name}_bucket{${labels},le="+Inf"} ${this.count}`,
      `${name}_sum{${labels}} ${this.sum}`,
      `${name}_count{${labels}} ${this.count}`,
    ];
  }
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return '';
  const escaped = (value: string): string =>
    value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
  return `{${entries.map(([name, value]) => `${name}="${escaped(value)}"`).join(',')}}`;
}
