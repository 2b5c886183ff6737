#!/bin/bash
# FRR 10.3 (Debian trixie) and 10.7.1 (sid; SUITE=sid runs this there) beside 8.4.4 (bookworm): zebra with a configuration file, without mgmtd.
#
# Seen, /etc/frr/zebra.conf with an address for an interface and a router id, zebra started by hand with that file, no other daemon of FRR:
#                                        8.4.4      10.3, 10.7.1
#   the address is on the interface      yes        no
#   zebra ends, or its socket is silent  no         no: bgpd connects to it and works
#   the log                              quiet      once per line of the file "No such command on config line 2: interface d0"; then, for ever,
#                                                   more than a hundred lines a second, "BE-client: msg_conn_send_msg: can't send message on
#                                                   closed connection" and "oper_walk_done: ERROR: Error notifying for datastore path"
#   after mgmtd, started the same way    (none)     the address is there; mgmtd has no option -f and reads zebra.conf in FRR's own folder by itself
#
# Why a good guess is wrong: a container or a test that starts zebra and bgpd by hand, with a file each, has worked for a decade, and bgpd still
# reads its own. "No such command" about `interface d0` looks like a mistake in the file or a build without something, and the flood after it like a
# broken netlink socket; the file is right, and giving mgmtd the file as one gives it to all others ends with "invalid option -- 'f'".
#
# What to do: start mgmtd before zebra wherever FRR 10 is started without its own scripts, with the files in FRR's own folder; where zebra needs no
# configuration, it works without mgmtd, but send its log elsewhere than to a disk that counts.
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
deb old bookworm 'frr=8.4.4-*'
case ${SUITE:=trixie} in trixie) deb new trixie 'frr=10.3-3*';; *) deb new "$SUITE" 'frr=10.7.1-*';; esac
cat > inside <<'E'
root=$1 with=$2
ip link set lo up; ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up
printf 'root:x:0:0::/:/bin/sh\nfrr:x:1:1::/:/bin/sh\n' > $root/etc/passwd; printf 'root:x:0:\nfrr:x:1:\nfrrvty:x:2:frr\n' > $root/etc/group
mount --bind /dev $root/dev; mount -t proc proc $root/proc; rm -rf $root/run/frr; mkdir -p $root/run/frr $root/var/tmp $root/var/lib/frr $root/etc/frr; [ -e $root/var/run ] || ln -s /run $root/var/run
cat > $root/etc/frr/zebra.conf <<'F'
hostname router
interface d0
 ip address 192.0.2.7/24
!
ip router-id 192.0.2.7
F
chown -R 1:1 $root/run/frr $root/var/lib/frr $root/etc/frr
start() { local name=$1; shift; chroot $root /usr/lib/frr/$name "$@" -i /run/frr/$name.pid --vty_socket /run/frr -A 127.0.0.1 -u frr -g frr --log stdout --log-level warnings > $name.log 2>&1 & }
flood() { grep -c 'closed connection\|oper_walk_done' zebra.log || true; }
if [ $with = mgmtd ]; then start mgmtd; sleep 3; fi
start zebra -f /etc/frr/zebra.conf; sleep 4; before=$(flood); sleep 5; lines=$(( $(flood) - before ))
echo "# $lines lines in 5 s"
is() { if "$@" > /dev/null; then echo yes; else echo no; fi; }
echo "address on the interface: $(ip addr show d0 | is grep 192.0.2.7)"
echo "no such command: $(is grep 'No such command on config line' zebra.log)"
echo "zebra runs: $(is kill -0 %+)"
echo "flood: $([ $lines -gt 500 ] && echo yes || echo no)"
E
run() { echo "== $1 $3"; unshare --net --mount --pid --fork --kill-child bash inside "$2" "$3" 2>errors; }
{ run 8 old alone; run 10 new alone; run 10 new mgmtd; } | tee all; grep -v '^#' all > seen
diff seen - <<'E' && echo "as described"
== 8 alone
address on the interface: yes
no such command: no
zebra runs: yes
flood: no
== 10 alone
address on the interface: no
no such command: yes
zebra runs: yes
flood: yes
== 10 mgmtd
address on the interface: yes
no such command: yes
zebra runs: yes
flood: no
E
