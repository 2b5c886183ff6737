#!/bin/bash
# FRR 8.4.4 (Debian 12) with frr-reload.py of frr-pythontools 8.4.4: a file that FRR runs already, compared and reloaded. Needs root and the package frr.
#
# Seen, a bgpd started with the file, then `frr-reload.py --test` and three times `--reload` of the same file, nothing edited
#   line of the file                              what each reload does, again and again
#   neighbor X maximum-prefix 100 75              removes the limit of X and sets it anew (75 is the default: shown as `maximum-prefix 100`)
#   bgp as-path access-list A permit ^65001$      removes the list, and with it what route-maps let in, and makes it anew (shown with `seq 5`)
#   bgp listen range 10.0.0.5/24 peer-group G     removes the range, which ends all its sessions, and makes it anew (shown as 10.0.0.0/24)
#   network 10.1.1.5/24; an IPv6 address in       nothing: these are brought to the form that FRR shows before they are compared
#     capitals; a prefix-list without `seq`
# A file with one unknown line: `--reload` ends with 1 and changes nothing; `--test` logs the error, goes on with an empty file, lists
# "no router bgp 64512" and all else that runs under "Lines To Delete", and ends with 1 as well.
#
# Guess: a reload of what runs is a reload of nothing, or at least the second is; and a trial refuses what the reload refuses.
#
# What to do: write a file in the words of `show running-config` (a generator's output has to be a fixed point: test it so); read a
# trial from its first line on.
set -uo pipefail
[ "$(dpkg-query -Wf '${Version}' frr 2> /dev/null | cut -c1-5)" = 8.4.4 ] || { echo 'needs frr 8.4.4 of Debian 12'; exit 2; }
dir=$(mktemp -d); ns=frrreload-$$
trap '[ -s "$dir/pid" ] && kill "$(cat "$dir/pid")"; ip netns del $ns 2> /dev/null; rm -rf "$dir"' EXIT
cd "$dir"; chmod 755 .
(apt-get -qq download 'frr-pythontools=8.4.4*' && dpkg -x frr-pythontools*.deb tools) > log 2>&1 || { cat log; exit 2; }
ip netns add $ns && ip -n $ns link set lo up || exit 2
cat > frr.conf <<'E'
frr version 8.4.4
frr defaults traditional
hostname router
router bgp 64512
 neighbor G peer-group
 neighbor G remote-as 65001
 neighbor 2001:DB8::1 remote-as 65009
 bgp listen range 10.0.0.5/24 peer-group G
 address-family ipv4 unicast
  network 10.1.1.5/24
  neighbor G maximum-prefix 100 75
 exit-address-family
!
ip prefix-list P permit 10.244.0.0/16 le 32
bgp as-path access-list A permit ^65001$
E
touch vtysh.conf; cp frr.conf start.conf; chown -R frr:frr .
ip netns exec $ns /usr/lib/frr/bgpd -Z -u frr -g frr -f "$dir/start.conf" -i "$dir/pid" -A 127.0.0.1 --vty_socket "$dir" > log 2>&1 &
for _ in $(seq 50); do [ -S bgpd.vty ] && break; sleep .2; done; sleep 1
python=$(command -v /usr/bin/python3 || command -v python3)
reload() { ip netns exec $ns "$python" tools/usr/lib/frr/frr-reload.py --vty_socket "$dir" --confdir "$dir" --rundir "$dir" --stdout "$@" 2>&1; }
about() { grep -oE '^ *(no )?(neighbor G max|bgp as-path|bgp listen|network|neighbor 2001|ip prefix|router bgp 64512 *$|no router bgp).*' | tr -s ' ' | sort -u | paste -sd';'; }
{
  echo "1: $(reload --test "$dir/frr.conf" | about)"
  for n in 2 3 4; do reload --reload "$dir/frr.conf" > reloaded; echo "$n: ends with $?; $(reload --test "$dir/frr.conf" | about)"; done
  sed 's/^ neighbor 2001.*/ neighbor 192.0.2.1 no-such-word/' frr.conf > wrong.conf
  echo "wrong, --test: $(reload --test "$dir/wrong.conf" > trial; echo "ends with $?"; grep -c '^no router bgp 64512' trial)"
  echo "wrong, --reload: $(reload --reload "$dir/wrong.conf" > trial; echo "ends with $?")"
} | tee seen
for n in 1 2 3 4; do
  line=$(grep "^$n:" seen)
  for part in 'no bgp listen range 10.0.0.0/24' 'no neighbor G maximum-prefix 100' 'no bgp as-path access-list A seq 5'; do
    [[ $line == *"$part"* ]] || { echo "CHANGED: reload $n does not say: $part"; exit 1; }
  done
  [[ $line != *network* && $line != *2001* && $line != *prefix-list* ]] || { echo "CHANGED: reload $n"; exit 1; }
done
if grep -qx 1 seen && grep -qx 'wrong, --reload: ends with 1' seen; then echo HOLDS; else echo CHANGED; exit 1; fi
