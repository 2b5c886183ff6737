#!/bin/bash
# containerd 2 from its Go module, with the libraries that Kubernetes has, so that one build cache serves both.
. "$(dirname "$0")/env.sh"
version=${CONTAINERD_VERSION:-v2.3.3}
into=$REAL/containerd-bin
module=github.com/containerd/containerd/v2
[ "${CONTAINERD:-}" != debian ] || exit 0
mkdir -p "$REAL/containerd" "$into"
cd "$REAL/containerd"
export GOFLAGS="-buildvcs=false -mod=mod" CGO_ENABLED=0
programs='containerd containerd-shim-runc-v2 ctr'
if [ ! -e go.sum ]; then
  # This containerd's cri-api is older than that of Kubernetes.
  sed 's/^module real/module real-containerd/; s,cri-api => k8s.io/cri-api v.*,cri-api => k8s.io/cri-api v0.36.0,' \
    ../kubernetes/go.mod >go.mod
  {
    printf '//go:build tools\n\npackage containerd\n\nimport (\n'
    for program in $programs; do echo "	_ \"$module/cmd/$program\""; done
    echo ')'
  } >tools.go
  go get "$module@$version"
  cat ../kubernetes/go.sum >>go.sum
fi
for program in $programs; do
  [ ! -x "$into/$program" ] || continue
  say "building $program"
  go build -trimpath -ldflags "-s -w -X $module/version.Version=$version" -o "$into/" "$module/cmd/$program"
done
