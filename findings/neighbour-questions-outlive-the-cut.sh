#!/bin/bash
# Linux 6.18 (any since 2.6): what a link that was gone for two and a half seconds costs after it is back. Needs root; makes two namespaces.
#
# Guess                               with the carrier back, the first packet to a next hop on the link makes the kernel ask for it (ARP, NDP),
#                                     waits in its queue and goes out with the answer, 0.1 ms later; nothing is lost.
# Seen                                link away 2.5 s, a packet was sent to the gateway just after it went
#   packets sent in the first 0.4 s   none arrives, in neither family, although they lead over a link that is up to a host that answers
#   packets sent after that           all arrive
#   the same after `ip neigh del` of  all arrive
#   the entry, once the link is back
#
# Why: the loss of carrier empties the neighbour table of the interface, but routes go on leading there until somebody moves them, and a
# packet in these milliseconds makes a new entry. Its question goes nowhere. The kernel asks once a second, three times; packets that come
# meanwhile are put into the entry's queue and ask nothing themselves. The return of the carrier is no reason for a new question, and after the
# third silent second the queue is thrown away (neigh_timer_handler). So a cut of 2 to 3 seconds loses all packets up to second 3.
# A cut of less is only slow: what is queued waits up to a second for the next question.
#
# What to do: who moves routes back when a link returns asks for its silent next hops first: delete entries that are INCOMPLETE or FAILED,
# and ask at once (RTM_NEWNEIGH with NTF_USE). A route over a link-local gateway suffers most: a BGP session between the links' global
# addresses has warmed up other entries than those that traffic uses.
#
# Prints both cases; exits 0 while this holds, 1 when it has changed, 2 when it could not be tried.
set -uo pipefail
a=nq-a-$$ b=nq-b-$$
trap 'ip netns del $a 2>/dev/null; ip netns del $b 2>/dev/null' EXIT
ip netns add $a && ip netns add $b || exit 2
ip -n $a link add eth0 type veth peer name eth0 netns $b || exit 2
for n in $a $b; do
  [ $n = $a ] && end=1 || end=2
  ip -n $n link set eth0 addrgenmode none
  ip -n $n addr add fe80::$end/64 dev eth0 nodad
  ip -n $n addr add 192.0.2.$end/24 dev eth0
  ip -n $n link set eth0 up
done

# try FAMILY ADDRESS HOW: how many of four packets, sent right after the link's return, are answered.
try() {
  local family=$1 address=$2 how=$3
  ip netns exec $a ping -$family -c1 -W2 "$address" >/dev/null || exit 2
  ip -n $b link set eth0 down
  until ip -n $a link show eth0 | grep -q NO-CARRIER && [ -z "$(ip -n $a neigh show to "${address%\%*}" dev eth0)" ]; do sleep 0.01; done
  ip netns exec $a ping -$family -c1 -W1 "$address" >/dev/null &
  sleep 2.5
  ip -n $b link set eth0 up
  ip -n $b addr replace fe80::2/64 dev eth0 nodad
  [ "$how" = deleted ] && ip -n $a neigh del "${address%\%*}" dev eth0 2>/dev/null
  ip netns exec $a ping -$family -c4 -i 0.1 -W 3 "$address" | sed -n 's/.* \([0-9]*\) received.*/\1/p'
  wait %1 2>/dev/null
}

changed=0
for family in 4 6; do
  [ $family = 4 ] && address=192.0.2.2 || address=fe80::2%eth0
  left=$(try $family $address left) deleted=$(try $family $address deleted)
  echo "IPv$family: of 4 packets in the first 0.4 s after the link's return $left were answered; $deleted where the silent entry had been deleted"
  [ "$left" = 0 ] && [ "$deleted" = 4 ] || changed=1
done
[ $changed = 0 ] && echo 'As written down.' || echo 'CHANGED (or this machine is too busy for these tenths of seconds).'
exit $changed
