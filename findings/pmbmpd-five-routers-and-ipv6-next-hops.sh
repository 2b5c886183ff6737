#!/bin/bash
# pmbmpd of pmacct 1.7.8 (Debian trixie): how many routers it takes, and IPv4 routes with IPv6 next hops (RFC 8950) in BMP.
#
# Seen, default settings, routers 127.0.0.1 to 127.0.0.6 connect in turn, each with Initiation, Peer Up and one Route Monitoring message of an
# UPDATE whose MP_REACH_NLRI says 198.51.100.0/24 via 2001:db8::1, and one of 2001:db8:5::/48 via the same
#   CONFIG-KEYS of the same package     "bmp_daemon_max_peers ... DEFAULT: 10"
#   the daemon's log                    "maximum BMP peers allowed: 4"
#   routers one to four                 read
#   routers five and six                the connection is accepted and closed again; one line in the log, "Insufficient number of BMP peers ..."
#   198.51.100.0/24                     "bgp_nexthop": "" - the prefix, AS path and communities are right
#   2001:db8:5::/48                     "bgp_nexthop": "2001:db8::1"
#
# Why a good guess is wrong: the manual's number is taken for the program's, and a fifth router is far from ten. A prefix that is read with all
# else right is taken for read whole: with an empty next hop a collector of a fabric of unnumbered links looks as if the routers sent none.
#
# What to do: set bmp_daemon_max_peers (bgp_daemon_max_peers has the same default) to what you have and look for that line in the log; do not
# build on bgp_nexthop for IPv4 where RFC 8950 is in use.
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
deb root trixie 'pmacct=1.7.8-2*'
gzip -dc root/usr/share/doc/pmacct/CONFIG-KEYS.gz | grep -A14 'bmp_daemon_max_peers \]' | grep -m1 DEFAULT | tr -s '\t ' ' ' | sed 's/^/manual: /' > first
cat > drive.py <<'E'
import json, re, socket, struct, subprocess, time
open('root/run/pm/conf', 'w').write('daemonize: false\nbmp_daemon_ip: 127.0.0.1\nbmp_daemon_port: 5002\nbmp_daemon_msglog_output: json\nbmp_daemon_msglog_file: /run/pm/out.json\nlogfile: /run/pm/log\n')
daemon = subprocess.Popen(['chroot', 'root', '/usr/sbin/pmbmpd', '-f', '/run/pm/conf'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def bgp(kind, body): return b'\xff' * 16 + struct.pack('>HB', 19 + len(body), kind) + body
def bmp(kind, body): return struct.pack('>BIB', 3, 6 + len(body), kind) + body
peer = bytes(2) + bytes(8) + bytes(12) + socket.inet_aton('192.0.2.2') + struct.pack('>I', 65002) + socket.inet_aton('192.0.2.2') + struct.pack('>II', 1796073969, 0)
caps = bytes([1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0xfd, 0xea, 5, 6, 0, 1, 0, 1, 0, 2])
opening = bgp(1, struct.pack('>BHH', 4, 65002, 90) + socket.inet_aton('192.0.2.2') + bytes([2 + len(caps), 2, len(caps)]) + caps)
hop = socket.inet_pton(socket.AF_INET6, '2001:db8::1')
def update(afi, nlri):
    reach = struct.pack('>HBB', afi, 1, 16) + hop + b'\0' + nlri
    attributes = bytes([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1]) + struct.pack('>I', 65002) + bytes([0x80, 14, len(reach)]) + reach
    return bgp(2, b'\0\0' + struct.pack('>H', len(attributes)) + attributes)
stream = bmp(4, struct.pack('>HH', 2, 1) + b'r' + struct.pack('>HH', 1, 1) + b'd')
stream += bmp(3, peer + bytes(12) + socket.inet_aton('192.0.2.1') + struct.pack('>HH', 179, 40000) + opening + opening)
stream += bmp(0, peer + update(1, bytes([24, 198, 51, 100]))) + bmp(0, peer + update(2, bytes([48]) + socket.inet_pton(socket.AF_INET6, '2001:db8:5::')[:6]))
sockets = []
for i in range(1, 7):
    for _ in range(60):
        s = socket.socket(); s.bind(('127.0.0.%d' % i, 0))
        try: s.connect(('127.0.0.1', 5002)); break
        except OSError: s.close(); time.sleep(.3)
    s.sendall(stream); sockets.append(s); time.sleep(1)
state = []
for s in sockets:
    s.settimeout(1)
    try: state.append('closed' if s.recv(1) == b'' else 'open')
    except TimeoutError: state.append('open')
    except OSError: state.append('closed')
time.sleep(2); daemon.kill(); daemon.wait()
print('log:', re.search('maximum BMP peers allowed: [0-9]+', open('root/run/pm/log').read()).group(0))
print('routers:', *state)
routes = {}
for line in open('root/run/pm/out.json'):
    m = json.loads(line)
    if m.get('log_type') == 'update': routes[m['ip_prefix']] = m['bgp_nexthop']
for prefix, via in sorted(routes.items()): print(prefix, 'next hop "%s"' % via)
E
cat > inside <<'E'
ip link set lo up; mount --bind /dev root/dev; mount -t proc proc root/proc; mkdir -p root/run/pm root/tmp root/var
cat first; python3 drive.py
E
unshare --net --mount --pid --fork --kill-child bash inside | tee seen
diff seen - <<'E' && echo "as described"
manual: DEFAULT: 10
log: maximum BMP peers allowed: 4
routers: open open open open closed closed
198.51.100.0/24 next hop ""
2001:db8:5::/48 next hop "2001:db8::1"
E
