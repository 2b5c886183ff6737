#!/bin/bash
# ipset 7.17 (Debian 12), kernel 6.18: `ipset -exist add` of an entry that is there already. Needs root; makes a namespace.
#
# Seen, a hash:net with timeouts, counters, comments and marks; only the address is said again
#   10.0.0.0/24 timeout 100 comment "why" skbmark 0x1 packets 5     timeout 0, no comment, no mark, packets 5: it stays for ever now
#   10.0.1.0/24 nomatch (an exception of 10.0.0.0/16)               a member: what was excepted matches
#   10.0.2.0/24, said again with nomatch                            an exception: what matched does not
# Without -exist all three are refused ("already added") and nothing changes, the third too, although an exception is not a member.
#
# Guess: nothing happens. What the manual says of -exist is about an error that is not raised, so we took it for the way to make an `add`
# harmless to repeat, for instance in a restore after half a restore, as one does with `nft add element`.
#
# What to do: say every attribute each time, nomatch above all; to learn whether an entry is there, use `ipset test`, which does not
# write. A restore that may be repeated has to hold whole entries.
set -uo pipefail
command -v ipset > /dev/null || exit 2
ns=ipsetexist-$$; dir=$(mktemp -d)
trap 'ip netns del $ns 2> /dev/null; rm -rf "$dir"' EXIT
ip netns add $ns || exit 2
ipset() { ip netns exec $ns ipset "$@"; }
ipset create s hash:net timeout 0 counters comment skbinfo || exit 2
ipset add s 10.0.0.0/16
ipset add s 10.0.0.0/24 timeout 100 packets 5 bytes 6 comment why skbmark 0x1
ipset add s 10.0.1.0/24 nomatch
ipset add s 10.0.2.0/24
matches() { if ipset -q test s "$1"; then echo yes; else echo no; fi; }
entry() { ipset list s | grep "^$1/24" | sed -E 's/timeout [1-9][0-9]*/timeout N/'; }
{
  echo "before: $(entry 10.0.0.0); 10.0.1.1 $(matches 10.0.1.1), 10.0.2.1 $(matches 10.0.2.1)"
  for what in 10.0.0.0/24 10.0.1.0/24 '10.0.2.0/24 nomatch'; do ipset add s $what 2> /dev/null; echo "plain add of $what: $?"; done
  echo "between: $(entry 10.0.0.0); 10.0.1.1 $(matches 10.0.1.1), 10.0.2.1 $(matches 10.0.2.1)"
  for what in 10.0.0.0/24 10.0.1.0/24 '10.0.2.0/24 nomatch'; do ipset -exist add s $what; echo "-exist add of $what: $?"; done
  echo "after: $(entry 10.0.0.0); 10.0.1.1 $(matches 10.0.1.1), 10.0.2.1 $(matches 10.0.2.1)"
} | tee "$dir/seen"
cat > "$dir/expected" <<'X'
before: 10.0.0.0/24 timeout N packets 5 bytes 6 comment "why" skbmark 0x1; 10.0.1.1 no, 10.0.2.1 yes
plain add of 10.0.0.0/24: 1
plain add of 10.0.1.0/24: 1
plain add of 10.0.2.0/24 nomatch: 1
between: 10.0.0.0/24 timeout N packets 5 bytes 6 comment "why" skbmark 0x1; 10.0.1.1 no, 10.0.2.1 yes
-exist add of 10.0.0.0/24: 0
-exist add of 10.0.1.0/24: 0
-exist add of 10.0.2.0/24 nomatch: 0
after: 10.0.0.0/24 timeout 0 packets 5 bytes 6; 10.0.1.1 yes, 10.0.2.1 no
X
if diff "$dir/expected" "$dir/seen"; then echo HOLDS; else echo CHANGED; exit 1; fi
