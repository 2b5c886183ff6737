#!/bin/bash
# tcpdump 4.99.3 (Debian 12), an IPv4 BGP UPDATE whose prefixes carry no path identifiers (RFC 4271, no ADD-PATH anywhere).
#
# Seen, `tcpdump -nv -r`: a default route among others makes it read path identifiers
#   sent                                            printed
#   0.0.0.0/0, 192.0.2.1/32                         0.0.0.0/2   Path Id: 2146304
#   0.0.0.0/0, 10.0.0.0/24 ... 10.0.3.0/24          prefixes that nobody sent, with path ids, and "[|bgp]" as if the message were cut
#   the same without 0.0.0.0/0; 0.0.0.0/0 alone     what was sent
#
# Guess: the UPDATE as sent, or a word that a capture cannot say whether RFC 7911 was negotiated. (What was agreed stands in the OPENs, which a
# capture of a session that is up does not hold.)
#
# Why: it tries both readings and takes the second where the bytes allow it; four octets of zero and of a prefix are a path identifier
# like any other. What a top-of-rack router tells its nodes, a default route and a few loopbacks, is such a message.
#
# What to do: do not take tcpdump's word for prefixes beside a default route, and least for "[|bgp]" (our first thought was a broken
# encoder); ask the speaker, or read the octets (-x).
set -uo pipefail
command -v tcpdump > /dev/null && tcpdump --version 2>&1 | grep -q 'version 4\.99\.3' || { echo 'needs tcpdump 4.99.3'; exit 2; }
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cat > "$dir/capture.py" <<'P'
import socket, struct, sys
def attribute(flags, kind, value): return bytes([flags, kind, len(value)]) + value
def prefix(text):
    address, length = text.split('/')
    return bytes([int(length)]) + socket.inet_aton(address)[:(int(length) + 7) // 8]
attributes = (attribute(0x40, 1, b'\0') + attribute(0x40, 2, bytes([2, 1]) + struct.pack('>I', 65001))
              + attribute(0x40, 3, socket.inet_aton('192.0.2.254')))
body = struct.pack('>HH', 0, len(attributes)) + attributes + b''.join(map(prefix, sys.argv[2:]))
message = b'\xff' * 16 + struct.pack('>HB', 19 + len(body), 2) + body
tcp = struct.pack('>HHIIBBHHH', 179, 40000, 1, 1, 0x50, 0x18, 1000, 0, 0) + message
ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, socket.inet_aton('192.0.2.1'), socket.inet_aton('192.0.2.2')) + tcp
with open(sys.argv[1], 'wb') as f:
    f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101) + struct.pack('<IIII', 1, 0, len(ip), len(ip)) + ip)
P
python=$(command -v /usr/bin/python3 || command -v python3) || exit 2
show() { "$python" "$dir/capture.py" "$dir/pcap" "$@" || exit 2
  echo "$*: $(tcpdump -nvr "$dir/pcap" 2> /dev/null | sed -n 's/^[[:space:]]*\([0-9.]*\/[0-9].*\)$/\1/p' | tr -s ' ' | paste -sd,)"; }
others='10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 10.0.3.0/24'
{ show 0.0.0.0/0; show 0.0.0.0/0 192.0.2.1/32; show 192.0.2.1/32; show 0.0.0.0/0 $others; show $others; } | tee "$dir/seen"
cat > "$dir/expected" <<'X'
0.0.0.0/0: 0.0.0.0/0
0.0.0.0/0 192.0.2.1/32: 0.0.0.0/2 Path Id: 2146304
192.0.2.1/32: 192.0.2.1/32
X
if head -3 "$dir/seen" | diff "$dir/expected" - && sed -n 4p "$dir/seen" | grep -q 'Path Id' &&
  sed -n 5p "$dir/seen" | grep -qx "$others: ${others// /,}"; then echo HOLDS; else echo CHANGED; exit 1; fi
