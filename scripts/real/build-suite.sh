#!/bin/bash
# The network part of Kubernetes' end-to-end suite: heavy, and not needed for the cluster itself.
. "$(dirname "$0")/env.sh"
[ ! -x "$BIN/e2e.test" ] || exit 0
[ -e "$REAL/kubernetes/go.mod" ] || fail 'Cannot build the suite: expected `npm run real -- build` before.'
mkdir -p "$REAL/kubernetes/netsuite"
cp "$HERE/suite_test.go" "$REAL/kubernetes/netsuite/"
cd "$REAL/kubernetes"
CGO_ENABLED=0 GOFLAGS='-buildvcs=false -mod=mod' go test -c -o "$BIN/e2e.test" ./netsuite
