#!/bin/bash
# The images that pods of the suite and the checks ask for, made of what this machine has: no registry is asked.
. "$(dirname "$0")/env.sh"
work=$REAL/images/work
mkdir -p "$REAL/images"
archive() { # NAME:TAG FOLDER ENTRYPOINT(json) OUT: a Docker archive of one layer (image specification 1.2)
  local into=$work/archive id
  rm -rf "$into"
  mkdir -p "$into"
  tar -C "$2" --owner=0 --group=0 -cf "$into/layer.tar" .
  id=$(sha256sum "$into/layer.tar" | cut -d' ' -f1)
  cat >"$into/config.json" <<Y
{"architecture": "$(dpkg --print-architecture)", "os": "linux",
 "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Entrypoint": $3},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$id"]}}
Y
  echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$1\"], \"Layers\": [\"layer.tar\"]}]" >"$into/manifest.json"
  tar -C "$into" -cf "$4" manifest.json config.json layer.tar
}
applets() { # FOLDER: busybox under all its names
  mkdir -p "$1/bin" "$1/tmp" "$1/etc"
  chmod 1777 "$1/tmp"
  cp /bin/busybox "$1/bin/"
  for applet in $(/bin/busybox --list); do [ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"; done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
}
program() { # FOLDER FILE NAME: with the libraries that it is linked to
  mkdir -p "$1/usr/bin"
  cp -L "$2" "$1/usr/bin/$3"
  for library in $(ldd "$2" | grep -oE '/[^ ]+'); do
    mkdir -p "$1$(dirname "$library")"
    cp -Ln "$library" "$1$library"
  done
}

if [ ! -e "$REAL/images/pause.tar" ]; then
  mkdir -p "$work/pause"
  gcc -static -Os -x c -o "$work/pause/pause" - <<'Y'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int signal) { _exit(0); }
static void reap(int signal) { while (waitpid(-1, 0, WNOHANG) > 0) continue; }
int main(void) { signal(SIGINT, end); signal(SIGTERM, end); signal(SIGCHLD, reap); for (;;) pause(); }
Y
  archive registry.k8s.io/pause:3.10.2 "$work/pause" '["/pause"]' "$REAL/images/pause.tar"
fi
if [ ! -e "$REAL/images/busybox.tar" ]; then
  applets "$work/busybox"
  archive registry.k8s.io/e2e-test-images/busybox:1.37.0-2 "$work/busybox" '[]' "$REAL/images/busybox.tar"
fi
if [ ! -e "$REAL/images/agnhost.tar" ]; then
  [ -x "$BIN/agnhost" ] || fail "Cannot make the image of agnhost: expected $BIN/agnhost"
  root=$work/agnhost
  mkdir -p "$root"/{proc,dev,root,usr/bin}
  cp "$BIN/agnhost" "$root/agnhost"
  applets "$root"
  program "$root" /bin/bash bash
  program "$root" /usr/bin/curl curl
  program "$root" /usr/bin/nc.openbsd nc
  rm "$root/bin/nc" "$root/bin/sh" "$root/bin/wget"
  ln -s /usr/bin/bash "$root/bin/bash"
  ln -s /usr/bin/bash "$root/bin/sh"
  # busybox-static's wget crashes in getaddrinfo; the suite calls it as: wget -q -O - -T SECONDS URL
  cat >"$root/usr/bin/wget" <<'Y'
#!/usr/bin/bash
seconds=5
while [ $# -gt 1 ]; do
  case $1 in -T | --timeout) seconds=$2; shift ;; -O) shift ;; esac
  shift
done
exec curl -gsf -m "$seconds" "$1"
Y
  chmod +x "$root/usr/bin/wget"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  archive registry.k8s.io/e2e-test-images/agnhost:2.66.1 "$root" '["/agnhost"]' "$REAL/images/agnhost.tar"
fi
rm -rf "$work"
