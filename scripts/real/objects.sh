#!/bin/bash
# Our resource definitions, roles and the rack's own objects: by server-side apply, as Flux and Argo CD do.
. "$(dirname "$0")/env.sh"
apply() { k apply --server-side --force-conflicts "$@" >/dev/null; }
apply -f "$TORTIE/manifests/crds"
k wait --for=condition=Established crd --all --timeout=60s >/dev/null
apply -f "$TORTIE/manifests/rbac.yaml"
"$NODE" "$HERE/rack.mjs" objects | apply -f -
