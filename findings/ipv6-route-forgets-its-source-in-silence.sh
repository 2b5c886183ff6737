#!/bin/bash
# Linux 6.18, iproute2 6.1.0: routes with a preferred source (`src`, RTA_PREFSRC) when that address is taken off and put back. Needs root.
#
# Seen, `route ... src 192.0.2.9` and `route ... src 2001:db8:9::9`, both addresses on lo, `ip monitor route` listening
#                              IPv4                         IPv6                              IPv6 through a nexthop object
#   the address goes           the route goes, and is told  the route stays without source,   the route stays, source and all; a socket that
#                                                           and nobody is told                connects gets the address that is not there
#   the address comes back     the route does not           the source does not
#
# Guess: one behaviour for both families, with an object or without; we had guessed that both go, and that IPv4 goes in silence, as it does
# when a link goes down.
#
# What to do: whoever keeps routes with a source (a node that speaks with its loopback's address) takes RTM_DELADDR for a reason to read and
# write its IPv6 routes again; a listener of routes alone never hears that packets leave with another address now, or with one that is gone.
set -uo pipefail
command -v ip > /dev/null || exit 2
ns=prefsrc-$$; dir=$(mktemp -d)
trap 'ip netns del $ns 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add $ns && ip -n $ns link add v0 type veth peer name v1 || exit 2
for link in lo v0 v1; do ip -n $ns link set $link up; done
ip -n $ns addr add 192.0.2.1/24 dev v0; ip -n $ns addr add 2001:db8::1/64 dev v0 nodad
own() { ip -n $ns addr "$1" 192.0.2.9/32 dev lo; ip -n $ns addr "$1" 2001:db8:9::9/128 dev lo; }
own add
ip -n $ns route add 198.51.100.0/24 via 192.0.2.2 src 192.0.2.9 && ip -n $ns -6 route add 2001:db8:5::/64 via 2001:db8::2 src 2001:db8:9::9 || exit 2
ip -n $ns nexthop add id 7 via 2001:db8::2 dev v0 && ip -n $ns -6 route add 2001:db8:6::/64 nhid 7 src 2001:db8:9::9 || exit 2
python=$(command -v /usr/bin/python3 || command -v python3) || exit 2
source_to() { ip netns exec $ns "$python" -c 'import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.connect((sys.argv[1], 9)); print(s.getsockname()[0])' "$1"; }
ip netns exec $ns stdbuf -oL ip monitor route > "$dir/told" & monitor=$!
sleep 1
own del; sleep 1
without="$(source_to 2001:db8:5::1) $(source_to 2001:db8:6::1)"
own add; sleep 1
kill $monitor
{
  echo "IPv4 told: $(grep -c 'Deleted 198.51.100.0/24' "$dir/told")"
  echo "IPv6 told: $(grep -c '2001:db8:5::/64' "$dir/told")"
  echo "object told: $(grep -c '2001:db8:6::/64' "$dir/told")"
  echo "sources meanwhile, without and with object: $without"
  echo "IPv4 now: $(ip -n $ns route show 198.51.100.0/24)"
  echo "IPv6 now: $(ip -n $ns -6 route show 2001:db8:5::/64)"
} | sed 's/ *$//' | tee "$dir/seen"
cat > "$dir/expected" <<'X'
IPv4 told: 1
IPv6 told: 0
object told: 0
sources meanwhile, without and with object: 2001:db8::1 2001:db8:9::9
IPv4 now:
IPv6 now: 2001:db8:5::/64 via 2001:db8::2 dev v0 metric 1024 pref medium
X
if diff "$dir/expected" "$dir/seen"; then echo HOLDS; else echo CHANGED; exit 1; fi
