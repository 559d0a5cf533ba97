#!/bin/bash
# The Solidity libraries of contracts/ (npm, pinned by contracts/package-lock.json).
. "$(dirname "$0")/lib.sh"
need npm "install npm (it comes with Node.js)"

main() {
  local dir=$ROOT/contracts key
  key=$(hash_of "$dir/package.json" "$dir/package-lock.json")
  fresh contract-deps "$key" && [ -d "$dir/node_modules" ] && return
  (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  stamp contract-deps "$key"
}
locked contract-deps main
