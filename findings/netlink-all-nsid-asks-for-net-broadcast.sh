#!/bin/bash
# Linux 6.18 (tried with iproute2 6.1): who may listen to the netlink notifications of other network namespaces (NETLINK_LISTEN_ALL_NSID,
# `ip monitor all-nsid`). Needs root.
#
# Seen, setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
#   all capabilities                                      success
#   all but CAP_NET_BROADCAST                             EPERM
#   CAP_NET_BROADCAST alone (no NET_ADMIN, no SYS_ADMIN)  success
#   no capability                                         EPERM
# What the name of the capability promises, broadcasts over UDP and listening to multicast groups, works without it.
#
# Guess: CAP_NET_ADMIN, as for all else that netlink refuses, or CAP_SYS_ADMIN, since it is about other namespaces. capabilities(7) calls
# CAP_NET_BROADCAST "(Unused)", and netlink(7) names no capability for this option.
#
# What to do: a daemon in a container that follows its pods' interfaces from outside asks for NET_BROADCAST beside NET_ADMIN (containerd and
# Docker give neither by default; `privileged: true` has it), or opens one socket in each namespace. Treat EPERM of this option as "ask for the capability",
# not as "the kernel is too old" (that would be ENOPROTOOPT).
set -euo pipefail
python=$(command -v /usr/bin/python3 || command -v python3) && command -v setpriv > /dev/null || exit 2
[ "$(id -u)" = 0 ] || { echo 'needs root'; exit 2; }
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cat > "$dir/listen.py" <<'P'
import errno, socket
SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, RTNLGRP_LINK = 270, 8, 1
def tried(act):
    try: act(); return 'success'
    except OSError as e: return errno.errorcode[e.errno]
rtnl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def broadcast():
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.sendto(b'x', ('127.255.255.255', 9))
print('all-nsid', tried(lambda: rtnl.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)),
      'multicast', tried(lambda: rtnl.bind((0, 1 << (RTNLGRP_LINK - 1)))), 'broadcast', tried(broadcast))
P
chmod -R go+rX "$dir"
ask() { local name=$1; shift; echo "$name: $("$@" "$python" "$dir/listen.py")"; }
{
  ask 'all capabilities' env
  ask 'all but NET_BROADCAST' setpriv --inh-caps -net_broadcast --bounding-set -net_broadcast
  ask 'NET_BROADCAST alone' setpriv --inh-caps -all --bounding-set -all,+net_broadcast
  ask 'none' setpriv --inh-caps -all --bounding-set -all
} | tee "$dir/seen"
diff "$dir/seen" - <<'E' && echo 'as described'
all capabilities: all-nsid success multicast success broadcast success
all but NET_BROADCAST: all-nsid EPERM multicast success broadcast success
NET_BROADCAST alone: all-nsid success multicast success broadcast success
none: all-nsid EPERM multicast success broadcast success
E
