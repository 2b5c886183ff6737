#!/bin/bash
# Kubernetes from the Go module proxy, each module in the version that Kubernetes itself asks for. $WHAT: some of it only.
. "$(dirname "$0")/env.sh"
command -v go >/dev/null || fail 'Cannot build Kubernetes: expected Go (as new as its go.mod says) on the path.'
what=${WHAT:-cmd/kube-apiserver cmd/kubelet cmd/kube-controller-manager cmd/kube-scheduler cmd/kube-proxy cmd/kubectl test/images/agnhost}
missing=
for component in $what; do [ -x "$BIN/$(basename "$component")" ] || missing="$missing $component"; done
[ -n "$missing" ] || exit 0

mkdir -p "$REAL/kubernetes"
cd "$REAL/kubernetes"
export GOFLAGS="-buildvcs=false" CGO_ENABLED=0
source=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
if ! grep -qs "kubernetes v$KUBERNETES\$" go.mod; then
  # What Kubernetes takes from its own staging folder is published as v0.MINOR.PATCH.
  {
    echo 'module real'
    sed -n '/^go /p; /^godebug/p' "$source/go.mod" | head -n1
    echo 'godebug default=go1.26'
    sed -n '/^require (/,/^)/p' "$source/go.mod" | grep -v ' v0.0.0'
    echo "require k8s.io/kubernetes v$KUBERNETES"
    echo 'replace ('
    grep -oE 'k8s.io/[a-z0-9-]+ => ./staging' "$source/go.mod" | awk -v v="v0.${KUBERNETES#1.}" '{print "  "$1" => "$1" "v}'
    echo ')'
  } >go.mod
  cp "$source/go.sum" go.sum
  {
    printf '//go:build tools\n\npackage real\n\nimport (\n'
    for component in $what test/e2e; do echo "	_ \"k8s.io/kubernetes/$component\""; done
    echo ')'
  } >tools.go
fi
base=k8s.io/component-base/version
minor=$(echo "$KUBERNETES" | cut -d. -f2)
flags="-s -w -X $base.gitVersion=v$KUBERNETES -X $base.gitMajor=1 -X $base.gitMinor=$minor"
flags="$flags -X k8s.io/client-go/pkg/version.gitVersion=v$KUBERNETES"
for component in $missing; do
  say "building $component"
  go build -mod=mod -trimpath -ldflags "$flags" -o "$BIN/" "k8s.io/kubernetes/$component"
done
