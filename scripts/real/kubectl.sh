#!/bin/bash
# kubectl where the API server is.
. "$(dirname "$0")/env.sh"
k "$@"
