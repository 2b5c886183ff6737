#!/bin/bash
# Helm from its Go module, for the check of that name.
. "$(dirname "$0")/env.sh"
[ ! -x "$BIN/helm" ] || exit 0
command -v go >/dev/null || fail 'Cannot build Helm: expected Go (as new as its go.mod says) on the path.'
version=${HELM_VERSION:-v4.3.2}
say "building helm $version"
GOBIN=$BIN CGO_ENABLED=0 go install -trimpath -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$version" \
  "helm.sh/helm/v4/cmd/helm@$version"
