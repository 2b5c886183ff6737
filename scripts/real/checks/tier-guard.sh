#!/bin/bash
# Who may write Calico policies into which tier: by RBAC on tiers and `tier.` resources, as manifests/base/tier-guard.yaml says. Nothing is kept.
. "$(dirname "$0")/../env.sh"
space=check-tier-guard
finish() {
  k delete ns "$space" --ignore-not-found --wait=false >/dev/null
  k delete clusterrole,clusterrolebinding "$space" --ignore-not-found >/dev/null
}
trap finish EXIT
k create ns "$space" >/dev/null
# She may write any policy, and enters one tier.
k apply -f - >/dev/null <<Y
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: $space }
rules:
  - { apiGroups: [projectcalico.org], resources: [networkpolicies, globalnetworkpolicies], verbs: [create, update, delete, get] }
  - { apiGroups: [projectcalico.org], resources: [tiers], resourceNames: [team], verbs: [get] }
  - { apiGroups: [projectcalico.org], resources: [tier.networkpolicies], resourceNames: ["team.*"], verbs: [create] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: $space }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $space }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: alice }]
Y
policy() { # KIND TIER
  local namespace=
  [ "$1" = GlobalNetworkPolicy ] || namespace=", namespace: $space"
  echo "{ apiVersion: projectcalico.org/v3, kind: $1, metadata: { name: $2.x$namespace }, spec: { tier: $2, selector: all() } }"
}
expect() { # yes|no WHO KIND TIER
  local said as=()
  [ "$2" = admin ] || as=(--as "$2")
  if said=$(policy "$3" "$4" | k create --dry-run=server "${as[@]}" -f - 2>&1); then said=yes; fi
  case $1 in
    yes) [ "$said" = yes ] || fail "FAILED: $2 cannot create a $3 in tier $4: $said" ;;
    no) [[ "$said" = *spec.tier* ]] || fail "FAILED: $2 may create a $3 in tier $4, or is refused for another reason: $said" ;;
  esac
}
expect yes alice NetworkPolicy team
expect no alice NetworkPolicy default
expect no alice GlobalNetworkPolicy team
expect yes admin NetworkPolicy default
expect yes admin GlobalNetworkPolicy kube-admin
expect no admin NetworkPolicy kube-admin
say 'held: policies enter tiers by the rights on them'
