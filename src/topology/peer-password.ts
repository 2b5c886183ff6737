/** The TCP-MD5 key that a resource names (RFC 2385). Without it a session must not come up in the open. */
import type { BGPPassword } from '../api/bgp.js';
import type { Cluster } from './cluster.js';
import type { DraftFields } from './peer-draft.js';
import { quoted, type Place } from './problems.js';

/** `place`: of the password in its resource. Undefined, and told: there is none, so there is no session. */
export function passwordOf(
  reference: BGPPassword | undefined,
  place: Place,
  cluster: Cluster,
): DraftFields | undefined {
  if (reference === undefined) return new Map();
  const selector = reference.secretKeyRef;
  if (selector === undefined) {
    cluster.problems.problem(
      place,
      'has no secretKeyRef; expected the name and key of a secret, or no password at all; left out until it has one',
    );
    return undefined;
  }
  const { name = '', key, optional } = selector;
  const at = { ...place, field: `${place.field ?? ''}.secretKeyRef` };
  const password = cluster.input.secret(name, key);
  const where = `key ${quoted(key)} of secret "${cluster.input.secretNamespace}/${name}"`;
  if (password === undefined && optional === true) return new Map();
  const wanted =
    password === undefined
      ? 'expected that secret with that key'
      : password === ''
        ? 'which is empty; expected 1 to 80 octets of text'
        : problemOf(password);
  if (password !== undefined && wanted === undefined) return new Map([['password', { value: password, place: at }]]);
  cluster.problems.problem(
    at,
    `names ${where}${password === undefined ? '; ' : ', '}${wanted ?? ''}; left out until it can be used`,
  );
  return undefined;
}

/** What no router can be given as its half of the key. */
function problemOf(password: string): string | undefined {
  const size = Buffer.byteLength(password);
  if (size > 80) return `which has ${size} octets; expected 1 to 80`;
  if (/[\0-\x1f\x7f]/.test(password))
    return 'which holds a control character (a line break at its end?); expected text';
  return password.includes('\ufffd') ? 'which is not UTF-8; expected text' : undefined;
}
