#!/bin/bash
# An agent that is killed and started again, ten times: the node stays Ready. By the DaemonSet its pod is deleted, bgpd with it.
. "$(dirname "$0")/../env.sh"
name=node3
flips() {
  k get events -n default --field-selector "involvedObject.name=$name,reason=NodeNotReady" -o jsonpath='{.items[*].count}' |
    tr ' ' '\n' | awk '{sum += $1} END {print sum + 0}'
}
before=$(flips)
for _ in $(seq 10); do
  replace_agent "$name"
  sleep "11.$((RANDOM % 10))" # kubelet asks for STATUS every five seconds, and tells every ten.
done
after=$(flips)
[ "$after" = "$before" ] || fail "FAILED: ten restarts of the agent made $name NotReady $((after - before)) times"
say 'held: ten restarts of the agent, the node stayed Ready'
