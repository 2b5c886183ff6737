/**
 * Sandboxes that were attached here and are no longer. Their ids are never used again, so an ADD that still comes for one,
 * while its pod has another sandbox, is late: it must not take the pod's network away from the sandbox that runs.
 */

/** BOUNDED: the oldest are forgotten. A late call is seconds late, not thousands of pods. */
const MOST = 4_096;

export class FormerSandboxes {
  private readonly ids = new Set<string>();

  add(containerId: string): void {
    this.ids.delete(containerId);
    this.ids.add(containerId);
    if (this.ids.size <= MOST) return;
    const [oldest] = this.ids;
    if (oldest !== undefined) this.ids.delete(oldest);
  }

  /** It is attached again: tools that derive the id from the namespace do that. */
  delete(containerId: string): void {
    this.ids.delete(containerId);
  }

  has(containerId: string): boolean {
    return this.ids.has(containerId);
  }
}
