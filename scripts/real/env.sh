# What every script of the real cluster shares. Sourced; $REAL is the folder that everything lies in.
set -euo pipefail
: "${REAL:?expected the folder of the cluster; use: npm run real}"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TORTIE=$(cd "$HERE/../.." && pwd)
KUBERNETES=${KUBERNETES:-1.37.2}
LAB=real
# How Tortie gets onto the nodes: its DaemonSet, or processes beside kubelet.
TORTIE_AS=${TORTIE_AS:-daemonset}
BIN=$REAL/bin PKI=$REAL/pki RUN=$REAL/run LOGS=$REAL/logs
NODES="node1 node2 node3"
# The control plane is the host outside of the rack: reached through the routers, as in a data centre.
CONTROL_NETNS=tl-$LAB-outside CONTROL_IP=203.0.113.1
NODE=${NODE:-$(command -v node)}
export REAL TORTIE LAB PKI RUN LOGS CONTROL_IP KUBECONFIG=$PKI/admin.conf PATH=$BIN:$PATH
mkdir -p "$BIN" "$PKI" "$RUN" "$LOGS"

say() { echo "$(date +%T) $*"; }
fail() { echo "$*" >&2; exit 1; }

in_control() { nsenter --net="/run/netns/$CONTROL_NETNS" "$@"; }
k() { in_control kubectl "$@"; }

# Field 22 of proc(5) stat, after the name: a process id alone may have been given to somebody else.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() {
  local pid start
  [ -e "$RUN/$1.pid" ] && read -r pid start <"$RUN/$1.pid" && [ -n "$start" ] && [ "$(started "$pid")" = "$start" ]
}
# background NAME COMMAND...: unless it runs; output in $LOGS/NAME.log
background() {
  local name=$1
  shift
  if alive "$name"; then return; fi
  setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
  echo "$! $(started $!)" >"$RUN/$name.pid"
}
# nsenter into a PID namespace forks: the process that counts is its child.
process_of() {
  local pid
  read -r pid _ <"$RUN/$1.pid"
  pgrep -P "$pid" || echo "$pid"
}
# end NAME [SIGNAL]: settles when it is gone, by force after 15 s
end() {
  local name=$1 pid
  if alive "$name"; then
    pid=$(process_of "$name")
    kill "${2:--TERM}" $pid 2>/dev/null || true
    for _ in $(seq 150); do alive "$name" || break; sleep 0.1; done
    if alive "$name"; then kill -KILL $pid 2>/dev/null || true; fi
  fi
  rm -f "$RUN/$name.pid"
}

on_node() { # NODE COMMAND...
  local init
  init=$(process_of "$1-init")
  shift
  nsenter -t "$init" -m -u -i -n -p "$@"
}

# A pod that serves HTTP on port 8080, in the namespace $space of a check.
pod() { # NAME NODE [APP]
  k apply -n "$space" -f - >/dev/null <<Y
apiVersion: v1
kind: Pod
metadata: { name: $1, labels: { app: ${3:-$1} } }
spec:
  nodeSelector: { kubernetes.io/hostname: $2 }
  terminationGracePeriodSeconds: 1
  containers:
    - { name: main, image: registry.k8s.io/e2e-test-images/agnhost:2.66.1, imagePullPolicy: IfNotPresent, args: [netexec, --http-port=8080] }
Y
}
tortie_pod() { k get pods -n tortie-system -l app.kubernetes.io/name=tortie-node --field-selector "spec.nodeName=$1" -o name | head -n1; }
# All that the agent of a node has said since the node was made.
agent_log() {
  if [ "$TORTIE_AS" = process ]; then cat "$LOGS/$1-agent.log"; else cat "$REAL/nodes/$1/var/log/pods/tortie-system_tortie-node-"*/agent/*.log; fi
}
# Ends the agent of a node as hard as that way of running it can, and settles when the next one is there.
replace_agent() {
  local former
  if [ "$TORTIE_AS" = process ]; then
    end "$1-agent" -KILL
    sleep 0.1
    bash "$HERE/tortie.sh" "$1"
    return
  fi
  former=$(tortie_pod "$1")
  k delete -n tortie-system "$former" --grace-period=1 >/dev/null
  for _ in $(seq 300); do
    [ -z "$(tortie_pod "$1")" ] || [ "$(tortie_pod "$1")" = "$former" ] || return 0
    sleep 0.1
  done
  fail "Cannot replace the agent of $1: no new pod within 30 s"
}
