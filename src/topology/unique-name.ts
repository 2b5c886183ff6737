/** Names for the speaker, which takes at most 128 printable characters; a Kubernetes object may have 253. */
import { createHash } from 'node:crypto';

/** At most `longest` characters that begin as the name does and end in a digest of `id`. No object has a "~" in its name. */
export function digestName(name: string, id: string, longest = 128): string {
  const digest = createHash('sha256').update(id).digest('hex').slice(0, 8);
  return `${name.replace(/[^\x21-\x7e]/g, '_').slice(0, longest - digest.length - 1)}~${digest}`;
}
