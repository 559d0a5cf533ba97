#!/bin/bash
# test.sh [PART]...: the checks, all of them by default, in this order:
#   contracts  Forge tests, gas, ABI and formatting as committed, static analysis
#   generate   committed ABI and CRD files are what their sources give
#   lint       formatting, clippy, scripts
#   unit       cargo tests of everything but the scenarios
#   kms        keys in AWS KMS: the feature aws-kms, against a stand-in for the service
#   simulation 10,000 seeds of the controller in a simulated world, and planted bugs that it must find
#   charts     helm lint and template, and what the charts promise
#   e2e        scenarios on a kind cluster with the images of this checkout
# and, only when named:
#   chaos      scenarios that break the node, the API server or the chain under everybody's feet, one after the other
#
#   SIMULATION_SEEDS=10000 how many seeds the simulation runs; from 10,000 on every fault must have struck
#   KEEP=1          leaves the cluster up at the end
#   E2E_ARGS=...    passed to the e2e test binary (a filter, for instance)
#   E2E_THREADS=3   how many scenarios run at once
#   E2E_CONTEXT=... runs the scenarios on a cluster of yours
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/background.sh"

cd "$ROOT" || exit 1

PARTS=(contracts generate lint unit kms simulation charts e2e)
SUMMARY=()
CLUSTER_USED=

contracts() {
  hack/contract-deps.sh
  contracts/test.sh
  hack/slither.sh
}

generate() { "$ROOT/hack/generate.sh" --check; }

lint() {
  cargo fmt --all --check
  cargo clippy --locked --workspace --all-targets -- -D warnings
  # No target of --all-targets, since they need a cluster.
  cargo clippy --locked --workspace --test scenarios -- -D warnings
  local scripts go
  mapfile -t scripts < <(git ls-files hack e2e/cluster .ci | while read -r f; do head -c 20 "$f" | grep -qE '^#!/bin/(ba)?sh|^# shellcheck' && echo "$f"; done)
  shellcheck -S warning -x -e SC1091 "${scripts[@]}"
  go=$(gofmt -l e2e/cluster)
  [ -z "$go" ] || die "not formatted with gofmt: $go"
}

# The whole workspace, here and below: another selection would mean other features and a second build of most dependencies.
unit() { cargo test --locked --workspace; }

# The same selection with one feature more: what the SDK brings is built beside all that is there.
kms() {
  cargo clippy --locked --workspace --features operator/aws-kms --lib --test kms -- -D warnings
  cargo test --locked --workspace --features operator/aws-kms --test kms
}

simulation() {
  local simulate=${CARGO_TARGET_DIR:-$ROOT/target}/image/simulate
  IMAGE_COMPILE_ONLY=1 hack/images.sh
  "$simulate" --regressions
  "$simulate" --twice --seeds 20
  "$simulate" --planted --seeds 2000
  timed "${SIMULATION_SEEDS:-10000} seeds" "$simulate" --seeds "${SIMULATION_SEEDS:-10000}"
}

charts() { charts/test.sh; }

# scenarios FLAGS...: those that E2E_ARGS selects. A filter that matches none is an error, not a pass.
scenarios() {
  local run=(cargo test --locked --workspace --test scenarios --) listed
  # shellcheck disable=SC2086 # words of their own
  listed=$("${run[@]}" "$@" ${E2E_ARGS:-} --list)
  grep -q ': test$' <<<"$listed" || die "no scenario is called like that: ${E2E_ARGS:-}"
  # shellcheck disable=SC2086
  "${run[@]}" "$@" ${E2E_ARGS:-}
}

e2e() {
  hack/images.sh --load
  eval "$(e2e/cluster/env)"
  scenarios --test-threads="${E2E_THREADS:-3}"
}

chaos() {
  hack/images.sh --load
  eval "$(e2e/cluster/env)"
  scenarios --ignored --nocapture --test-threads=1
}

finish() {
  local rc=$?
  trap - EXIT INT TERM
  [ -z "$UP" ] || stop_tree "$UP"
  if [ -n "$CLUSTER_USED" ]; then
    if [ "${KEEP:-0}" = 1 ]; then
      say "the cluster is still up: eval \"\$(e2e/cluster/env)\"; make clean removes it"
    else
      "$ROOT/e2e/cluster/down" || say "taking the cluster down failed; try make clean"
    fi
  fi
  printf '%s\n' "" "${SUMMARY[@]}" >&2
  if [ "$rc" -eq 0 ]; then say "all passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"; else say "FAILED after $((SECONDS / 60)) min $((SECONDS % 60)) s"; fi
  exit "$rc"
}

part() {
  local start=$SECONDS rc=0
  say "==> $1"
  # In a process of its own: bash ignores a failing line inside anything that is followed by ||.
  "$ROOT/hack/test.sh" --only "$1" || rc=$?
  SUMMARY+=("$(printf '  %-10s %5d s  %s' "$1" $((SECONDS - start)) "$([ $rc -eq 0 ] && echo passed || echo FAILED)")")
  return "$rc"
}

main() {
  local p
  if [ "${1:-}" = --only ]; then
    "$2"
    return
  fi
  [ $# -gt 0 ] || set -- "${PARTS[@]}"
  for p in "$@"; do
    [[ " ${PARTS[*]} chaos " == *" $p "* ]] || die "there is no part '$p': ${PARTS[*]} chaos"
  done
  # For a cluster of the user's also what sweeps it at the end.
  [ -z "${E2E_CONTEXT:-}" ] || export IMAGE_WITH=e2e
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  timed setup "$ROOT/hack/setup.sh"
  if [[ " $* " =~ " e2e "|" chaos " ]]; then
    CLUSTER_USED=yes
    start_cluster
  fi
  for p in "$@"; do
    if [ "$p" = e2e ] || [ "$p" = chaos ]; then
      IMAGE_COMPILE_ONLY=1 hack/images.sh # needs no cluster yet
      wait_cluster
    fi
    part "$p" || exit 1
  done
}
main "$@"
