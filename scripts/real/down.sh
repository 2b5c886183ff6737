#!/bin/bash
# Ends what these scripts started, by its process id and start, and removes their namespaces. What was built stays.
. "$(dirname "$0")/env.sh"
for name in $NODES; do
  end "$name-agent"
  end "$name-bgpd"
  bash "$HERE/node.sh" "$name" down
done
end apiserver -KILL # Its graceful end takes a minute.
for name in dns scheduler controller-manager etcd tor1 tor2; do end "$name"; done
for netns in $(ip netns list | awk '{print $1}' | grep "^tl-$LAB-" || true); do
  ip netns del "$netns"
  rm -rf "/etc/netns/$netns"
done
for mount in $(awk -v folder="$REAL/" 'index($2, folder) == 1 {print $2}' /proc/mounts); do umount -l "$mount"; done
rm -rf "$REAL/etcd" "$REAL/nodes" "$RUN"
