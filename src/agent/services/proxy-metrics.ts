/**
 * kube-proxy's metrics by their names (pkg/proxy/metrics), so that dashboards and alerts go on. What only kube-proxy has (partial syncs,
 * counters of its nfacct objects) is not there.
 */
import type { Family } from 'node-bgp/address';
import { Histogram } from '../../prometheus.js';

const FAMILY_NAMES: Readonly<Record<Family, string>> = { 4: 'IPv4', 6: 'IPv6' };

/** Upper bounds in seconds. */
const SYNC_BUCKETS = Array.from({ length: 15 }, (_, index) => 0.001 * 2 ** index);
const PROGRAMMING_BUCKETS = [
  0.25,
  0.5,
  ...Array.from({ length: 59 }, (_, index) => index + 1),
  ...Array.from({ length: 12 }, (_, index) => 60 + 5 * index),
  ...Array.from({ length: 7 }, (_, index) => 120 + 30 * index),
];

export interface ProxyGauges {
  readonly lastUpdated: number;
  readonly lastQueued: number;
  readonly endpointChangesPending: number;
  readonly serviceChangesPending: number;
  /** Services that Local policy drops here, by policy. */
  readonly withoutLocalEndpoints: { readonly internal: number; readonly external: number };
}

export class ProxyMetrics {
  private readonly sync = new Histogram(SYNC_BUCKETS);
  private readonly fullSync = new Histogram(SYNC_BUCKETS);
  private readonly partialSync = new Histogram(SYNC_BUCKETS);
  private readonly programming = new Histogram(PROGRAMMING_BUCKETS);
  private readonly answers = { healthz: new Map<number, number>(), livez: new Map<number, number>() };
  private endpointChanges = 0;
  private serviceChanges = 0;
  private syncFailures = 0;
  private staleEntries = 0;

  constructor(private readonly families: readonly Family[]) {}

  endpointChanged(): void {
    this.endpointChanges++;
  }

  serviceChanged(): void {
    this.serviceChanges++;
  }

  synced(seconds: number, isWhole: boolean): void {
    this.sync.observe(seconds);
    (isWhole ? this.fullSync : this.partialSync).observe(seconds);
  }

  syncFailed(): void {
    this.syncFailures++;
  }

  /** From an endpoint's change at its controller to the kernel. */
  programmed(seconds: number): void {
    this.programming.observe(seconds);
  }

  forgot(entries: number): void {
    this.staleEntries += entries;
  }

  answered(path: 'healthz' | 'livez', status: number): void {
    this.answers[path].set(status, (this.answers[path].get(status) ?? 0) + 1);
  }

  render(gauges: ProxyGauges, mode: string): string {
    const lines: string[] = [];
    const metric = (name: string, type: string, help: string, samples: readonly string[]): void =>
      void lines.push(`# HELP kubeproxy_${name} ${help}`, `# TYPE kubeproxy_${name} ${type}`, ...samples);
    const plain = (name: string, type: string, help: string, value: number): void =>
      metric(name, type, help, [`kubeproxy_${name} ${value}`]);
    const histogram = (name: string, help: string, one: Histogram): void =>
      metric(
        name,
        'histogram',
        help,
        this.families.flatMap((family) => one.lines(`kubeproxy_${name}`, `ip_family="${FAMILY_NAMES[family]}"`)),
      );
    const byFamily = (name: string, type: string, help: string, value: number): void =>
      metric(
        name,
        type,
        help,
        this.families.map((family) => `kubeproxy_${name}{ip_family="${FAMILY_NAMES[family]}"} ${value}`),
      );
    histogram('sync_proxy_rules_duration_seconds', 'Seconds of a write of Services to the kernel.', this.sync);
    histogram('sync_full_proxy_rules_duration_seconds', 'The same, of whole ones.', this.fullSync);
    histogram('sync_partial_proxy_rules_duration_seconds', 'The same, of changes.', this.partialSync);
    histogram(
      'network_programming_duration_seconds',
      'Seconds from the change of an endpoint at its controller to the kernel.',
      this.programming,
    );
    byFamily(
      'sync_proxy_rules_last_timestamp_seconds',
      'gauge',
      'When the kernel last held everything.',
      gauges.lastUpdated / 1000,
    );
    byFamily(
      'sync_proxy_rules_last_queued_timestamp_seconds',
      'gauge',
      'When a write was last asked for.',
      gauges.lastQueued / 1000,
    );
    plain(
      'sync_proxy_rules_endpoint_changes_pending',
      'gauge',
      'Changes of endpoints that wait.',
      gauges.endpointChangesPending,
    );
    plain('sync_proxy_rules_endpoint_changes_total', 'counter', 'Changes of endpoints.', this.endpointChanges);
    plain(
      'sync_proxy_rules_service_changes_pending',
      'gauge',
      'Changes of Services that wait.',
      gauges.serviceChangesPending,
    );
    plain('sync_proxy_rules_service_changes_total', 'counter', 'Changes of Services.', this.serviceChanges);
    byFamily(
      mode === 'nftables'
        ? 'sync_proxy_rules_nftables_sync_failures_total'
        : 'sync_proxy_rules_iptables_restore_failures_total',
      'counter',
      'Writes that the kernel did not take whole.',
      this.syncFailures,
    );
    metric(
      'sync_proxy_rules_no_local_endpoints_total',
      'gauge',
      'Services whose policy is Local and that have no endpoint here.',
      (['internal', 'external'] as const).flatMap((policy) =>
        this.families.map(
          (family) =>
            `kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="${FAMILY_NAMES[family]}",` +
            `traffic_policy="${policy}"} ${gauges.withoutLocalEndpoints[policy]}`,
        ),
      ),
    );
    byFamily(
      'conntrack_reconciler_deleted_entries_total',
      'counter',
      'Tracked connections forgotten because their endpoint is gone.',
      this.staleEntries,
    );
    for (const path of ['healthz', 'livez'] as const)
      metric(
        `proxy_${path}_total`,
        'counter',
        `Answers of /${path} by status.`,
        [...this.answers[path]].map(([status, count]) => `kubeproxy_proxy_${path}_total{code="${status}"} ${count}`),
      );
    return `${lines.join('\n')}\n`;
  }
}
