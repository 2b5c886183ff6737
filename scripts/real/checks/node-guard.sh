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
expect 403 'a block for another node' POST /apis/tortie.dev/v1alpha1/ipamblocks json \
  '{"apiVersion":"tortie.dev/v1alpha1","kind":"IPAMBlock","metadata":{"name":"x"},"spec":{"cidr":"10.65.0.0/26","node":"'$other'","pool":"p"}}'
# Admission judges what is not kept, too.
dry='?dryRun=All' blocks=/apis/tortie.dev/v1alpha1/ipamblocks
# CODE WHAT KIND NAME CHANGE [SUBRESOURCE]: the object as it is with a merge patch (RFC 7386, without removals), as agents write: whole.
change() {
  local whole
  whole=$(k get "$3" "$4" -o json | CHANGE=$5 "$NODE" -e '
    const merge = (into, change) => {
      for (const [key, value] of Object.entries(change))
        into[key] = typeof value === "object" && !Array.isArray(value) ? merge(into[key] ?? {}, value) : value;
      return into;
    };
    const object = JSON.parse(require("fs").readFileSync(0, "utf8"));
    console.log(JSON.stringify(merge(object, JSON.parse(process.env.CHANGE))));')
  expect "$1" "$2" PUT "/apis/tortie.dev/v1alpha1/$3/$4${6:-}$dry" json "$whole"
}
silent='{"status":{"conditions":[{"type":"Ready","status":"Unknown","reason":"AgentIsSilent","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}'
change 200 'its own status' nodestatuses "$own" '{"status":{"blocks":[]}}' /status
change 403 "another node's status" nodestatuses "$other" '{"status":{"blocks":[]}}' /status
change 200 'that another agent is silent' nodestatuses "$other" "$silent" /status
change 200 'its own addresses' nodeaddresses "$own" '{"metadata":{"labels":{"x":"y"}}}'
change 403 "another node's addresses" nodeaddresses "$other" '{"metadata":{"labels":{"x":"y"}}}'
block_of() { k get ipamblocks -o jsonpath="{range .items[?(@.spec.node==\"$1\")]}{.metadata.name}{\"\n\"}{end}" | sed -n 1p; }
mine=$(block_of "$own") theirs=$(block_of "$other")
[ -n "$mine" ] && [ -n "$theirs" ] || fail "Cannot check: expected a block of $own and one of $other"
address=$(k get ipamblock "$theirs" -o jsonpath='{.spec.cidr}')
address=${address%/*}
change 200 'its own block' ipamblocks "$mine" '{"spec":{"vacant":true}}'
change 403 'its own block given away' ipamblocks "$mine" '{"spec":{"node":"'$other'"}}'
change 422 'its own block made another one' ipamblocks "$mine" '{"spec":{"cidr":"192.0.2.0/26"}}'
change 403 "another node's block taken" ipamblocks "$theirs" '{"spec":{"node":"'$own'"}}'
change 403 "another node's block called vacant" ipamblocks "$theirs" '{"spec":{"vacant":true}}'
change 403 "another node's address offered" ipamblocks "$theirs" '{"spec":{"offers":["'$address'"]}}'
change 200 'an address borrowed' ipamblocks "$theirs" '{"spec":{"loans":[{"node":"'$own'","address":"'$address'"}]}}'
change 403 'an address borrowed for a third node' ipamblocks "$theirs" '{"spec":{"loans":[{"node":"node3","address":"'$address'"}]}}'
expect 403 "another node's block deleted" DELETE "$blocks/$theirs$dry" json '{}'
expect 200 'its own block deleted' DELETE "$blocks/$mine$dry" json '{}'
for policy in nodes nodestatuses nodeaddresses ipamblocks tiers; do
  warnings=$(k get validatingadmissionpolicy "$policy.tortie.dev" -o jsonpath='{.status.typeChecking.expressionWarnings}')
  [ -z "$warnings" ] || fail "FAILED: the API server warns of $policy.tortie.dev: $warnings"
done
say 'held: a node writes what is its own'
