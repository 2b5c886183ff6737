#!/bin/bash
# The agent is in a PID namespace, where the kernel's notifications name its commits by another process id: nobody's but its own.
. "$(dirname "$0")/../env.sh"
for name in $NODES; do
  claims=$(agent_log "$name" | grep -c 'Somebody changed' || true)
  [ "$claims" = 0 ] || fail "FAILED: the agent of $name put its rules back $claims times though nobody had changed them"
  passes=$(timeout 10 nsenter -t "$(process_of "$name-init")" -n nft monitor 2>/dev/null | grep -c 'new generation' || true)
  [ "$passes" -lt 50 ] || fail "FAILED: $passes commits in 10 s on $name, which is idle"
done
say "held: no node's rules are written without need"
