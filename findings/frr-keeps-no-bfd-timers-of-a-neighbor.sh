#!/bin/bash
# FRR 8.4.4 (Debian 12) and 10.3 (Debian 13): `neighbor X bfd MULTIPLIER RECEIVE TRANSMIT`, and what stands after `write` and a restart.
#
# Seen, the same in both
#   neighbor 192.0.2.2 bfd 5 200 200      taken without a word
#   show running-config                   neighbor 192.0.2.2 bfd
#   so after `write`                      3 times 300 ms again; and frr-reload.py, which compares the file with what is shown, takes
#                                         the line away and gives it back at each run, though nothing has changed
#   neighbor 192.0.2.2 bfd profile P      shown, saved
#
# Guess: what a line takes and acts on is written back by `write`, as is true of `neighbor X timers 3 9` one line above.
#
# What to do: a profile (`bfd`, `profile P`, `detect-multiplier`, `transmit-interval`, `receive-interval`) and `neighbor X bfd profile P`.
set -uo pipefail
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
deb old bookworm 'frr=8.4.4-*' && deb new trixie 'frr=10.3-3*' || exit 2
cat > inside <<'E'
root=$1; ip link set lo up
printf 'root:x:0:0::/:/bin/sh\nfrr:x:1:1::/:/bin/sh\n' > $root/etc/passwd; printf 'root:x:0:\nfrr:x:1:\nfrrvty:x:2:frr\n' > $root/etc/group
mount --bind /dev $root/dev; mount -t proc proc $root/proc; mkdir -p $root/run/frr $root/etc/frr
cat > $root/etc/frr/bgpd.conf <<'F'
password x
enable password x
router bgp 64512
 neighbor 192.0.2.2 remote-as 65001
 neighbor 192.0.2.2 timers 3 9
 neighbor 192.0.2.2 bfd 5 200 200
 neighbor 192.0.2.3 remote-as 65001
 neighbor 192.0.2.3 bfd profile P
F
chown -R 1:1 $root/run/frr $root/etc/frr
chroot $root /usr/lib/frr/bgpd -Z -u frr -g frr -f /etc/frr/bgpd.conf -i /run/frr/pid -A 127.0.0.1 --vty_socket /run/frr > log 2>&1 &
for _ in $(seq 50); do [ -S $root/run/frr/bgpd.vty ] && break; sleep .2; done; sleep 1
exec 3<> /dev/tcp/127.0.0.1/2605; printf '%s\n' x enable x 'terminal length 0' 'show running-config' exit >&3
timeout 5 cat <&3 | tr -d '\r\0' | grep -E '^ neighbor.*(bfd|timers)'
E
{ for root in old new; do echo "== $root"; unshare --net --mount --pid --fork --kill-child bash inside $root 2> errors; done; } | tee seen
for root in old new; do
  printf '== %s\n neighbor 192.0.2.2 bfd\n neighbor 192.0.2.2 timers 3 9\n neighbor 192.0.2.3 bfd\n neighbor 192.0.2.3 bfd profile P\n' $root
done > expected
if diff expected seen; then echo HOLDS; else cat errors log; echo CHANGED; exit 1; fi
