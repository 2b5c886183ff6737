#!/bin/bash
# The rack with its two routers, then etcd, kube-apiserver, kube-controller-manager and kube-scheduler on the host outside.
. "$(dirname "$0")/env.sh"
for program in kube-apiserver kube-controller-manager kube-scheduler; do
  [ -x "$BIN/$program" ] || fail "Cannot start $program: expected $BIN/$program; npm run real -- build"
done
[ -e "/run/netns/$CONTROL_NETNS" ] || "$NODE" "$HERE/rack.mjs" network
for router in tor1 tor2; do alive "$router" || "$NODE" "$HERE/rack.mjs" router "$router"; done

background etcd nsenter --net="/run/netns/$CONTROL_NETNS" etcd --data-dir "$REAL/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
background apiserver nsenter --net="/run/netns/$CONTROL_NETNS" "$BIN/kube-apiserver" \
  --etcd-servers=http://127.0.0.1:2379 --advertise-address="$CONTROL_IP" --bind-address=0.0.0.0 --secure-port=6443 \
  --service-cluster-ip-range=10.96.0.0/16,fd00:96::/112 --allow-privileged \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
  --kubelet-client-certificate="$PKI/admin.crt" --kubelet-client-key="$PKI/admin.key" \
  --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc \
  --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
  --requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
  --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$PKI/front.crt" --proxy-client-key-file="$PKI/front.key"
for _ in $(seq 600); do
  k get --raw /readyz >/dev/null 2>&1 && break
  alive apiserver || fail "Cannot start kube-apiserver: $(tail -n3 "$LOGS/apiserver.log")"
  sleep 0.5
done
k get --raw /readyz >/dev/null || fail "Cannot reach kube-apiserver within 300 s: see $LOGS/apiserver.log"

conf=$PKI/controller-manager.conf
background controller-manager nsenter --net="/run/netns/$CONTROL_NETNS" "$BIN/kube-controller-manager" --kubeconfig="$conf" \
  --authentication-kubeconfig="$conf" --authorization-kubeconfig="$conf" --leader-elect=false --allocate-node-cidrs=false \
  --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" --use-service-account-credentials \
  --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"
conf=$PKI/scheduler.conf
background scheduler nsenter --net="/run/netns/$CONTROL_NETNS" "$BIN/kube-scheduler" --kubeconfig="$conf" \
  --authentication-kubeconfig="$conf" --authorization-kubeconfig="$conf" --leader-elect=false
say "control plane: $(k version -o json | grep -m2 gitVersion | tail -n1 | tr -d ' ,\"')"
