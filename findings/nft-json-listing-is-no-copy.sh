#!/bin/bash
# nftables 1.0.6 (Debian 12), kernel 6.18: `nft -j list table` into a file, the table deleted, `nft -j -f` of that file. Needs root; makes a namespace.
#
# Seen (the text form, `nft list table` and `nft -f`, gives the same table back in every line of this list)
#   loads without a word and is another table
#     an object `ct timeout`                            has no timeouts: `policy = {  }`, and l3proto inet for ip
#     a set with `flags dynamic`                        has none; with `auto-merge`: none
#     a set's elements with counters                    count from nothing (a named counter keeps its packets)
#     comments of tables, chains and sets               gone; `typeof ip saddr` has become `type ipv4_addr`
#   is refused, and with it the whole file
#     a map to a concatenation                          "Invalid map type 'ipv4_addr . inet_service'"
#     a chain of hook ingress                           "Missing `device'": the listing does not say of which device
#     a map from ranges to ranges                       "Value must be a singleton"
#     synproxy and ct expectation objects               "Unknown object", "missing options"
# Every expression of a rule that was tried (ninety of them) came back.
#
# Guess: `-j` is the same in another spelling, since the same program writes and reads it; what it cannot say, it refuses to write.
#
# What to do: keep and restore tables as text. Where JSON is read, do not infer from an absent field that it is not set; ask for it by
# netlink or in text. In 1.1.3 (Debian 13) most of this is mended: there a set's comment, the counters of elements and maps from ranges
# to ranges are what is left.
set -uo pipefail
command -v nft > /dev/null && [ "$(nft --version | cut -d' ' -f2)" = v1.0.6 ] || { echo 'needs nft 1.0.6'; exit 2; }
ns=nftjson-$$; dir=$(mktemp -d)
trap 'ip netns del $ns 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add $ns && ip -n $ns link add v0 type veth peer name v1 || exit 2
nft() { ip netns exec $ns nft "$@"; }
# try NAME BODY: what becomes of a table with this body
try() {
  nft delete table inet t 2> /dev/null
  printf 'table inet t {\n%s\n}\n' "$2" | nft -f - || { echo "cannot make: $1"; exit 2; }
  nft list table inet t > "$dir/before"; nft -j list table inet t > "$dir/json"
  nft delete table inet t; nft -f "$dir/before"; nft list table inet t | diff -q "$dir/before" - > /dev/null || echo "$1: text differs as well"
  nft delete table inet t
  if ! nft -j -f "$dir/json" 2> "$dir/error"; then echo "$1: refused: $(head -1 "$dir/error" | sed 's/.*Error: //')"; return; fi
  nft list table inet t > "$dir/after"
  if diff -q "$dir/before" "$dir/after" > /dev/null; then echo "$1: the same"; else
    echo "$1: $(diff "$dir/before" "$dir/after" | grep '^[<>]' | tr -s ' \t' ' ' | paste -sd' ')"; fi
}
{
  try timeout $'ct timeout x {\nprotocol udp\nl3proto ip\npolicy = { unreplied : 10, replied : 20 }\n}'
  try dynamic $'set s {\ntype ipv4_addr\nflags dynamic\nsize 9\n}'
  try merge $'set s {\ntype ipv4_addr\nflags interval\nauto-merge\n}'
  try counters $'set s {\ntype ipv4_addr\ncounter\nelements = { 192.0.2.1 counter packets 5 bytes 6 }\n}'
  try counter $'counter c {\npackets 5 bytes 6\n}'
  try typeof $'set s {\ntypeof ip saddr\n}'
  try comment $'chain c {\ncomment "why"\n}'
  try concatenation $'map m {\ntype ipv4_addr : ipv4_addr . inet_service\nelements = { 192.0.2.1 : 192.0.2.2 . 80 }\n}'
  try ingress $'chain c {\ntype filter hook ingress device "v0" priority 0; policy accept;\n}'
  try ranges $'map m {\ntype ipv4_addr : interval ipv4_addr\nflags interval\nelements = { 192.0.2.0/24 : 198.51.100.0/24 }\n}'
  try synproxy $'synproxy y {\nmss 1460\nwscale 7\ntimestamp sack-perm\n}'
  try rules $'chain c {\ntype filter hook input priority 0; policy drop;\nct state vmap { established : accept, invalid : drop }\ntcp dport { 80, 1000-2000 } accept\n}'
} | tee "$dir/seen"
cat > "$dir/expected" <<'X'
timeout: < l3proto ip < policy = { unreplied : 10, replied : 20 } > l3proto inet > policy = { }
dynamic: < flags dynamic
merge: < auto-merge
counters: < elements = { 192.0.2.1 counter packets 5 bytes 6 } > elements = { 192.0.2.1 counter packets 0 bytes 0 }
counter: the same
typeof: < typeof ip saddr > type ipv4_addr
comment: < comment "why"
concatenation: refused: Invalid map type 'ipv4_addr . inet_service'.
ingress: refused: Missing `device' in this chain definition
ranges: refused: Value must be a singleton
synproxy: refused: Unknown object passed to add command.
rules: the same
X
if diff "$dir/expected" "$dir/seen"; then echo 'HOLDS'; else echo 'CHANGED'; exit 1; fi
