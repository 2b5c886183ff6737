#!/bin/bash
# tortie.sh NODE: bgpd and agent of a node, with the rights of manifests/base/rbac.yaml alone; in the node's own PID namespace.
. "$(dirname "$0")/env.sh"
name=$1
config=$PKI/tortie-$name.conf
# $AGENT_CONFIG: another way to the API server, for the checks.
if ! alive "$name-agent" && [ -z "${AGENT_CONFIG:-}" ]; then
  token=$(k create token tortie-agent -n tortie-system --duration=24h)
  (umask 077 && cat >"$config") <<Y
apiVersion: v1
kind: Config
current-context: real
contexts: [{ name: real, context: { cluster: real, user: real } }]
clusters: [{ name: real, cluster: { server: "https://$CONTROL_IP:6443", certificate-authority: $PKI/ca.crt } }]
users: [{ name: real, user: { token: "$token" } }]
Y
fi
in="nsenter -t $(process_of "$name-init") -m -u -i -n -p"
background "$name-bgpd" $in "$NODE" "$TORTIE/dist/src/cli.js" bgpd
background "$name-agent" $in "$NODE" --max-semi-space-size=4 "$TORTIE/dist/src/cli.js" agent --node "$name" \
  --kubeconfig "${AGENT_CONFIG:-$config}" --cni-bin-dir /opt/cni/bin --cni-conf-dir /etc/cni/net.d ${AGENT_FLAGS:-}
