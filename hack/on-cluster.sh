#!/bin/bash
# The demo: a kind cluster, the images of this checkout, and six clients that train Fashion-MNIST together over an on-chain task.
#   KEEP=1   leaves the cluster up and says how to reach it
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/background.sh"
cd "$ROOT" || exit 1

finish() {
  local rc=$?
  trap - EXIT INT TERM
  [ -z "$UP" ] || stop_tree "$UP"
  if [ "${KEEP:-0}" = 1 ]; then
    say "the cluster is still up: eval \"\$(e2e/cluster/env)\"; make clean removes it"
  else
    e2e/cluster/down || say "taking the cluster down failed; try make clean"
  fi
  [ "$rc" -eq 0 ] && say "demo ended well after $((SECONDS / 60)) min $((SECONDS % 60)) s" || say "demo FAILED after $((SECONDS / 60)) min $((SECONDS % 60)) s"
  exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

timed setup hack/setup.sh
start_cluster
# The demo program shares its dependencies with the operator: one cargo call builds all of it.
IMAGE_COMPILE_ONLY=1 IMAGE_WITH=e2e hack/images.sh
wait_cluster
IMAGE_WITH=e2e hack/images.sh --load
eval "$(e2e/cluster/env)"
"${CARGO_TARGET_DIR:-$ROOT/target}/image/demo" "$@"
