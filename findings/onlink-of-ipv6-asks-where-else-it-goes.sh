#!/bin/bash
# Linux 6.18 (tried with iproute2 6.1): a route with a gateway and `onlink`, which says "take this gateway to be on that link, whatever the
# addresses there". Needs root; works in a network namespace of its own.
#
# Seen, gateway reached so far over another interface by
#                                     IPv4       IPv6
#   that interface's own prefix       accepted   "Nexthop has invalid gateway or device mismatch"
#   a route to a prefix around it     accepted   the same refusal
#   the default route alone           accepted   accepted
# The order decides: with the onlink route first and the other route after it, IPv6 has both and uses the onlink one. A /128 of the gateway
# itself on the wanted link, added before, makes IPv6 accept it.
#
# Guess: as IPv4: onlink switches off the question where the gateway is; RTNH_F_ONLINK is described so, and for both families.
#
# What to do: whoever writes IPv6 routes to gateways that are on no subnet (tunnels, unnumbered links, link addresses of other racks) cannot
# count on onlink: a route learned meanwhile for a prefix around the gateway turns the next write into EINVAL, also the rewrite of a route that
# stood. Choose gateways that no route can cover (link-local ones), or give the gateway a /128 on its link first and keep it as long.
set -euo pipefail
command -v ip > /dev/null || exit 2
[ "$(id -u)" = 0 ] || { echo 'needs root'; exit 2; }
ns=onlink-$$; dir=$(mktemp -d)
trap 'ip netns del "$ns" 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add "$ns"
net() { ip -n "$ns" "$@"; }
for link in here there; do
  net link add name "$link" type veth peer name "$link-end"
  net link set "$link" up; net link set "$link-end" up
done
net addr add 192.0.2.1/25 dev there; net addr add 2001:db8:1::1/64 dev there nodad
net route add 198.51.100.0/24 via 192.0.2.2 dev there; net -6 route add 2001:db8:2::/48 via 2001:db8:1::2 dev there
net route add default via 192.0.2.2 dev there; net -6 route add default via 2001:db8:1::2 dev there
try() { if net "$@" 2> "$dir/why"; then echo accepted; else sed 's/^Error: //' "$dir/why"; fi; }
{
  echo "prefix of the other link: $(try route add 203.0.113.1/32 via 192.0.2.9 dev here onlink) / $(try -6 route add 2001:db8:f::1/128 via 2001:db8:1::9 dev here onlink)"
  echo "route around it: $(try route add 203.0.113.2/32 via 198.51.100.9 dev here onlink) / $(try -6 route add 2001:db8:f::2/128 via 2001:db8:2::9 dev here onlink)"
  echo "default alone: $(try route add 203.0.113.3/32 via 203.0.113.99 dev here onlink) / $(try -6 route add 2001:db8:f::3/128 via 2001:db8:3::9 dev here onlink)"
  echo "the route around it afterwards: $(try -6 route add 2001:db8:3::/48 via 2001:db8:1::2 dev there), used: $(net -6 route get 2001:db8:f::3 | grep -o 'dev [a-z]*')"
  net -6 route add 2001:db8:2::9/128 dev here
  echo "with a /128 of the gateway: $(try -6 route add 2001:db8:f::2/128 via 2001:db8:2::9 dev here onlink)"
} | tee "$dir/seen"
diff "$dir/seen" - <<'E2' && echo 'as described'
prefix of the other link: accepted / Nexthop has invalid gateway or device mismatch.
route around it: accepted / Nexthop has invalid gateway or device mismatch.
default alone: accepted / accepted
the route around it afterwards: accepted, used: dev here
with a /128 of the gateway: accepted
E2
