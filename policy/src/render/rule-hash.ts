/** The hash in every rule's comment, by which drift is told on reading back. */
import { hash } from 'node:crypto';

/** Hash of a rule and of all before it in its chain: `previous` is theirs, for the first rule the chain's name. */
export function ruleHash(previous: string, body: string): string {
  return hash('sha256', `${previous}\n${body}`, 'base64url').slice(0, 16).replace(/[-_]/g, 'x');
}
