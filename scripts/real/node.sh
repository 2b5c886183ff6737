#!/bin/bash
# node.sh NODE start|up|down|reboot: containerd, kubelet, kube-proxy and Tortie of a node, in namespaces of its own. `up` waits for Ready.
. "$(dirname "$0")/env.sh"
name=$1 action=${2:-up}
[[ " $NODES " = *" $name "* ]] || fail "Cannot start node \"$name\": expected one of $NODES"
number=${name#node} files=$REAL/nodes/$name netns=tl-$LAB-$name groups=tortie-$LAB-$name
inside() { on_node "$name" "$@"; }

down() {
  # Process 1 takes the whole PID namespace with it.
  end "$name-init" -KILL
  rm -f "$RUN/$name"-*.pid
  for group in /sys/fs/cgroup/*/"$groups" /sys/fs/cgroup/"$groups"; do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}
# What a reboot takes from a network namespace that stays.
forget_network() {
  local in="nsenter --net=/run/netns/$netns"
  $in ip -o link | grep -oE 'tort[0-9a-fx]+' | sort -u | xargs -r -n1 $in ip link del || true
  $in nft flush ruleset
  $in ipset destroy || true
  for family in -4 -6; do
    for protocol in 171 172; do $in ip $family route flush proto $protocol; done
  done
}
start_namespaces() {
  ! alive "$name-init" || return 0
  mkdir -p "$files"
  if [ -d /sys/fs/cgroup/cpuset ]; then
    for controller in /sys/fs/cgroup/*/; do mkdir -p "$controller$groups"; done
    for setting in cpus mems; do
      cat "/sys/fs/cgroup/cpuset/cpuset.$setting" >"/sys/fs/cgroup/cpuset/$groups/cpuset.$setting"
    done
  fi
  background "$name-init" nsenter --net="/run/netns/$netns" unshare -m -u -i -p -f --kill-child bash "$HERE/node-init.sh" "$name"
  for _ in $(seq 100); do
    inside test -e /run/node-ready 2>/dev/null && break
    sleep 0.1
  done
  inside test -e /run/node-ready || fail "Cannot start $name: $(tail -n3 "$LOGS/$name-init.log")"
  # A way to the API server before there is BGP: a real node has a static route, or DHCP.
  local hops
  hops=$(inside ip -4 -o addr show | awk '$2 ~ /^eth/ {split($4, a, "[./]"); printf " nexthop via %d.%d.%d.%d dev %s", a[1], a[2], a[3], a[4] - 1, $2}')
  inside ip route replace default metric 1024 $hops
}
start_containerd() {
  local path=/usr/sbin:/usr/bin:/sbin:/bin version=2 cri='plugins."io.containerd.grpc.v1.cri"' bins='bin_dir = "/opt/cni/bin"'
  local image="[$cri]
sandbox_image" runtime="[$cri.containerd.runtimes.runc]
runtime_type = \"io.containerd.runc.v2\""
  if [ "${CONTAINERD:-}" != debian ] && [ -x "$REAL/containerd-bin/containerd" ]; then
    path=$REAL/containerd-bin:$path version=3 cri="plugins.'io.containerd.cri.v1.runtime'" bins='bin_dirs = ["/opt/cni/bin"]'
    image="[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox" runtime="[$cri]
restrict_oom_score_adj = true"
  fi
  cat >"$files/containerd.toml" <<Y
version = $version
$image = "registry.k8s.io/pause:3.10.2"
$runtime
[$cri.cni]
$bins
conf_dir = "/etc/cni/net.d"
Y
  background "$name-containerd" nsenter -t "$(process_of "$name-init")" -m -u -i -n -p \
    env PATH="$path" containerd --config "$files/containerd.toml"
  for _ in $(seq 300); do inside ctr version >/dev/null 2>&1 && break; sleep 0.1; done
  local have
  have=$(inside ctr -n k8s.io images ls -q)
  for image in "$REAL"/images/*.tar; do
    grep -q "$(basename "$image" .tar):" <<<"$have" || inside ctr -n k8s.io images import "$image" >/dev/null
  done
  [ "$TORTIE_AS" != daemonset ] || inside ctr -n k8s.io images import "$REAL/tortie.tar" >/dev/null
}
start_kubelet() {
  cat >"$files/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: $PKI/ca.crt } }
authorization: { mode: Webhook }
tlsCertFile: $PKI/$name.crt
tlsPrivateKeyFile: $PKI/$name.key
cgroupDriver: cgroupfs
cgroupRoot: /$groups
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
evictionHard: { memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1% }
imageGCHighThresholdPercent: 100
enforceNodeAllocatable: [pods]
Y
  background "$name-kubelet" nsenter -t "$(process_of "$name-init")" -m -u -i -n -p "$BIN/kubelet" --config "$files/kubelet.yaml" \
    --kubeconfig "$PKI/$name.conf" --hostname-override "$name" --node-ip "10.0.0.$number,fd00::$number" --v=2
}
start_proxy() {
  [ "${PROXY_MODE:-}" != none ] || return 0
  # kube-proxy ends when its file is written, even if nothing in it changes.
  if alive "$name-proxy"; then return; fi
  cat >"$files/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: { kubeconfig: $PKI/proxy.conf }
mode: ${PROXY_MODE:-iptables}
clusterCIDR: 10.65.0.0/16,fd00:65::/112
hostnameOverride: $name
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
Y
  background "$name-proxy" nsenter -t "$(process_of "$name-init")" -m -u -i -n -p "$BIN/kube-proxy" --config "$files/kube-proxy.yaml"
}

case $action in
  down) down; exit ;;
  reboot) down; forget_network ;;
  start | up) ;;
  *) fail "Cannot \"$action\" node $name: expected start, up, down or reboot" ;;
esac
start_namespaces
start_containerd
start_kubelet
start_proxy
[ "$action" != start ] || exit 0
[ "$TORTIE_AS" = daemonset ] || bash "$HERE/tortie.sh" "$name"
for _ in $(seq 300); do
  k get "node/$name" >/dev/null 2>&1 && break
  alive "$name-kubelet" || fail "Cannot start kubelet: $(tail -n3 "$LOGS/$name-kubelet.log")"
  sleep 0.2
done
k wait --for=condition=Ready "node/$name" --timeout=120s
