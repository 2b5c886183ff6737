#!/bin/bash
# A pod made anew under its name with other labels, while the agent's watch stands still: nothing passes by the former's policy.
. "$(dirname "$0")/../env.sh"
name=node3 space=check-same-name
address() { k get pod -n "$space" "$1" -o jsonpath='{.status.podIP}'; }
reaches() { k exec -n "$space" "$1" -- /agnhost connect "$2:8080" --timeout=2s >/dev/null 2>&1; }
finish() {
  end "$name-forward" -KILL
  k delete configmap -n tortie-system kubernetes-services-endpoint --ignore-not-found >/dev/null
  replace_agent "$name"
  k delete ns "$space" --ignore-not-found --wait=false >/dev/null
}
trap finish EXIT
k create ns "$space" >/dev/null
k apply -n "$space" -f - >/dev/null <<'Y'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: locked }
spec: { podSelector: { matchLabels: { app: locked } }, policyTypes: [Egress, Ingress] }
Y
background "$name-forward" nsenter -t "$(process_of "$name-init")" -m -n socat TCP-LISTEN:16443,bind=127.0.0.1,fork,reuseaddr "TCP:$CONTROL_IP:6443"
if [ "$TORTIE_AS" = process ]; then
  sed "s#https://$CONTROL_IP:6443#https://127.0.0.1:16443#" "$PKI/tortie-$name.conf" >"$PKI/tortie-$name-slow.conf"
  AGENT_CONFIG=$PKI/tortie-$name-slow.conf replace_agent "$name"
else
  k create configmap -n tortie-system kubernetes-services-endpoint --from-literal=KUBERNETES_SERVICE_HOST=127.0.0.1 \
    --from-literal=KUBERNETES_SERVICE_PORT=16443 >/dev/null
  replace_agent "$name"
fi
pod server node1 server
pod web-0 "$name" open
k wait -n "$space" --for=condition=Ready pod/server pod/web-0 --timeout=120s >/dev/null
reaches web-0 "$(address server)" || fail 'Cannot check: the first pod does not reach the server'
read -r forward _ <"$RUN/$name-forward.pid"
watches=$(pgrep -P "$forward")
kill -STOP $watches
k delete pod -n "$space" web-0 >/dev/null
pod web-0 "$name" locked
# It may wait for the watch, or start by what the agent asked for: in no case open.
k wait -n "$space" --for=condition=Ready pod/web-0 --timeout=40s >/dev/null 2>&1 || true
for _ in 1 2 3; do
  ! reaches web-0 "$(address server)" || fail "FAILED: the new pod has the former one's policy while the watch is behind"
  sleep 1
done
kill -CONT $watches
k wait -n "$space" --for=condition=Ready pod/web-0 --timeout=120s >/dev/null
! reaches web-0 "$(address server)" || fail 'FAILED: the new pod is open'
say 'held: a pod of the same name starts with its own policy'
