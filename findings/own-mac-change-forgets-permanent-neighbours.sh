#!/bin/bash
# Linux 6.18, iproute2 6.1.0: what happens to neighbour entries that somebody wrote as permanent, when only the interface at this end is
# touched. Needs root; makes a namespace.
#
# Seen, a veth with permanent entries of 192.0.2.9 and 2001:db8::9, addresses and routes left alone
#                                               permanent entries      told by RTM_DELNEIGH
#   the other end goes down, and up again       stay                   -
#   `ip link set v0 address ...` (own MAC)      gone, both families    yes
#   `ip link set v0 arp off`, then `arp on`     gone, both families    yes
#   `ip link set v0 mtu 1300`                   stay                   -
#
# Guess: permanent means until somebody deletes it or the interface goes; the neighbours' addresses have not changed because ours has, and
# with a new MAC of ours it is theirs, not ours, that have to learn. Routes and addresses do stay, so all looks well in `ip route`.
#
# What to do: whoever answers for a neighbour that does not speak ARP (a pod behind 169.254.1.1, a router known by hand) writes its entries
# after the MAC address and the flags, and writes them again when RTM_NEWLINK shows another of these. Pods whose plugin sets a MAC address
# after the entries have no gateway.
set -uo pipefail
command -v ip > /dev/null || exit 2
ns=permneigh-$$; dir=$(mktemp -d)
trap 'ip netns del $ns 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add $ns || exit 2
try() { # NAME COMMAND...
  local name=$1; shift
  ip -n $ns link del v0 2> /dev/null
  ip -n $ns link add v0 type veth peer name v1 && ip -n $ns link set v0 up && ip -n $ns link set v1 up || exit 2
  ip -n $ns addr add 192.0.2.1/24 dev v0; ip -n $ns addr add 2001:db8::1/64 dev v0 nodad
  for address in 192.0.2.9 2001:db8::9; do ip -n $ns neigh add $address lladdr 02:00:5e:00:53:09 dev v0 nud permanent || exit 2; done
  ip netns exec $ns stdbuf -oL ip monitor neigh > "$dir/told" & local monitor=$!
  sleep .5
  for change in "$@"; do ip -n $ns link set $change || exit 2; sleep .3; done
  kill $monitor
  echo "$name: $(ip -n $ns neigh show dev v0 nud permanent | awk '{ print $1 }' | sort | paste -sd' '); told: $(grep -c '^Deleted .*PERMANENT' "$dir/told")"
}
{
  try carrier 'v1 down' 'v1 up'
  try mac 'v0 address 02:00:5e:00:53:01'
  try arp 'v0 arp off' 'v0 arp on'
  try mtu 'v0 mtu 1300'
} | tee "$dir/seen"
cat > "$dir/expected" <<'X'
carrier: 192.0.2.9 2001:db8::9; told: 0
mac: ; told: 2
arp: ; told: 2
mtu: 192.0.2.9 2001:db8::9; told: 0
X
if diff "$dir/expected" "$dir/seen"; then echo HOLDS; else echo CHANGED; exit 1; fi
