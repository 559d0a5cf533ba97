#!/bin/bash
# soak.sh: a million seeds of the simulation. What is done is kept in .build/soak.json: interrupted, it goes on from there.
#   SEEDS=1000000   how many
#   FROM=1000000    the first one: tests run those from 0 on
. "$(dirname "$0")/lib.sh"

cd "$ROOT" || exit 1
IMAGE_COMPILE_ONLY=1 hack/images.sh
exec "${CARGO_TARGET_DIR:-$ROOT/target}/image/simulate" \
  --seeds "${SEEDS:-1000000}" --from "${FROM:-1000000}" --resume "$BUILD/soak.json"
