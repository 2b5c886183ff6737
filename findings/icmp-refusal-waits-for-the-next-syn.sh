#!/bin/bash
# Linux 6.18, iptables 1.8.9 (Debian 12): how long connect() takes to hear of `-j REJECT` when the refuser is near (same host, a pod and its
# node). Needs root; makes two namespaces.
#
# Seen, six connections each, over a veth (at once: within 0.1 ms)
#                                                       IPv4            IPv6
#   REJECT (port unreachable), blocking connect()         1 s             1 s
#   REJECT (port unreachable), non-blocking, poll()       at once         1 s
#   REJECT --reject-with tcp-reset, either way            at once         at once
# Each of the slow ones, and of the quick non-blocking IPv4 ones, adds one to TcpExtLockDroppedIcmps.
#
# Guess: ECONNREFUSED at once. It is what REJECT is for, and what UDP does; and IPv6 like IPv4.
#
# Why: over a veth or lo the SYN, the refusal and its reception all happen inside connect(), which still holds the socket's lock. An ICMP error for a
# locked socket is only noted (sk_err_soft), and counts when the next SYN is refused, after the first retransmission timeout of one second. With a
# real wire between the two the answer comes when the lock is free. IPv4 puts the error into the socket's error queue as well, which poll() takes for
# POLLERR; SO_ERROR then gives the soft error. A RST is a segment: it waits for the lock in the backlog, and is not lost.
#
# What to do: refuse TCP with tcp-reset (nft: `reject with tcp reset`). A test or a probe with less than a second's patience takes such a
# refusal for a drop, and only for some languages and one family; compare LockDroppedIcmps (nstat) before blaming rules.
set -uo pipefail
python=$(command -v /usr/bin/python3 || command -v python3) && command -v iptables-legacy ip6tables-legacy > /dev/null || exit 2
dir=$(mktemp -d) a=icmpref-a-$$ b=icmpref-b-$$
trap 'ip netns del $a 2> /dev/null; ip netns del $b 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add $a && ip netns add $b && ip -n $a link add eth0 type veth peer name eth0 netns $b || exit 2
for n in $a $b; do
  [ $n = $a ] && end=1 || end=2
  ip -n $n addr add 192.0.2.$end/24 dev eth0; ip -n $n addr add 2001:db8::$end/64 dev eth0 nodad; ip -n $n link set eth0 up
done
ip netns exec $b sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
cat > "$dir/connect.py" <<'P'
import select, socket, sys, time
address, blocking = sys.argv[1], sys.argv[2] == 'blocking'
def dropped():
    names, values = [line.split() for line in open('/proc/net/netstat') if line.startswith('TcpExt')]
    return int(values[names.index('LockDroppedIcmps')])
before, quick, slow = dropped(), 0, 0
for i in range(6):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(blocking)
    began = time.monotonic()
    code = s.connect_ex((address, 80))
    if not blocking:
        poll = select.poll(); poll.register(s, select.POLLOUT); poll.poll(5000)
        code = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code != 111: sys.exit(f'not refused: {code}')
    if time.monotonic() - began < .5: quick += 1
    else: slow += 1
    s.close()
word = lambda n: 'all' if n == 6 else 'none' if n == 0 else 'most' if n > 3 else 'few'  # a busy machine may free the lock in time
print(f'quick {word(quick)}, slow {word(slow)}, LockDroppedIcmps {word(min(dropped() - before, 6))}')
P
rule() { for tool in iptables-legacy ip6tables-legacy; do ip netns exec $b $tool "$@" || exit 2; done; }
ip netns exec $a ping -c1 -W3 192.0.2.2 > /dev/null && ip netns exec $a ping -c1 -W3 2001:db8::2 > /dev/null || exit 2
for how in '' '--reject-with tcp-reset'; do
  rule -F; rule -A INPUT -p tcp -j REJECT $how
  for address in 192.0.2.2 2001:db8::2; do
    for mode in blocking polling; do
      echo "REJECT${how:+ tcp-reset}, $address, $mode: $(ip netns exec $a "$python" "$dir/connect.py" $address $mode)"
    done
  done
done | tee "$dir/seen"
diff <(sed 's/quick few, slow most/quick none, slow all/; s/LockDroppedIcmps most/LockDroppedIcmps all/' "$dir/seen") - <<'E' && echo 'as described'
REJECT, 192.0.2.2, blocking: quick none, slow all, LockDroppedIcmps all
REJECT, 192.0.2.2, polling: quick all, slow none, LockDroppedIcmps all
REJECT, 2001:db8::2, blocking: quick none, slow all, LockDroppedIcmps all
REJECT, 2001:db8::2, polling: quick none, slow all, LockDroppedIcmps all
REJECT tcp-reset, 192.0.2.2, blocking: quick all, slow none, LockDroppedIcmps none
REJECT tcp-reset, 192.0.2.2, polling: quick all, slow none, LockDroppedIcmps none
REJECT tcp-reset, 2001:db8::2, blocking: quick all, slow none, LockDroppedIcmps none
REJECT tcp-reset, 2001:db8::2, polling: quick all, slow none, LockDroppedIcmps none
E
