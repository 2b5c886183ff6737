#!/bin/bash
# For ten minutes ($SECONDS_OF_KILLS) agent, bgpd, controller, API server and runtime are killed in random order, while pods come and go. At
# the end: every pod runs and reaches every other one, `tortie ipam check` and `tortie doctor` find nothing wrong.
. "$(dirname "$0")/../env.sh"
[ "$TORTIE_AS" = daemonset ] || { say 'left out: kubelet has to start what is killed'; exit 0; }
space=check-kills length=${SECONDS_OF_KILLS:-600}
RANDOM=${SEED:-1}
tortie() { in_control env KUBECONFIG="$KUBECONFIG" "$NODE" "$TORTIE/dist/src/cli.js" "$@"; }
# What `tortie doctor` says of a node, without what it says of an idle one of this machine. It ends with 1 where it finds something.
wrong() {
  local said
  said=$(k exec -n tortie-system "$(tortie_pod "$1")" -c agent -- tortie doctor -o json 2>/dev/null || true)
  "$NODE" -e '
    const { findings } = JSON.parse(require("fs").readFileSync(0, "utf8"));
    for (const { check, severity, where } of findings) if (severity !== "info") console.log(`${check} ${where}`);' <<<"$said" | sort -u
}
finish() { k delete ns "$space" --ignore-not-found --wait=false >/dev/null; }
trap finish EXIT
for name in $NODES; do wrong "$name" >"$LOGS/doctor-$name-before.log"; done
k create ns "$space" >/dev/null
k create deployment -n "$space" churn --image=registry.k8s.io/e2e-test-images/agnhost:2.66.1 --replicas=6 -- /agnhost netexec --http-port=8080 >/dev/null
end_at=$(($(date +%s) + length)) kills=0
while [ "$(date +%s)" -lt "$end_at" ]; do
  name=node$((RANDOM % 3 + 1))
  case $((RANDOM % 5)) in
    0) on_node "$name" pkill -KILL -f 'cli\.js agent' || true ;;
    1) on_node "$name" pkill -KILL -f 'cli\.js bgpd' || true ;;
    2) for each in $NODES; do on_node "$each" pkill -KILL -f 'cli\.js controller' || true; done ;;
    3) end apiserver -KILL; bash "$HERE/control-plane.sh" >/dev/null ;;
    4) end "$name-containerd" -KILL; bash "$HERE/node.sh" "$name" up >/dev/null 2>&1 || true ;;
  esac
  kills=$((kills + 1))
  k scale -n "$space" deployment/churn --replicas=$((RANDOM % 12 + 3)) >/dev/null 2>&1 || true
  sleep $((RANDOM % 10 + 2))
done
say "$kills kills; waiting for what is left to settle"
for name in $NODES; do bash "$HERE/node.sh" "$name" up >/dev/null; done
k scale -n "$space" deployment/churn --replicas=9 >/dev/null
# kubelet waits up to five minutes before it starts once more what was killed often.
k rollout status -n tortie-system daemonset/tortie-node --timeout=420s >/dev/null || fail 'FAILED: an agent or bgpd does not come back'
k rollout status -n "$space" deployment/churn --timeout=300s >/dev/null || fail 'FAILED: a pod does not start'
# A pod that ends is Running until it has ended.
for _ in $(seq 120); do
  [ "$(k get pods -n "$space" -o name | wc -l)" != 9 ] || break
  sleep 1
done
pods=$(k get pods -n "$space" -o name)
[ "$(wc -w <<<"$pods")" = 9 ] || fail "FAILED: two minutes later not nine pods are left: $pods"
addresses=$(k get pods -n "$space" -o jsonpath='{.items[*].status.podIPs[*].ip}')
for pod in $pods; do
  for address in $addresses; do
    case $address in *:*) target="[$address]" ;; *) target=$address ;; esac
    k exec -n "$space" "$pod" -- /agnhost connect "$target:8080" --timeout=5s >/dev/null 2>&1 || fail "FAILED: $pod does not reach $address"
  done
done
tortie ipam check || fail 'FAILED: tortie ipam check'
for name in $NODES; do
  wrong "$name" >"$LOGS/doctor-$name.log"
  new=$(comm -13 "$LOGS/doctor-$name-before.log" "$LOGS/doctor-$name.log")
  [ -z "$new" ] || fail "FAILED: tortie doctor on $name finds, and did not before: $new"
done
say "held: $kills kills in $length s, $(wc -w <<<"$addresses") addresses reach one another"
