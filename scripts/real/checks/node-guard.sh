#!/bin/bash
# With the token of one node's agent: its own condition may be written, and nothing of another node, nor anything else of its own.
. "$(dirname "$0")/../env.sh"
[ "$TORTIE_AS" = daemonset ] || { say 'left out: only the tokens of pods name a node'; exit 0; }
own=node1 other=node2
pod=$(tortie_pod "$own")
token=$(k create token tortie-agent -n tortie-system --bound-object-kind Pod --bound-object-name "${pod#pod/}" \
  --bound-object-uid "$(k get -n tortie-system "$pod" -o jsonpath='{.metadata.uid}')")
answer() { # METHOD PATH TYPE BODY: the status code
  in_control curl -s -o /dev/null -w '%{http_code}' --cacert "$PKI/ca.crt" -H @<(echo "Authorization: Bearer $token") -X "$1" \
    -H "Content-Type: application/$3" -d "$4" "https://$CONTROL_IP:6443$2"
}
expect() { # CODE WHAT METHOD PATH TYPE BODY
  local code
  code=$(answer "${@:3}")
  [ "$code" = "$1" ] || fail "FAILED: $2 is answered with $code, expected $1"
}
merge=strategic-merge-patch+json
condition='{"status":{"conditions":[{"type":"NetworkUnavailable","status":"False","reason":"TortieIsUp"}]}}'
expect 200 'its own condition' PATCH "/api/v1/nodes/$own/status" $merge "$condition"
expect 403 "another node's condition" PATCH "/api/v1/nodes/$other/status" $merge "$condition"
expect 403 'another condition' PATCH "/api/v1/nodes/$own/status" $merge '{"status":{"conditions":[{"type":"Ready","status":"False"}]}}'
expect 403 'an address' PATCH "/api/v1/nodes/$own/status" $merge '{"status":{"addresses":[{"type":"ExternalIP","address":"192.0.2.7"}]}}'
expect 403 'a label' PATCH "/api/v1/nodes/$own/status" $merge '{"metadata":{"labels":{"x":"y"}}}'
expect 403 'a spec' PATCH "/api/v1/nodes/$own" $merge '{"spec":{"unschedulable":true}}'
expect 403 "another node's status" PATCH "/apis/tortie.dev/v1alpha1/nodestatuses/$other/status" merge-patch+json '{"status":{"blocks":[]}}'
expect 403 'a block for another node' POST /apis/tortie.dev/v1alpha1/ipamblocks json \
  '{"apiVersion":"tortie.dev/v1alpha1","kind":"IPAMBlock","metadata":{"name":"x"},"spec":{"cidr":"10.65.0.0/26","node":"'$other'","pool":"p"}}'
for policy in nodes nodestatuses ipamblocks tiers; do
  warnings=$(k get validatingadmissionpolicy "$policy.tortie.dev" -o jsonpath='{.status.typeChecking.expressionWarnings}')
  [ -z "$warnings" ] || fail "FAILED: the API server warns of $policy.tortie.dev: $warnings"
done
say 'held: a node writes what is its own'
