#!/bin/bash
# Static analysis of the contracts: completeness of the NatSpec, forge lint, and slither from PyPI in a virtual environment below
# .build (half a minute to set up the first time, which needs a package registry; then about 20 s, offline, and nothing where
# nothing has changed).
. "$(dirname "$0")/lib.sh"
need python3 "install Python 3.11 or newer"

main() {
  local requirements=$ROOT/hack/slither-requirements.txt key
  key=$(hash_of "$requirements")
  fresh slither "$key" && [ -x "$BUILD/slither/bin/slither" ] && return
  say "fetching slither"
  rm -rf "$BUILD/slither"
  python3 -m venv "$BUILD/slither"
  "$BUILD/slither/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements"
  stamp slither "$key"
}
locked slither main
"$ROOT/hack/tools.sh"
"$ROOT/hack/contract-deps.sh"

cd "$ROOT/contracts" || exit 1
mapfile -t inputs < <(find src -name '*.sol' | sort)
key=$(hash_of "${inputs[@]}" analyze.py analysis.toml foundry.toml package-lock.json ../hack/slither-requirements.txt)
fresh contract-analysis "$key" && { say "contracts: analysed before, and nothing has changed"; exit 0; }
"$BUILD/slither/bin/python" analyze.py
stamp contract-analysis "$key"
