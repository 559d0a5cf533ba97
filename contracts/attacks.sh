#!/bin/bash
# Plays every attack in many histories on the real contract and writes the tables of docs/attacks.md (six minutes with two free cores;
# the seeds are fixed, so the same sources give the same tables). ATTACK_SEEDS=n: so many histories of each instead of 40, or 20 for groups.
#   --proposal   with docs/decisions/0006-unserved-voters.patch applied to a copy of the contracts; prints the tables
set -euo pipefail
cd "$(dirname "$0")"
ROOT=$(cd .. && pwd)
FORGE=${FORGE:-$ROOT/.build/tools/bin/forge}
[ -x "$FORGE" ] || ../hack/tools.sh
../hack/contract-deps.sh
page=("$ROOT/docs/attacks.md")
if [ "${1:-}" = --proposal ]; then
  page=()
  copy=$ROOT/.build/contracts/proposal
  # The other tests are about the money rules as they are, and would not compile.
  rm -rf "$copy" && mkdir -p "$copy/contracts/test/"{attacks,support} "$copy/.build/contracts"
  cp -r src foundry.toml "$copy/contracts/"
  cp test/attacks/{AttackTable.t,Simulation}.sol "$copy/contracts/test/attacks/"
  cp test/support/{Cheats,World}.sol "$copy/contracts/test/support/"
  ln -s "$ROOT/contracts/node_modules" "$copy/contracts/node_modules"
  ln -s "$ROOT/.build/tools" "$copy/.build/tools"
  patch -s -p1 -d "$copy" <"$ROOT/docs/decisions/0006-unserved-voters.patch"
  cd "$copy/contracts"
fi
mkdir -p ../.build/contracts/attacks
"$FORGE" test --match-contract AttackTable --no-match-contract '^$'
python3 "$ROOT/contracts/attack-table.py" ../.build/contracts/attacks "${page[@]}"
