#!/bin/bash
# Runs every finding: a line each, its output only when it no longer holds. Exits 1 if one has changed.
# Usage: findings/run-all.sh [NAME...]   without names all of them; TIMEOUT=600 seconds each
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=$(mktemp); trap 'rm -f "$output"' EXIT
case ${1-} in -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;; esac
for name in "$@"; do
  [ -x "$here/${name%.sh}.sh" ] || { echo "There is no finding \"$name\"; findings/README.md lists all" >&2; exit 2; }
done
[ $# -gt 0 ] || set -- $(find "$here" -maxdepth 1 -name '*.sh' ! -name run-all.sh -printf '%f\n' | sort)
changed=0
for name in "$@"; do
  name=${name%.sh}
  timeout "${TIMEOUT:-600}" "$here/$name.sh" > "$output" 2>&1; code=$?
  case $code in
    0) echo "holds    $name" ;;
    1) echo "CHANGED  $name"; sed 's/^/    /' "$output"; changed=1 ;;
    *) echo "unknown  $name (exit code $code)"; tail -5 "$output" | sed 's/^/    /' ;;
  esac
done
exit $changed
