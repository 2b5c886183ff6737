#!/bin/bash
# A DNS behind the address that kubelets give to pods, for the tests of the suite that ask for names.
. "$(dirname "$0")/env.sh"
background dns nsenter --net="/run/netns/$CONTROL_NETNS" "$NODE" "$HERE/dns.mjs"
k apply --server-side --force-conflicts -f - >/dev/null <<Y
apiVersion: v1
kind: Service
metadata: { name: kube-dns, namespace: kube-system }
spec: { clusterIP: 10.96.0.10, ports: [{ name: dns, port: 53, protocol: UDP }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: kube-dns-1, namespace: kube-system, labels: { kubernetes.io/service-name: kube-dns } }
addressType: IPv4
ports: [{ name: dns, port: 53, protocol: UDP }]
endpoints: [{ addresses: [$CONTROL_IP] }]
Y
