#!/bin/bash
# Writes contracts/abi/<Contract>.json (ABI and bytecode, the part of forge's output that Rust reads), so that Rust builds need
# neither Node nor forge. `--check` changes nothing and fails if the committed files are not what the sources compile to.
set -euo pipefail
cd "$(dirname "$0")"
FORGE=${FORGE:-../.build/tools/bin/forge}
[ -x "$FORGE" ] || { echo "export-abi.sh: no forge at $FORGE; run hack/tools.sh first" >&2; exit 1; }
[ -d node_modules/@openzeppelin/contracts ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
"$FORGE" build --quiet src
python3 - "${1:-}" <<'PY'
import json, os, sys

check, drift = sys.argv[1] == "--check", []
for name in ("FlockToken", "FlockTaskManager", "FlockTask"):
    with open(f"../.build/contracts/out/{name}.sol/{name}.json") as f:
        built = json.load(f)
    # Where the code has its immutables, in the order of their declaration. The compiler names them by numbers that change
    # with any source file, so only the order is kept.
    references = built["deployedBytecode"].get("immutableReferences", {})
    places = [sorted(place["start"] for place in references[key]) for key in sorted(references, key=int)]
    pruned = {
        "abi": built["abi"],
        "bytecode": {"object": built["bytecode"]["object"]},
        "deployedBytecode": {"object": built["deployedBytecode"]["object"], "immutables": places},
    }
    text = json.dumps(pruned, indent=1) + "\n"
    path = f"abi/{name}.json"
    committed = open(path).read() if os.path.exists(path) else ""
    if check and committed != text:
        drift.append(path)
    # A file that stays what it is keeps its time: what is built from it is not built again.
    elif committed != text:
        os.makedirs("abi", exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
if drift:
    sys.exit("differs from the sources: " + ", ".join(drift) + " (run contracts/export-abi.sh)")
PY
