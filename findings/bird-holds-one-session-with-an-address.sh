#!/bin/bash
# BIRD 2.0.12 (Debian 12), beside 2.17 and 3.1 (Debian 13): two protocols with one neighbour address, from two addresses of our own. Needs root.
#
# Seen, BIRD with 192.0.2.2 and 192.0.2.3, its neighbour with 192.0.2.1 alone, `strict bind`, another AS for each; in 2.17 and 3.1 both are up
#   protocol p2 { local 192.0.2.2; neighbor 192.0.2.1; }     Established
#   protocol p3 { local 192.0.2.3; neighbor 192.0.2.1; }     "start", "Idle", for ever; no word in the log, no last error; the neighbour's
#                                                            connections to 192.0.2.3 are taken and closed at once
#   birdc disable p2                                         p3 comes up within seconds
# The other way round, one own address and two addresses of the neighbour, both are up.
#
# Guess: two sessions. A BGP session is known by both its addresses (and FRR, GoBGP and OpenBGPD, which know neighbours by theirs alone,
# refuse or replace the second when it is configured).
#
# Why: a protocol takes a lock of the neighbour's address and port before it starts, so that two never dial one; who has it not, waits.
#
# What to do: where a router has two addresses on a link, let the peer have two as well; or take one address of the router, such as its
# loopback's. "Idle" without a last error, while another protocol has the address, is this.
set -uo pipefail
dir=$(mktemp -d); a=birdlock-a-$$ b=birdlock-b-$$
stop() { for f in "$dir"/*.pid; do [ -s "$f" ] && kill "$(cat "$f")" 2> /dev/null; done; sleep .5; rm -f "$dir"/*.pid; }
trap 'stop; ip netns del $a 2> /dev/null; ip netns del $b 2> /dev/null; rm -rf "$dir"' EXIT
cd "$dir"
# deb ROOT SUITE PACKAGE...: packages with all that they depend on, unpacked into ROOT; none of their own scripts is run
deb() { local root=$1 suite=$2 a=$dir/apt-$2; shift 2
  mkdir -p "$a/lists/partial" "$a/parts" "$root"; : > "$a/status"; rm -rf "$a/cache"; mkdir -p "$a/cache/archives/partial"
  local mirror; mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$a/list"
  local apt=(apt-get -qq -o Dir::Etc::SourceList="$a/list" -o Dir::Etc::SourceParts="$a/parts" -o Dir::Etc::PreferencesParts="$a/parts" -o Dir::State="$a"
    -o Dir::State::status="$a/status" -o Dir::Cache="$a/cache" -o APT::Sandbox::User=root -o APT::Install-Recommends=0)
  { "${apt[@]}" update && "${apt[@]}" -y --download-only install "$@" base-files; } > "$a/log" 2>&1 || { cat "$a/log"; return 1; }
  local p; for p in "$a"/cache/archives/base-files*.deb "$a"/cache/archives/*.deb; do dpkg -x "$p" "$root"; done; }
deb two bookworm 'bird2=2.0.12-*' && deb later trixie bird2 && deb three trixie 'bird3=3.1*' || exit 2
ip netns add $a && ip netns add $b && ip -n $a link add eth0 type veth peer name eth0 netns $b || exit 2
for n in $a $b; do ip -n $n link set lo up; ip -n $n link set eth0 up; done
ip -n $a addr add 192.0.2.1/24 dev eth0; for n in 2 3; do ip -n $b addr add 192.0.2.$n/24 dev eth0; done
session() { echo "protocol bgp p$4 { local $1 as $2; neighbor $3; strict bind on; ipv4 { import all; export none; }; connect delay time 1; connect retry time 2; error wait time 1,2; }"; }
{ echo 'router id 192.0.2.2; protocol device {} log "b.log" all;'; session 192.0.2.2 65002 '192.0.2.1 as 65001' 2; session 192.0.2.3 65003 '192.0.2.1 as 65001' 3; } > b.conf
{ echo 'router id 192.0.2.1; protocol device {} log "a.log" all;'; session 192.0.2.1 65001 '192.0.2.2 as 65002' 2; session 192.0.2.1 65001 '192.0.2.3 as 65003' 3; } > a.conf
bird() { local n=$1 root=$2 which=$3; ip netns exec "$n" "$dir/$root/lib64/ld-linux-x86-64.so.2" --library-path "$dir/$root/usr/lib/x86_64-linux-gnu:$dir/$root/lib/x86_64-linux-gnu" \
  "$dir/$root/usr/sbin/bird" -c $which.conf -s $which.ctl -P $which.pid; }
birdc() { local root=$1; shift; "$dir/$root/lib64/ld-linux-x86-64.so.2" --library-path "$dir/$root/usr/lib/x86_64-linux-gnu:$dir/$root/lib/x86_64-linux-gnu" \
  "$dir/$root/usr/sbin/birdc" -s b.ctl "$@"; }
up() { birdc "$1" show protocols | awk '$1 ~ /^p[23]$/ && /Established/ { printf "%s ", $1 }'; }
for root in two later three; do
  bird $a $root a && bird $b $root b || exit 2
  sleep 12; first=$(up $root)
  sleep 8; [ "$(up $root)" = "$first" ] || echo 'it moves'
  echo "$root: up: ${first:-none}; waiting: $(birdc $root show protocols | awk '$1 ~ /^p[23]$/ && !/Established/ { print $4 == "start", $6, $7 }' | tr -s ' ' | sed 's/ $//')"
  birdc $root disable p2 > /dev/null; sleep 12; echo "$root: then up: $(up $root)"
  stop; rm -f ./*.ctl
done | tee seen
{ echo 'two: up: p2 ; waiting: 1 Idle'; echo 'two: then up: p3 '
  for root in later three; do echo "$root: up: p2 p3 ; waiting: "; echo "$root: then up: p3 "; done; } > expected
if diff expected seen; then echo HOLDS; else cat b.log; echo CHANGED; exit 1; fi
