#!/bin/bash
# iproute2 6.1.0 (Debian 12; 6.15.0 of Debian 13 where said), kernel 6.18: `tc -j` beside `tc`, of the token bucket that shapes a pod. Needs root.
#
# Seen, `tbf rate 8mbit burst 10kb peakrate 16mbit mtu 1500 latency 50ms`
#   text     rate 8Mbit burst 10Kb peakrate 16Mbit minburst 1498b lat 50ms
#   -j       "rate":1000000, "burst":10240, "minburst":1498, "lat":50000       (6.15 too)
#   so       no "peakrate" at all; the rate in octets a second where the text has bits, the latency in microseconds; the minburst of 1,500 asked
#            for is 1,498 (6.15: 1,499), since it went through time at the peak rate and back
#   -j of an htb class: text, not JSON (6.1; 6.15 writes JSON, with "rate" and "ceil" in octets)
#
# Guess: JSON holds what the text holds, in the unit in which one writes it (bits: `rate 8000000` is bits), or with the unit in the name.
#
# What to do: read rates as octets; do not take an absent peakrate for none, ask netlink (TCA_TBF_PARMS, TCA_TBF_PRATE64) or the text; compare
# sizes within a few octets of what was asked, or a loop that repairs drift never ends.
set -uo pipefail
command -v tc > /dev/null && tc -V | grep -q 'iproute2-6\.1\.0' || { echo 'needs iproute2 6.1.0'; exit 2; }
ns=tcjson-$$; dir=$(mktemp -d)
trap 'ip netns del $ns 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add $ns && ip -n $ns link add v0 type veth peer name v1 || exit 2
tc() { ip netns exec $ns tc "$@"; }
tc qdisc add dev v0 root handle 1: tbf rate 8mbit burst 10kb latency 50ms peakrate 16mbit mtu 1500 || exit 2
tc qdisc add dev v1 root handle 1: htb && tc class add dev v1 parent 1: classid 1:1 htb rate 8mbit ceil 16mbit burst 10k cburst 20k || exit 2
{
  tc qdisc show dev v0 | grep -o 'rate.*ms'
  tc -j qdisc show dev v0 | grep -o '"options":{[^}]*}'
  tc -j class show dev v1 | cut -c1-15
} | tee "$dir/seen"
cat > "$dir/expected" <<'X'
rate 8Mbit burst 10Kb peakrate 16Mbit minburst 1498b lat 50ms
"options":{"rate":1000000,"burst":10240,"minburst":1498,"lat":50000}
class htb 1:1 r
X
if diff "$dir/expected" "$dir/seen"; then echo HOLDS; else echo CHANGED; exit 1; fi
