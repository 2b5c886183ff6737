#!/bin/bash
# A certificate authority, certificates of servers and clients, a kubeconfig of each client. Good for 30 days; kept.
. "$(dirname "$0")/env.sh"
umask 077
cd "$PKI"
certificate() { # NAME COMMON-NAME ORGANISATION [ALTERNATIVE-NAMES]
  [ ! -e "$1.crt" ] || return 0
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -subj "/O=$3/CN=$2" -out "$1.csr" 2>/dev/null
  printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' \
    "${4:+subjectAltName=$4}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile "$1.ext" 2>/dev/null
  rm "$1.csr" "$1.ext"
}
kubeconfig() { # NAME
  cat >"$1.conf" <<Y
apiVersion: v1
kind: Config
current-context: real
contexts: [{ name: real, context: { cluster: real, user: real } }]
clusters: [{ name: real, cluster: { server: "https://$CONTROL_IP:6443", certificate-authority: $PKI/ca.crt } }]
users: [{ name: real, user: { client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key } }]
Y
}
[ -e ca.crt ] || openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=real -days 30 -out ca.crt 2>/dev/null
[ -e sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
[ -e sa.pub ] || openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
names=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
certificate apiserver kube-apiserver real "IP:127.0.0.1,IP:$CONTROL_IP,IP:10.96.0.1,IP:fd00:96::1,$names"
certificate front front-proxy-client real
certificate admin admin system:masters
certificate controller-manager system:kube-controller-manager real
certificate scheduler system:kube-scheduler real
certificate proxy system:kube-proxy real
for name in $NODES; do
  certificate "$name" "system:node:$name" system:nodes "IP:10.0.0.${name#node},IP:fd00::${name#node},DNS:$name"
  kubeconfig "$name"
done
for name in admin controller-manager scheduler proxy; do kubeconfig "$name"; done
