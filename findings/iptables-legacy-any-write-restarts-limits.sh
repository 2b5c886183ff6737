#!/bin/bash
# iptables 1.8.9 (Debian 12) on Linux 6.18, legacy beside nft: what a rule of somebody else does to the state of yours. Needs root.
#
# Seen, three rules that match three packets or connections and no more, one that matches every hundredth beginning with the first, and a hashlimit;
# how many of eight more packets they match after each step:
#                                                            connlimit, limit, quota, statistic nth, hashlimit
#                                                            legacy       nft
#   first eight                                              3 3 3 1 3    3 3 3 1 3
#   eight more                                               0 0 0 0 0    0 0 0 0 0
#   after `iptables-restore --noflush` of a rule in FORWARD  3 3 3 1 0    0 0 0 0 0
#   after `iptables -A OUTPUT -j ACCEPT`                     3 3 3 1 0    0 0 0 0 0
#   after a rule in table nat                                0 0 0 0 0    0 0 0 0 0
#
# Guess: a rule that nobody touched keeps its state; --noflush says just that, and the packet counters beside the rule do go on.
#
# Why: legacy iptables has no single-rule change: each one reads the whole table, and writes it back. The kernel builds every match of the new
# table from nothing (checkentry); only counters are carried over by userspace, and hashlimit's state, which has a name of its own.
#
# What to do: where anybody else writes to the table (kube-proxy, Docker, a CNI plugin: at every change of theirs), connlimit is no bound on
# connections: those that stand are no longer counted, and each write allows as many anew; `limit` and `quota` start full, nth starts over.
# Use hashlimit for rates, and for connection counts the nft backend, where rules are changed one by one.
set -uo pipefail
python=$(command -v /usr/bin/python3 || command -v python3) || exit 2
command -v iptables-legacy > /dev/null && command -v iptables-nft > /dev/null || exit 2
dir=$(mktemp -d) netns=iptstate-$$ sink=
trap '[ -n "$sink" ] && kill $sink 2> /dev/null; ip netns del "$netns" 2> /dev/null; rm -rf "$dir"' EXIT
cat > "$dir/sink.py" <<'P'
import socket, sys, time
held = []
for port in range(7001, 7006):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', port)); held.append(s)
open(sys.argv[1], 'w').close(); time.sleep(60)
P
cat > "$dir/send.py" <<'P'
import socket
for port in range(7001, 7006):
    for i in range(8): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))  # a source port, and entry, each
P
try() {
  local backend=$1 before='0 0 0 0 0' now
  ip netns add "$netns" && ip -n "$netns" link set lo up || exit 2
  ipt() { ip netns exec "$netns" "iptables-$backend" "$@"; }
  rm -f "$dir/ready"; ip netns exec "$netns" "$python" "$dir/sink.py" "$dir/ready" & sink=$!
  for i in $(seq 100); do [ -e "$dir/ready" ] && break; sleep .1; done
  ipt -A INPUT -p udp --dport 7001 -m connlimit --connlimit-upto 3 --connlimit-mask 0 &&
    ipt -A INPUT -p udp --dport 7002 -m limit --limit 1/hour --limit-burst 3 &&
    ipt -A INPUT -p udp --dport 7003 -m quota --quota 100 &&
    ipt -A INPUT -p udp --dport 7004 -m statistic --mode nth --every 100 --packet 0 &&
    ipt -A INPUT -p udp --dport 7005 -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 3 --hashlimit-name f --hashlimit-mode srcip || exit 2
  step() {
    ip netns exec "$netns" "$python" "$dir/send.py"
    now=$(ipt -nvxL INPUT | awk 'NR > 2 { printf "%s%s", sep, $1; sep = " " }')
    echo "$backend, $1: $(paste -d' ' <(tr ' ' '\n' <<< "$before") <(tr ' ' '\n' <<< "$now") | awk '{ printf "%s%d", sep, $2 - $1; sep = " " }')"
    before=$now
  }
  step 'first eight'
  step 'eight more'
  printf '*filter\n-A FORWARD -j ACCEPT\nCOMMIT\n' | ip netns exec "$netns" "iptables-$backend-restore" --noflush || exit 2
  step 'restore --noflush'
  ipt -A OUTPUT -j ACCEPT || exit 2
  step 'append elsewhere'
  ipt -t nat -A OUTPUT -j ACCEPT || exit 2
  step 'another table'
  kill $sink; wait $sink 2> /dev/null; sink=
  ip netns del "$netns"
}
echo 'matched more:       connlimit limit quota nth hashlimit'
try legacy > "$dir/seen"; try nft >> "$dir/seen"
cat "$dir/seen"
diff "$dir/seen" - <<'E' && echo 'as described'
legacy, first eight: 3 3 3 1 3
legacy, eight more: 0 0 0 0 0
legacy, restore --noflush: 3 3 3 1 0
legacy, append elsewhere: 3 3 3 1 0
legacy, another table: 0 0 0 0 0
nft, first eight: 3 3 3 1 3
nft, eight more: 0 0 0 0 0
nft, restore --noflush: 0 0 0 0 0
nft, append elsewhere: 0 0 0 0 0
nft, another table: 0 0 0 0 0
E
