#!/bin/bash
# Thirty pods on three nodes, nothing to do: agent and bgpd of a node take at most 150 MB together and 1 % of a core. Of the processes
# themselves: resident memory, the pages of the program that both run counted once, and processor time over a minute.
. "$(dirname "$0")/../env.sh"
space=check-footprint most_kilobytes=153600 seconds=60
finish() { k delete ns "$space" --ignore-not-found --wait=false >/dev/null; }
trap finish EXIT
worst=
k create ns "$space" >/dev/null
for number in $(seq 30); do pod "idle-$number" "node$((number % 3 + 1))"; done
k wait -n "$space" --for=condition=Ready pod --all --timeout=300s >/dev/null
sleep 60 # For what follows a change: statuses, addresses told.
# By process ids of the node's own PID namespace.
pids() { on_node "$1" pgrep -f 'cli\.js (agent|bgpd)' || true; }
# NODE PIDS: anonymous memory of all, and the file pages of the one that has most: they are pages of the same files of one image.
kilobytes() {
  for pid in $2; do on_node "$1" cat "/proc/$pid/status"; done |
    awk '/^RssAnon:/ {sum += $2} /^RssFile:/ && $2 > most {most = $2} END {print sum + most}'
}
plain_kilobytes() { for pid in $2; do on_node "$1" awk '/^VmRSS:/ {print $2}' "/proc/$pid/status"; done | awk '{sum += $1} END {print sum + 0}'; }
# Fields 14 and 15 of proc(5) stat, in ticks.
ticks() { for pid in $2; do on_node "$1" sed 's/.*) //' "/proc/$pid/stat" | awk '{print $12 + $13}'; done | awk '{sum += $1} END {print sum + 0}'; }
declare -A found before
for name in $NODES; do
  found[$name]=$(pids "$name")
  [ "$(wc -w <<<"${found[$name]}")" = 2 ] || fail "Cannot check: expected agent and bgpd on $name, found processes \"${found[$name]}\""
  before[$name]=$(ticks "$name" "${found[$name]}")
done
sleep "$seconds"
for name in $NODES; do
  used=$(($(ticks "$name" "${found[$name]}") - before[$name])) size=$(kilobytes "$name" "${found[$name]}")
  percent=$(awk -v used="$used" -v hz="$(getconf CLK_TCK)" -v seconds="$seconds" 'BEGIN {printf "%.2f", 100 * used / hz / seconds}')
  say "$name: $((size / 1024)) MB ($(($(plain_kilobytes "$name" "${found[$name]}") / 1024)) with the program counted twice), $percent % of a core"
  [ "$size" -le "$most_kilobytes" ] || worst="$worst $name: $((size / 1024)) MB, expected at most 150;"
  awk -v percent="$percent" 'BEGIN {exit percent > 1}' || worst="$worst $name: $percent % of a core, expected at most 1;"
done
[ -z "$worst" ] || fail "FAILED: agent and bgpd take too much:$worst"
say 'held: 150 MB and 1 % of a core on an idle node'
