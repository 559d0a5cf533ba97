# shellcheck shell=bash disable=SC2034 # variables are for those who read this file in
# Shared by the scripts under hack/ and e2e/cluster/: where things are, how a step reports itself, how work is skipped when it is already done.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/.build
BIN=$BUILD/tools/bin
STAMPS=$BUILD/stamps
mkdir -p "$STAMPS" "$BUILD/locks" "$BUILD/logs"
export PATH="$BIN:$PATH"

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND HINT: one clear line when something that only the user can install is missing.
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is not installed: $2"; }

# hash_of FILE_OR_TEXT...: the key of a cache; files by content, everything else by its text.
hash_of() {
  local a
  for a in "$@"; do
    if [ -f "$a" ]; then sha256sum <"$a"; else printf '%s\n' "$a"; fi
  done | sha256sum | cut -c1-16
}

# fresh NAME KEY: true when NAME was last finished with exactly this key.
fresh() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$STAMPS/$1.tmp" && mv "$STAMPS/$1.tmp" "$STAMPS/$1"; }

# locked NAME COMMAND...: one holder at a time, so that two makes in one checkout do not tread on each other; a killed holder releases it.
# The command runs in a subshell: what it exports or assigns stays there.
locked() {
  local name=$1
  shift
  (
    exec 9>"$BUILD/locks/$name"
    flock -n 9 || { say "waiting for another run of $name"; flock 9; }
    "$@"
  )
}

# timed NAME COMMAND...: names a step and says how long it took.
# COMMAND stands alone on its line: behind `||` bash would ignore a failing line inside it.
timed() {
  local name=$1 start=$SECONDS
  shift
  say "==> $name"
  "$@"
  say "<== $name: $((SECONDS - start)) s"
}
