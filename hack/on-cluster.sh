#!/bin/bash
# on-cluster.sh PROGRAM [ARGUMENT]...: runs a program of the e2e package (demo, round-bench) on the test cluster with the images of this
# checkout, and takes the cluster down at the end.
#   KEEP=1            leaves the cluster up and says how to reach it
#   E2E_CONTEXT=name  uses a cluster of yours
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/background.sh"
cd "$ROOT" || exit 1

PROGRAM=${1:?usage: on-cluster.sh PROGRAM [ARGUMENT]...}
shift

finish() {
  local rc=$?
  trap - EXIT INT TERM
  [ -z "$UP" ] || stop_tree "$UP"
  if [ "${KEEP:-0}" = 1 ]; then
    say "the cluster is still up: eval \"\$(e2e/cluster/env)\"; make clean removes it"
  else
    e2e/cluster/down || say "taking the cluster down failed; try make clean"
  fi
  [ "$rc" -eq 0 ] && say "$PROGRAM ended well after $((SECONDS / 60)) min $((SECONDS % 60)) s" || say "$PROGRAM FAILED after $((SECONDS / 60)) min $((SECONDS % 60)) s"
  exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

timed setup hack/setup.sh
start_cluster
# The program shares its dependencies with the operator: one cargo call builds all of it.
IMAGE_COMPILE_ONLY=1 IMAGE_WITH=e2e hack/images.sh
wait_cluster
IMAGE_WITH=e2e hack/images.sh --load operator trainer devnet depot
eval "$(e2e/cluster/env)"
"${CARGO_TARGET_DIR:-$ROOT/target}/image/$PROGRAM" "$@"
