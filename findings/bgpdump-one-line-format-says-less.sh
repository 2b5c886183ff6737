#!/bin/bash
# bgpdump 1.6.2 (Debian trixie), `-m` (one line each), TABLE_DUMP_V2 with and without path identifiers (RFC 8050).
#
# Seen, one IPv6 prefix and the router's own 203.0.113.0/24 without NEXT_HOP, both with a community and a large community:
#   RIB_IPV6_UNICAST            TABLE_DUMP2|time|B|peer|AS|prefix|AS path|origin|next hop|...
#   RIB_IPV6_UNICAST_ADDPATH    TABLE_DUMP2_AP|time|B|peer|AS|prefix|path id|AS path|origin|next hop|...: one column more, in the middle
#   a pair of next hops         the global one alone, in both formats
#     (RFC 2545, 32 octets)
#   no next hop                 255.255.255.255
#   the large community         nowhere in -m; without -m it is there ("LARGE_COMMUNITIES:")
#
# Why a good guess is wrong: nearly every script reads this format by column ("the seventh is the path"), and a line with ADD-PATH has a number there,
# which reads as a path of one AS. 255.255.255.255 reads as an address that somebody sent; and "-m" is taken for the same in one line, in
# which other attributes that a route may lack are left empty.
#
# What to do: look at the first column before you count; take 255.255.255.255 for none; take large communities from the long
# format or another reader (pybgpkit-parser 0.18.0 has them).
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
deb root trixie 'bgpdump=1.6.2-*'
python3 - <<'E'
import socket, struct
def record(subtype, body): return struct.pack('>IHHI', 1796073969, 13, subtype, len(body)) + body
index = record(1, socket.inet_aton('192.0.2.1') + struct.pack('>HH', 0, 1) + b'\x02' + socket.inet_aton('192.0.2.2') * 2 + struct.pack('>I', 65002))
def attribute(flags, kind, value): return bytes([flags, kind, len(value)]) + value
path = attribute(0x40, 1, b'\0') + attribute(0x40, 2, bytes([2, 1]) + struct.pack('>I', 65002))
communities = attribute(0xc0, 8, struct.pack('>HH', 65002, 7)) + attribute(0xc0, 32, struct.pack('>III', 65002, 8, 9))
def six(text): return socket.inet_pton(socket.AF_INET6, text)
pair = path + attribute(0x80, 14, b'\x20' + six('2001:db8::1') + six('fe80::1')) + communities
prefix = bytes([48]) + six('2001:db8:5::')[:6]
def rib(subtype, nlri, attributes, path_id=b''):
    return record(subtype, struct.pack('>I', 0) + nlri + struct.pack('>HHI', 1, 0, 1796073969) + path_id + struct.pack('>H', len(attributes)) + attributes)
open('root/dump', 'wb').write(index + rib(4, prefix, pair) + rib(10, prefix, pair, struct.pack('>I', 33)) + rib(2, bytes([24, 203, 0, 113]), path + communities))
E
{ chroot root /usr/bin/bgpdump -m /dump 2> /dev/null | sed 's/|B|/|/; s/[|0]*|NAG.*$//'
  echo "large in -m: $(chroot root /usr/bin/bgpdump -m /dump 2> /dev/null | grep -c 65002:8:9 || true), without: $(chroot root /usr/bin/bgpdump /dump 2> /dev/null | grep -ci 'large.*65002:8:9' || true)"
} | tee seen
diff seen - <<'E' && echo "as described"
TABLE_DUMP2|1796073969|192.0.2.2|65002|2001:db8:5::/48|65002|IGP|2001:db8::1|0|0|65002:7
TABLE_DUMP2_AP|1796073969|192.0.2.2|65002|2001:db8:5::/48|33|65002|IGP|2001:db8::1|0|0|65002:7
TABLE_DUMP2|1796073969|192.0.2.2|65002|203.0.113.0/24|65002|IGP|255.255.255.255|0|0|65002:7
large in -m: 0, without: 3
E
