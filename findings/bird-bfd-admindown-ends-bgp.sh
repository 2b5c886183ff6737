#!/bin/bash
# BIRD 2.0.12 (Debian 12): a peer whose BFD says AdminDown (RFC 5880 section 6.8.16: somebody has turned BFD off over there).
#
# Seen, BGP between two BIRDs, one with `bfd on`; in place of the other's BFD a stub that comes up and after 3 s says AdminDown, while
# BGP goes on as before:
#   BGP with the peer, BFD up           Established
#   a second after AdminDown            the session was ended ("BFD session down")
#
# Guess before the run: RFC 5882 section 3.2 says of AdminDown that the path is not to be taken for failed, and section 4.1 that BFD sessions come and go
# with no effect on the protocol, so BGP stays; that is what the state is there for.
#
# Why it matters: `no bfd` on a router, or `bfd` taken out of a BGPPeer, looks like a change of nothing but the watching, and costs the session
# with each BIRD at the other end, its routes with it (a Cease is no graceful restart).
#
# What to do: take a bfd-less session with BIRD for a new session, and change one router at a time, so that the other carries the traffic.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"; rm -f "/run/netns/bfd-far-$$"' EXIT
cd "$dir"
apt-get -qq -o APT::Sandbox::User=root download bird2=2.0.12-* > /dev/null 2>&1
dpkg -x bird2_*.deb root
cat > stub.py <<'P'
"""The far end of one BFD session (RFC 5880): up as soon as the other is, AdminDown from 3 s later on."""
import os, socket, struct, time
DOWN, INIT, UP = 1, 2, 3
rx = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); rx.bind(('192.0.2.2', 3784)); rx.settimeout(.05)
tx = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); tx.bind(('192.0.2.2', 49200)); tx.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
state, theirs, until = DOWN, 0, None
while True:
    try:
        packet = rx.recv(64); remote = packet[1] >> 6; theirs = struct.unpack('!I', packet[4:8])[0]
        if state == DOWN: state = INIT if remote == DOWN else UP if remote == INIT else DOWN
        elif state == INIT and remote in (INIT, UP): state = UP
    except TimeoutError: pass
    if state == UP and until is None and remote == UP: until = time.time() + 3; open('up', 'w').close()
    is_off = until is not None and time.time() > until
    if is_off and not os.path.exists('off'): open('off', 'w').close()
    final = 0x10 if theirs and packet[1] & 0x20 else 0
    tx.sendto(struct.pack('!BBBBIIIII', 1 << 5 | (7 if is_off else 0), (0 if is_off else state << 6) | final, 10, 24, 77, theirs, 100_000, 100_000, 0), ('192.0.2.1', 3784))
P
cat > inside <<'E'
ip link set lo up; far=$1; ip link add near0 type veth peer name far0; ip netns add $far; ip link set far0 netns $far
ip addr add 192.0.2.1/24 dev near0; ip link set near0 up; ip -n $far addr add 192.0.2.2/24 dev far0; ip -n $far link set far0 up; ip -n $far link set lo up
for n in 1 2; do
  cat > $n.conf <<F
router id 192.0.2.$n;
log "$PWD/$n.log" all;
protocol device {}
$([ $n = 2 ] || echo 'protocol bfd { interface "*" { interval 100 ms; multiplier 10; }; }')
protocol bgp peer { local 192.0.2.$n as 6500$n; neighbor 192.0.2.$((3 - n)) as 6500$((3 - n)); $([ $n = 2 ] || echo 'bfd on;') connect delay time 1; debug all; ipv4 { import all; export all; }; }
F
done
root/usr/sbin/bird -f -c 1.conf -s 1.ctl & one=$!
ip netns exec $far root/usr/sbin/bird -f -c 2.conf -s 2.ctl & two=$!
ip netns exec $far python3 stub.py & stub=$!
ask() { root/usr/sbin/birdc -s 1.ctl "$@"; }
for i in $(seq 60); do [ -e up ] && ask show protocols | grep -q Established && break; sleep .2; done
echo "BFD up: $(ask show protocols | grep -o Established || echo not established)"
for i in $(seq 60); do [ -e off ] && break; sleep .2; done; sleep 1
echo "after AdminDown: $(grep -q 'BFD session down' 1.log && echo ended, BFD session down || echo stays)"
kill $one $two $stub; ip netns del $far
E
unshare --net --mount --fork --kill-child bash inside "bfd-far-$$" 2> errors | tee seen
diff seen - <<'E' && echo "as described"
BFD up: Established
after AdminDown: ended, BFD session down
E
