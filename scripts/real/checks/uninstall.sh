#!/bin/bash
# `tortie uninstall --yes` leaves nothing of Tortie in the cluster or on a node, and nothing of others is gone. Installs it again.
. "$(dirname "$0")/../env.sh"
[ "$TORTIE_AS" = daemonset ] || { say 'left out: it ends the DaemonSet'; exit 0; }
tortie() { in_control env KUBECONFIG="$KUBECONFIG" "$NODE" "$TORTIE/dist/src/cli.js" "$@"; }
foreign() { # NODE: what kube-proxy and the machine have
  on_node "$1" sh -c 'iptables-save; ip6tables-save' | grep -c KUBE- || true
}
before=$(foreign node1)
trap 'bash "$HERE/objects.sh"' EXIT
tortie uninstall | grep -q 'Nothing is changed' || fail 'FAILED: the plan does not end as a plan'
tortie uninstall --yes --timeout 180 || fail 'FAILED: tortie uninstall'
for name in $NODES; do
  said=$(on_node "$name" "$NODE" "$TORTIE/dist/src/cli.js" uninstall --this-node)
  [[ "$said" = 'Nothing of Tortie is on'* ]] || fail "FAILED: on $name: $said"
done
left=$(k get ns,all,crd,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings -A -o name | grep -iE 'tortie|projectcalico|policy\.networking\.k8s\.io' || true)
[ -z "$left" ] || fail "FAILED: still there: $left"
after=$(foreign node1)
[ "$after" -ge $((before / 2)) ] || fail "FAILED: kube-proxy had $before lines of rules on node1, and has $after"
say 'held: nothing of Tortie is left, on no node'
