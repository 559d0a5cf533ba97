#!/bin/bash
# fuzz.sh [FORGE ARGUMENT]...: the long profile of the contracts' invariants (contracts/test/invariants), a million calls by default.
# Prints where it is every 15 seconds, in the end how often every place worth reaching was reached, and fails if one never was.
#   FUZZ_RUNS=1000      histories per campaign, each of 500 calls; 40 or so are the least that reach everything
#   ARGS='--fuzz-seed 0x1234'   other histories than the last time
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/background.sh"

RUNS=${FUZZ_RUNS:-1000}
CALLS=500 # per history
CAMPAIGNS=2
FIGURES=$BUILD/contracts/fuzz
LOG=$BUILD/logs/fuzz.log

# Every history appends its figures, so counting one line of them counts the histories that are over.
histories() { cat "$FIGURES"/*.tsv 2>/dev/null | grep -c $'\t''calls to the contracts, accepted$' || true; }

progress() {
  while sleep 15; do
    say "$(($(histories) * CALLS)) of $((RUNS * CALLS * CAMPAIGNS)) calls"
  done
}

report() {
  sed -n 's/.*\(invariant_[a-z_]*\)() (\(runs: .*\))$/  \1: \2/p' "$LOG"
  cat "$FIGURES"/*.tsv | awk -F '\t' '
    !($2 in sum) { order[++n] = $2 }
    { sum[$2] += $1 }
    END {
      for (i = 1; i <= n; i++) {
        printf "  %12d  %s\n", sum[order[i]], order[i]
        if (sum[order[i]] == 0) never = never "\n  " order[i]
      }
      if (never != "") { print "never reached:" never; exit 1 }
    }'
}

main() {
  rm -rf "$FIGURES"
  mkdir -p "$FIGURES"
  cd "$ROOT/contracts" || exit 1
  timed "compile" forge build --quiet
  local start=$SECONDS watcher rc=0
  progress &
  watcher=$!
  FUZZ_FIGURES=$FIGURES FOUNDRY_INVARIANT_RUNS=$RUNS FOUNDRY_INVARIANT_DEPTH=$CALLS \
    forge test --match-path 'test/invariants/*' --match-test '^invariant_' "$@" >"$LOG" 2>&1 || rc=$?
  stop_tree "$watcher"
  if [ $rc -ne 0 ]; then
    grep -v '^|' "$LOG" >&2
    die "an invariant broke; the history above reproduces it, make it a test of its own"
  fi
  report
  say "passed in $((SECONDS - start)) s"
}

"$ROOT/hack/tools.sh"
"$ROOT/hack/contract-deps.sh"
locked fuzz main "$@"
