#!/bin/bash
# GoBGP 3.10.0 (Debian 12): one line of the file changed, then SIGHUP; what the neighbour (BIRD 2.0.12) hears. Needs root, both packages.
#
# Seen, a session that is up, one change in the file at a time
#   changed                                            the neighbour hears
#   nothing                                            nothing
#   description of the neighbour                       Cease, Other Configuration Change (6/6): the session ends
#   idle-hold-time-after-reset, which acts only        nothing
#     after the session has ended
#   hold-time                                          nothing: the session goes on with the 90 s of before
#   `as` of the router itself                          6/6: every session ends; `gobgp global` goes on saying the former AS
#
# Guess: a description is for people, and everybody else takes it without a word to the neighbour; a hold time is agreed in OPEN, so it needs a
# reset, or a word that it has to wait for one; an AS that sessions are ended for is the router's from then on.
#
# What to do: leave descriptions of a running GoBGP alone, or change them when a reset does not matter; after a change of timers or AS
# ask the neighbour what it agreed to.
set -uo pipefail
command -v gobgpd > /dev/null && [ "$(gobgpd --version | grep -o '3\.10\.0')" = 3.10.0 ] && command -v bird > /dev/null || { echo 'needs gobgpd 3.10.0 and bird2'; exit 2; }
dir=$(mktemp -d); a=gohup-a-$$ b=gohup-b-$$ go=
stop() { [ -n "$go" ] && kill "$go" 2> /dev/null && wait "$go" 2> /dev/null; go=; [ -s "$dir/bird.pid" ] && kill "$(cat "$dir/bird.pid")"; sleep .5; rm -f "$dir"/bird.*; }
trap 'stop; ip netns del $a 2> /dev/null; ip netns del $b 2> /dev/null; rm -rf "$dir"' EXIT
cd "$dir"
ip netns add $a && ip netns add $b && ip -n $a link add eth0 type veth peer name eth0 netns $b || exit 2
for n in $a $b; do ip -n $n link set lo up; ip -n $n link set eth0 up; done
ip -n $a addr add 192.0.2.1/24 dev eth0; ip -n $b addr add 192.0.2.2/24 dev eth0
cat > b.conf <<'E'
router id 192.0.2.2; protocol device {} log "bird.log" all;
protocol bgp p { local 192.0.2.2 as 65002; neighbor 192.0.2.1 as 65001; hold time 90; ipv4 { import all; export none; }; connect delay time 1; connect retry time 2; error wait time 1,2; }
E
try() { # WHAT SED
  cat > go.toml <<'E'
[global.config]
  as = 65001
  router-id = "192.0.2.1"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "192.0.2.2"
    peer-as = 65002
    description = "a"
  [neighbors.timers.config]
    hold-time = 90
    idle-hold-time-after-reset = 30
E
  ip netns exec $a gobgpd -f go.toml --log-plain > go.log 2>&1 & go=$!
  ip netns exec $b bird -c b.conf -s bird.ctl -P bird.pid || exit 2
  for _ in $(seq 60); do birdc -s bird.ctl show protocols p | grep -q Established && break; sleep .5; done
  birdc -s bird.ctl show protocols p | grep -q Established || { cat go.log; exit 2; }
  sed -i "$2" go.toml; kill -HUP $go; sleep 5
  local heard; heard=$(grep -o 'Received: .*' bird.log | sort -u | paste -sd,)
  echo "$1: ${heard:-nothing}; hold time at the neighbour: $(birdc -s bird.ctl show protocols all p | grep -oE 'Hold timer: .*/[0-9]+' | sed 's|.*/||'); global AS: $(ip netns exec $a gobgp global | awk '/^AS:/ { print $2 }')"
  stop
}
{
  try nothing ''; try description 's/"a"/"b"/'; try idle-hold-time 's/reset = 30/reset = 40/'
  try hold-time 's/hold-time = 90/hold-time = 30/'; try as 's/^  as = 65001/  as = 65011/'
} | tee seen
cat > expected <<'X'
nothing: nothing; 90; 65001
description: Received: Other configuration change; 65001
idle-hold-time: nothing; 90; 65001
hold-time: nothing; 90; 65001
as: Received: Other configuration change; 65001
X
if sed -E 's/hold time at the neighbour: //; s/global AS: //; s/(change); [0-9]*;/\1;/' seen | diff expected -; then echo HOLDS; else echo CHANGED; exit 1; fi
