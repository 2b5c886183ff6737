#!/bin/bash
# Flux and Argo CD apply so: twice, by two owners, with every list of a BGPConfiguration.
. "$(dirname "$0")/../env.sh"
for owner in first second; do
  k apply --server-side --dry-run=server --force-conflicts --field-manager="$owner" -f - >/dev/null <<'Y' ||
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec:
  serviceClusterIPs: [{ cidr: 10.96.0.0/16 }, { cidr: "fd00:96::/112" }]
  serviceExternalIPs: [{ cidr: 192.0.2.0/25 }]
  serviceLoadBalancerIPs: [{ cidr: 192.0.2.128/25 }]
  communities: [{ name: gold, value: "64512:100" }]
  prefixAdvertisements: [{ cidr: 10.65.0.0/16, communities: [gold] }]
Y
    fail 'FAILED: a BGPConfiguration cannot be applied on the server'
done
say 'held: kubectl apply --server-side'
