#!/bin/bash
# Process 1 of a node, in namespaces of its own (mount, UTS, IPC, PID) and the rack's network namespace: mounts, then waits.
set -eu
name=$1
files=$REAL/nodes/$name
mount --make-rprivate /
mount -t proc proc /proc
hostname "$name"
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/netns /run/xtables
for folder in var/lib/containerd var/lib/kubelet var/lib/cni var/lib/tortie var/log/pods var/log/containers etc/cni/net.d opt/cni/bin; do
  mkdir -p "$files/$folder" "/$folder"
  mount --bind "$files/$folder" "/$folder"
done
if [ -d "/etc/netns/tl-$LAB-$name/iproute2" ]; then mount --bind "/etc/netns/tl-$LAB-$name/iproute2" /etc/iproute2; fi
mount --make-rshared /
touch /run/node-ready
# bash reaps what is orphaned.
while :; do sleep 3600 & wait; done
