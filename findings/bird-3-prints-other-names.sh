#!/bin/bash
# BIRD 3.4.0 beside 2.20.0 (both Debian sid): what birdc prints about one and the same route and session.
#
# Seen, two BIRDs with the same two configurations, a static route with communities from one to the other, `birdc ... all`:
#                                        2.20.0                      3.4.0
#   attributes of a route                BGP.as_path: 65002          bgp_path: 65002
#                                        BGP.large_community: ...    bgp_large_community: ...
#   first line below the route           Type: BGP univ              source: BGP, and it is not the first
#   indented line of a recursive route   none                        hostentry: via 192.0.2.2 table master4
#   `show protocols all`, line two       BGP state:                  Created:
#   Export updates, "ignored"            ---                         a number
#   a configuration of 2.20.0            -                           read without a word of change
#
# Why a good guess is wrong: the configuration file, the socket and `show protocols` are the same, so a scraper or
# a looking glass seems to work: its routes have just lost all attributes, silently, as "BGP\." matches nothing. The new names are not simply
# the old ones in lower case: BGP.as_path is bgp_path, while BGP.next_hop is bgp_next_hop.
#
# What to do: match both (`(BGP\.as_path|bgp_path):`), find lines by name and not by position, and let a parser that finds a route without a
# single attribute say so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
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
deb two sid 'bird2=2.20.0-*'
deb three sid 'bird3=3.4.0-*'
cat > inside <<'E'
root=$1; ip link set lo up; ip addr add 192.0.2.1/32 dev lo; ip addr add 192.0.2.2/32 dev lo
mount --bind /dev $root/dev; mount -t proc proc $root/proc; mkdir -p $root/run/b
for n in 1 2; do other=$((3 - n))
  cat > $root/run/b/$n.conf <<F
router id 192.0.2.$n;
protocol device {}
protocol static { ipv4; $([ $n = 1 ] || echo 'route 198.51.100.0/24 blackhole { bgp_community.add((65002, 7)); bgp_large_community.add((65002, 8, 9)); };') }
protocol bgp peer { local 192.0.2.$n as 6500$n; neighbor 192.0.2.$other as 6500$other; multihop; strict bind; connect delay time 1; ipv4 { import all; export all; }; }
F
  chroot $root /usr/sbin/bird -c /run/b/$n.conf -s /run/b/$n.ctl -P /run/b/$n.pid; done
ask() { chroot $root /usr/sbin/birdc -s /run/b/1.ctl "$@"; }
for i in $(seq 60); do ask show route | grep -q 198.51.100 && break; sleep .5; done
ask show route all > route; ask show protocols all peer > session
kill $(cat $root/run/b/*.pid)
echo "old names: $(grep -c 'BGP\.' route || true)"
echo "path: $(grep -o '[A-Za-z_.]*path: 65002' route)"
echo "large: $(grep -o '[A-Za-z_.]*large_community: .*' route)"
echo "below the route: $(grep -A1 '^198.51' route | tail -1 | tr -d '\t' | cut -d: -f1)"
echo "below the session: $(grep -A1 '^peer' session | tail -1 | sed 's/^ *//' | cut -d: -f1)"
echo "ignored exports: $(grep 'Export updates' session | awk '{ print ($6 == "---" ? "---" : "a number") }')"
E
for version in two three; do echo "== $version"; unshare --net --mount --pid --fork --kill-child bash inside $version 2> errors; done | tee seen
diff seen - <<'E' && echo "as described"
== two
old names: 6
path: BGP.as_path: 65002
large: BGP.large_community: (65002, 8, 9)
below the route: Type
below the session: BGP state
ignored exports: ---
== three
old names: 0
path: bgp_path: 65002
large: bgp_large_community: (65002, 8, 9)
below the route: hostentry
below the session: Created
ignored exports: a number
E
