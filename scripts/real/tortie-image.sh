#!/bin/bash
# The image of this build, of what this machine has: made anew each time, since it takes seconds.
. "$(dirname "$0")/env.sh"
[ "$TORTIE_AS" = daemonset ] || exit 0
"$NODE" "$TORTIE/scripts/image/main.mjs" --base "${IMAGE_BASE:-machine}" --uncompressed --bare --output "$REAL/tortie.tar"
