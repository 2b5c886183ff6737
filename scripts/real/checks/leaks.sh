#!/bin/bash
# A sandbox whose DEL never came (containerd killed, its state gone with it): two minutes later its addresses are free again.
. "$(dirname "$0")/../env.sh"
name=node2 space=check-leaks
finish() { k delete ns "$space" --ignore-not-found --wait=false >/dev/null; }
trap finish EXIT
k create ns "$space" >/dev/null
pod lost "$name"
k wait -n "$space" --for=condition=Ready pod/lost --timeout=120s >/dev/null
address=$(k get pod -n "$space" lost -o jsonpath='{.status.podIP}')
bash "$HERE/node.sh" "$name" down
rm -rf "$REAL/nodes/$name/var/lib/containerd" "$REAL/nodes/$name/var/lib/cni"
k delete pod -n "$space" lost --force --grace-period=0 >/dev/null 2>&1
bash "$HERE/node.sh" "$name" reboot >/dev/null
for _ in $(seq 120); do
  if agent_log "$name" | grep 'Released addresses' | grep -q "$space/lost"; then
    say "held: $address was given back"
    exit 0
  fi
  sleep 1
done
fail "FAILED: $address of a pod without DEL is still taken after two minutes"
