#!/bin/bash
# Everything there is to check about the contracts: formatting, the committed ABI, gas, and the tests. About half a minute, most of it
# compiling.
set -euo pipefail
cd "$(dirname "$0")"
FORGE=${FORGE:-../.build/tools/bin/forge}
[ -x "$FORGE" ] || ../hack/tools.sh
[ -d node_modules/@openzeppelin/contracts ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
"$FORGE" fmt --check
./export-abi.sh --check
./gas.sh --check
"$FORGE" test "$@"
