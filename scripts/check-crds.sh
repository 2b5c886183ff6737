#!/bin/sh
# Validates manifests/crds, and objects with every list filled, with the code of a real API server: apiextensions-apiserver
# from the Go module proxy, in a temporary folder. Needs Go 1.26 and a build (npm run build). Not part of CI: the first run
# compiles for minutes. VERSION=v0.36.4 asks another Kubernetes (v0.37.2 is 1.37.2).
set -eu
VERSION=${VERSION:-v0.37.2}
here=$(cd "$(dirname "$0")/.." && pwd)
folder=${FOLDER:-$(mktemp -d)}
[ -n "${FOLDER:-}" ] || trap 'rm -rf "$folder"' EXIT
cp "$here/scripts/check-crds/main.go" "$folder/"
node -e "
  import('$here/dist/test/api/crds/filled-objects.js').then(async ({ filledObjectsOf }) => {
    const { customResourceDefinitions: crds } = await import('$here/dist/src/api/crds/index.js');
    console.log(JSON.stringify([1, 2].map((seed) => filledObjectsOf(crds, { seed, lists: 'all' }))));
  });
" > "$folder/objects.json"
cd "$folder"
[ -e go.mod ] || { go mod init check-crds; go get "k8s.io/apiextensions-apiserver@$VERSION"; go mod tidy; } 2>/dev/null
CGO_ENABLED=0 go build -p 2 -o check-crds .
./check-crds "$here/manifests/crds" objects.json
