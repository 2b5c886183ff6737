#!/bin/bash
# Helm itself with the chart that `tortie install --chart` writes: lint, templates equal to the kustomizations, an installation that serves
# pods and is what `kubectl apply -k` would make of it, an upgrade; then all of it away. Installs Tortie again as it was.
. "$(dirname "$0")/../env.sh"
[ -x "$BIN/helm" ] || { say 'left out: expected `npm run real -- build-helm` before'; exit 0; }
[ "$TORTIE_AS" = daemonset ] || { say 'left out: the chart has the DaemonSet'; exit 0; }
space=check-helm
work=$(mktemp -d)
tortie() { in_control env KUBECONFIG="$KUBECONFIG" "$NODE" "$TORTIE/dist/src/cli.js" "$@"; }
helm() { in_control env HELM_CACHE_HOME="$work/cache" HELM_CONFIG_HOME="$work/config" HELM_DATA_HOME="$work/data" "$BIN/helm" "$@"; }
finish() {
  k delete ns "$space" --ignore-not-found --wait=false >/dev/null
  bash "$HERE/objects.sh"
  rm -rf "$work"
}
trap finish EXIT
(cd "$TORTIE" && TORTIE_HELM=$BIN/helm npx mocha dist/test/install/helm-chart.test.js) >"$LOGS/helm.log" 2>&1 ||
  fail "FAILED: helm's lint or templates: see $LOGS/helm.log"
! grep -q pending "$LOGS/helm.log" || fail "Cannot check: the test of the chart left helm out: see $LOGS/helm.log"

"$NODE" "$HERE/rack.mjs" values >"$work/values.yaml"
tortie install --chart "$work/tortie" >/dev/null
tortie uninstall --yes --timeout 180 >/dev/null
helm install tortie "$work/tortie" --values "$work/values.yaml" --wait --timeout 300s >/dev/null || fail 'FAILED: helm install'
difference=$(k diff --server-side --force-conflicts -k "$TORTIE/manifests/base" 2>&1 || true)
[ -z "$difference" ] || fail "FAILED: what helm installed is not what kustomize says: $difference"
k create ns "$space" >/dev/null
for name in $NODES; do pod "on-$name" "$name"; done
k wait -n "$space" --for=condition=Ready pod --all --timeout=120s >/dev/null || fail 'FAILED: a pod does not start'
before=$(k get daemonset -n tortie-system tortie-node -o jsonpath='{.metadata.generation}')
helm upgrade tortie "$work/tortie" --values "$work/values.yaml" --set agentEnvironment.TORTIE_POD_TO_HOST=accept \
  --set 'agentArgs={--services=off}' --wait --timeout 300s >/dev/null || fail 'FAILED: helm upgrade'
after=$(k get daemonset -n tortie-system tortie-node -o jsonpath='{.metadata.generation}')
[ "$after" -gt "$before" ] || fail 'FAILED: helm upgrade did not change the DaemonSet'
k delete ns "$space" >/dev/null

tortie uninstall --yes --timeout 180 || fail 'FAILED: tortie uninstall of what helm installed'
helm uninstall tortie >/dev/null || fail 'FAILED: helm uninstall after tortie uninstall'
left=$(k get ns,all,crd,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,secrets -A -o name |
  grep -iE 'tortie|projectcalico|policy\.networking\.k8s\.io|helm' || true)
[ -z "$left" ] || fail "FAILED: still there: $left"
say "held: $(helm version --template '{{ .Version }}') installs, upgrades and removes what kustomize makes"
