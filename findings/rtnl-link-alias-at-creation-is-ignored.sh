#!/bin/bash
# Linux 6.18 (tried with iproute2 6.1 and a message of our own), RTM_NEWLINK that creates a link: which of its settings take effect. Needs root.
#
# Seen, veth and bridge alike                      in the creating message                in a second one
#   mtu, txqueuelen, group, address, mode, master  taken                                  taken
#   alias (IFLA_IFALIAS)                           success, and NOT taken, no message     taken
#   addrgenmode (IFLA_AF_SPEC, IPv6)               refused: "Address family not           taken
#                                                  supported by protocol", no link made
#
# Guess: one message creates the link as it describes it, as it does for everything else; what the kernel cannot take it refuses by name.
#
# Why it matters: the alias is where owners of interfaces write their mark ("this veth is mine, of pod X"), and one message looks atomic: no link
# without its mark. Nothing fails; the mark is missing for ever, and whoever cleans up by it leaves the link, or takes it for a stranger's.
#
# What to do: create the link down, under its name, set the alias with a second message, read it back, and only then bring it up; a mark that
# must be there from the first moment goes into what creation does take: the name, the group, or the address.
set -uo pipefail
netns=rtalias-$$
trap 'ip netns del "$netns" 2> /dev/null' EXIT
ip netns add "$netns" && ip -n "$netns" link add br0 type bridge || exit 2
python=$(command -v /usr/bin/python3 || command -v python3) || exit 2
has() { ip -n "$netns" -d link show x0 2> /dev/null | grep -q -- "$1" && echo taken || echo missing; }

# try WORDS PATTERN KIND: how `ip link` shows the setting after the creating message, and after a second one.
try() {
  local words=$1 pattern=$2 kind=$3 answer first
  answer=$(ip -n "$netns" link add x0 $words type $kind 2>&1) && first=$(has "$pattern") || first="refused ($answer)"
  [ "${first%% *}" = refused ] && ip -n "$netns" link add x0 type $kind
  ip -n "$netns" link set x0 $words
  echo "$kind ${words%% *}: $first, then $(has "$pattern")"
  ip -n "$netns" link del x0
}
seen=$(
  for kind in veth bridge; do
    try 'mtu 1400' 'mtu 1400' $kind; try 'txqueuelen 77' 'qlen 77' $kind; try 'group 7' 'group 7' $kind
    try 'address 02:00:00:00:00:07' 'link/ether 02:00:00:00:00:07' $kind; try 'mode dormant' 'mode DORMANT' $kind
    [ $kind = bridge ] || try 'master br0' 'master br0' $kind
    try 'alias mine' 'alias mine' $kind; try 'addrgenmode none' 'addrgenmode none' $kind
  done
  ip netns exec "$netns" "$python" - <<'P' || exit 2
import socket, struct
def attribute(kind, body): return struct.pack('=HH', 4 + len(body), kind) + body + b'\0' * (-len(body) % 4)
RTM_NEWLINK, IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_IFALIAS = 16, 3, 18, 1, 20
body = bytes(16) + attribute(IFLA_IFNAME, b'x0\0') + attribute(IFLA_IFALIAS, b'mine') + attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b'bridge'))
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.send(struct.pack('=IHHII', 16 + len(body), RTM_NEWLINK, 0x1 | 0x4 | 0x200 | 0x400, 1, 0) + body)  # REQUEST ACK EXCL CREATE
print('own message, alias: error', struct.unpack_from('=i', s.recv(4096), 16)[0], end=', ')
P
  has 'alias mine'
)
echo "$seen"
diff <(echo "$seen") - <<'E' && echo 'as described'
veth mtu: taken, then taken
veth txqueuelen: taken, then taken
veth group: taken, then taken
veth address: taken, then taken
veth mode: taken, then taken
veth master: taken, then taken
veth alias: missing, then taken
veth addrgenmode: refused (RTNETLINK answers: Address family not supported by protocol), then taken
bridge mtu: taken, then taken
bridge txqueuelen: taken, then taken
bridge group: taken, then taken
bridge address: taken, then taken
bridge mode: taken, then taken
bridge alias: missing, then taken
bridge addrgenmode: refused (RTNETLINK answers: Address family not supported by protocol), then taken
own message, alias: error 0, missing
E
