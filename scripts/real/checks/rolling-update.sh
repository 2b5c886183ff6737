#!/bin/bash
# The DaemonSet is rolled over all nodes, bgpd and agent with it, under traffic: no packet between pods is lost, new pods start.
. "$(dirname "$0")/../env.sh"
[ "$TORTIE_AS" = daemonset ] || { say 'left out: it rolls the DaemonSet'; exit 0; }
space=check-rolling-update
work=$(mktemp -d)
finish() {
  jobs -p | xargs -r kill 2>/dev/null || true
  k delete ns "$space" --ignore-not-found --wait=false >/dev/null
  rm -rf "$work"
}
trap finish EXIT
k create ns "$space" >/dev/null
for name in $NODES; do pod "on-$name" "$name"; done
k wait -n "$space" --for=condition=Ready pod --all --timeout=120s >/dev/null
# From every pod's namespace to every other pod, both families, twenty a second each.
for from in $NODES; do
  id=$(on_node "$from" ctr -n k8s.io containers ls | awk -v image=agnhost '$2 ~ image {print $1}' | while read -r each; do
    on_node "$from" ctr -n k8s.io containers info "$each" | grep -q "\"io.kubernetes.pod.namespace\": \"$space\"" || continue
    echo "$each"
  done | sed -n 1p)
  [ -n "$id" ] || fail "Cannot check: no container of $space on $from"
  pid=$(on_node "$from" ctr -n k8s.io tasks ls | awk -v id="$id" '$1 == id {print $2}')
  for to in $NODES; do
    [ "$from" != "$to" ] || continue
    for address in $(k get pod -n "$space" "on-$to" -o jsonpath='{.status.podIPs[*].ip}'); do
      on_node "$from" nsenter -t "$pid" -n ping -q -i 0.05 -w 600 "$address" >"$work/$from-$to-${address//[:.]/-}" 2>&1 &
    done
  done
done
sleep 1
k rollout restart -n tortie-system daemonset/tortie-node >/dev/null
count=0
while ! k rollout status -n tortie-system daemonset/tortie-node --timeout=5s >/dev/null 2>&1; do
  count=$((count + 1))
  [ "$count" -lt 60 ] || fail 'FAILED: the DaemonSet is not rolled over within five minutes'
  pod "new-$count" "node$((count % 3 + 1))"
done
k wait -n "$space" --for=condition=Ready pod --all --timeout=120s >/dev/null || fail 'FAILED: a pod made meanwhile does not start'
for name in $NODES; do on_node "$name" pkill -INT -x ping || true; done
wait $(jobs -p) || true
lost=$(grep -h 'packet loss' "$work"/* | awk '{sent += $1; got += $4} END {print sent - got, "of", sent}')
[ "$(grep -l 'packet loss' "$work"/* | wc -l)" = 12 ] || fail "Cannot check: expected twelve streams: $(tail -n2 "$work"/*)"
[ "${lost%% *}" -le 12 ] || fail "FAILED: $lost packets were lost: $(grep -h 'packet loss' "$work"/*)"
say "held: the DaemonSet rolled over, $lost packets lost (those under way at the end included), $count pods started meanwhile"
