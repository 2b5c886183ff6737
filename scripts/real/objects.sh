#!/bin/bash
# What an operator does: `kubectl apply -k`, then pools and peers of this rack. By server-side apply, as Flux and Argo CD do.
. "$(dirname "$0")/env.sh"
apply() { k apply --server-side --force-conflicts "$@" >/dev/null; }
overlay=$REAL/overlay
rm -rf "$overlay"
mkdir -p "$overlay"
{
  echo 'apiVersion: kustomize.config.k8s.io/v1beta1'
  echo 'kind: Kustomization'
  echo "resources: [$(realpath --relative-to "$overlay" "$TORTIE/manifests/base")]"
  # As overlays/no-kube-proxy: nothing else leads agents to the API server.
  if [ "${PROXY_MODE:-}" = none ]; then
    echo 'generatorOptions: { disableNameSuffixHash: true }'
    echo 'configMapGenerator:'
    echo '  - name: kubernetes-services-endpoint'
    echo '    namespace: tortie-system'
    echo "    literals: [KUBERNETES_SERVICE_HOST=$CONTROL_IP, KUBERNETES_SERVICE_PORT=6443]"
  fi
  echo 'patches:'
  if [ "$TORTIE_AS" = process ]; then
    echo '  - { target: { kind: DaemonSet }, patch: "{$patch: delete, apiVersion: apps/v1, kind: DaemonSet, metadata: {name: tortie-node}}" }'
  else
    # Another image under the same name is a rolling update.
    build=$(sha256sum "$REAL/tortie.tar" | cut -c1-16 | sed "s/^/sha256-/")
    for kind in DaemonSet Deployment; do
      echo "  - target: { kind: $kind }"
      echo '    patch: |'
      echo "      - { op: add, path: /spec/template/metadata/annotations, value: { build: $build } }"
    done
  fi
  if [ "$TORTIE_AS" = daemonset ] && [ -n "${AGENT_FLAGS:-}" ]; then
    echo '  - target: { kind: DaemonSet }'
    echo '    patch: |'
    for flag in $AGENT_FLAGS; do echo "      - { op: add, path: /spec/template/spec/containers/1/args/-, value: \"$flag\" }"; done
  fi
} >"$overlay/kustomization.yaml"
# An uninstallation that was broken off would go on against what is installed now.
k delete daemonset -n tortie-system tortie-uninstall --ignore-not-found >/dev/null
apply -k "$overlay"
k wait --for=condition=Established crd --all --timeout=60s >/dev/null 2>&1
"$NODE" "$HERE/rack.mjs" objects | apply -f -
