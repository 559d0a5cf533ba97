#!/bin/bash
# generate.sh [--check]: writes the committed files that come from others: contracts/abi from the Solidity sources, the CRD YAML from crds/.
# --check: fails when that changes anything. The new files stay in place, ready to be looked at and committed.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

OUTPUTS=(contracts/abi crds/yaml charts/fl-alliance-crds docs/reference)

run() {
  "$ROOT/hack/contract-deps.sh"
  timed "contracts/abi" contracts/export-abi.sh
  # Drift of the CRDs is a unit test of crds: no build of its own is needed to check it.
  [ "${1:-}" = --check ] || timed "CRDs" cargo run --locked -q --bin crdgen
}

content() { find "${OUTPUTS[@]}" -type f -print0 2>/dev/null | sort -z | xargs -0 -r sha256sum; }

before=$(content)
"$ROOT/hack/tools.sh"
run "${1:-}"
if [ "${1:-}" = --check ]; then
  diff <(echo "$before") <(content) >&2 || die "generated files were not up to date (< before, > now): commit what make generate writes"
fi
