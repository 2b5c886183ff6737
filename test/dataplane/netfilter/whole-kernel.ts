/** All packet filter rules and sets of a namespace as text that two namespaces can be compared by, and others' rules to put there. */
import { exec } from '../scratch-namespaces.js';

/** Everything the kernel holds, without counters and in one order. */
export function everything(path: string): string {
  const parts = ['iptables-legacy', 'ip6tables-legacy', 'iptables-nft', 'ip6tables-nft'].flatMap((program) =>
    ['raw', 'mangle', 'nat', 'filter'].map((table) =>
      exec(path, `${program}-save`, '-t', table).replaceAll(/^#.*$|\[\d+:\d+\]/gm, ''),
    ),
  );
  const sets = exec(path, 'ipset', 'save')
    .split('\n')
    .map((line) => line.replace(/ (hashsize|bucketsize|initval) \S+/g, ''))
    .sort()
    .join('\n');
  const inet = exec(path, 'nft', '-s', 'list', 'tables').includes('inet tortie')
    ? exec(path, 'nft', '-s', '-j', 'list', 'table', 'inet', 'tortie')
    : '';
  return [...parts, sets, normaliseJson(inet)].join('\n');
}

/** Handles count up with every change and say nothing; objects and elements have no order. */
function normaliseJson(text: string): string {
  if (text === '') return '';
  const { nftables } = JSON.parse(text) as { nftables: readonly Record<string, Record<string, unknown>>[] };
  const rank = new Map<string, number>();
  return nftables
    .filter((one) => !('metainfo' in one))
    .map((one) => {
      for (const body of Object.values(one)) {
        delete body['handle'];
        if (Array.isArray(body['elem'])) body['elem'] = body['elem'].map((element) => JSON.stringify(element)).sort();
        // The order of rules within their chain does say something.
        if ('rule' in one) {
          const chain = String(body['chain']);
          rank.set(chain, (rank.get(chain) ?? 0) + 1);
          body['rank'] = rank.get(chain);
        }
      }
      return JSON.stringify(one);
    })
    .sort()
    .join('\n');
}

/** What is not ours, of every kind. */
export function plantForeign(path: string): void {
  exec(
    path,
    'sh',
    '-e',
    '-c',
    [
      'iptables-legacy -A FORWARD -s 192.0.2.1 -j ACCEPT',
      'iptables-legacy -t nat -N KUBE-SERVICES',
      'iptables-nft -N KUBE-FORWARD',
      'iptables-nft -A FORWARD -j KUBE-FORWARD',
      'ip6tables-nft -A INPUT -p tcp --dport 22 -j ACCEPT',
      'ipset create foreign hash:ip',
      'ipset add foreign 192.0.2.7',
      'nft add table inet foreign',
    ].join('; '),
  );
}
