#!/bin/bash
# Linux 6.18, iptables 1.8.9 (Debian 12), legacy: the only masquerade rule of a namespace is deleted while a masqueraded TCP connection stands.
#
# Seen, client 10.0.0.7 - router - server 192.0.2.2, echo over one connection:
#   rule there                                            answered, seen by the server as the router's address
#   rule deleted, another rule matches a conntrack state  answered as before: the entry translates, no rule is needed
#   that rule deleted, too                                no answer; the server saw the client's own address and reset the connection.
#                                                         The entry still stands in the table.
#
# Guess before the run: NAT is decided at a connection's first packet and kept in its entry, so deleting rules never touches what stands.
#
# Why: connection tracking is on in a namespace as long as somebody asks for it (nf_ct_netns_get in checkentry of MASQUERADE, of `-m conntrack` ...).
# With the last such rule the kernel takes its hooks away, and translation, which hangs on the entry, is not found any more. `nat` itself does not ask.
#
# What to do: keep one rule that matches a conntrack state for as long as a translated connection may live, and only then delete; a firewall or
# policy that accepts `ESTABLISHED` is such a rule. A test of "a change cuts nothing" that has NAT rules only will meet this and blame the change.
set -euo pipefail
dir=$(mktemp -d); names=(); for who in client router server; do names+=("ctlast-$who-$$"); done
trap 'for n in "${names[@]}"; do ip netns del "$n" 2> /dev/null || true; done; rm -rf "$dir"' EXIT
cd "$dir"; C=${names[0]} R=${names[1]} S=${names[2]}
for n in "${names[@]}"; do ip netns add "$n"; ip -n "$n" link set lo up; done
ip -n "$R" link add c type veth peer name eth0 netns "$C"; ip -n "$R" link add s type veth peer name eth0 netns "$S"
ip -n "$R" addr add 10.0.0.1/24 dev c; ip -n "$R" addr add 192.0.2.1/24 dev s
ip -n "$C" addr add 10.0.0.7/24 dev eth0; ip -n "$S" addr add 192.0.2.2/24 dev eth0
for pair in "$R c" "$R s" "$C eth0" "$S eth0"; do set -- $pair; ip -n "$1" link set "$2" up; done
ip -n "$C" route add default via 10.0.0.1; ip -n "$S" route add 10.0.0.0/24 via 192.0.2.1
ip netns exec "$R" sysctl -qw net.ipv4.ip_forward=1
rule() { ip netns exec "$R" iptables-legacy "$@"; }
rule -t nat -A POSTROUTING -s 10.0.0.0/24 -j MASQUERADE; rule -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
cat > server.py <<'P'
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('192.0.2.2', 7007)); s.listen(1); open('ready', 'w').close()
c, peer = s.accept(); open('peer', 'w').write(peer[0])
try:
    while (data := c.recv(64)): c.sendall(data)
except OSError: pass
P
cat > client.py <<'P'
import socket, sys
c = socket.create_connection(('192.0.2.2', 7007), 5); c.settimeout(5)
for line in sys.stdin:
    try: c.sendall(line.encode()); print('answered' if c.recv(64) else 'ended', flush=True)
    except OSError as e: print('no answer:', e.strerror or e, flush=True)
P
python=$(command -v /usr/bin/python3 || command -v python3)
ip netns exec "$S" "$python" server.py & server=$!
for i in $(seq 100); do [ -e ready ] && break; sleep .1; done
mkfifo say; ip netns exec "$C" "$python" client.py < say > heard & client=$!
exec 9> say
asked=0
ask() {
  echo x >&9; asked=$((asked + 1))
  for i in $(seq 100); do [ "$(wc -l < heard)" -ge $asked ] && break; sleep .1; done
  echo "$1: $(sed -n "${asked}s/no answer: .*/no answer/p; ${asked}s/^[a-z]*$/&/p" heard)"
}
ask 'rules there' > seen
echo "seen by the server as $(cat peer)" >> seen
rule -t nat -D POSTROUTING 1; ask 'masquerade deleted' >> seen
rule -D FORWARD 1; ask 'conntrack rule deleted' >> seen
echo "entries: $(ip netns exec "$R" grep -c 'dport=7007' /proc/net/nf_conntrack || true)" >> seen
exec 9>&-; kill $server $client 2> /dev/null || true
cat seen
diff seen - <<'E' && echo "as described"
rules there: answered
seen by the server as 192.0.2.1
masquerade deleted: answered
conntrack rule deleted: no answer
entries: 1
E
