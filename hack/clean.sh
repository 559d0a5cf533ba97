#!/bin/bash
# Removes everything that building and testing made: cluster, images, the Docker engine if we started it, .build, target.
# Debian packages that were installed stay.
. "$(dirname "$0")/lib.sh"
"$ROOT/e2e/cluster/down" --purge
rm -rf "$BUILD" "$ROOT/target" "$ROOT/contracts/node_modules" "$ROOT/contracts/out" "$ROOT/contracts/cache"
