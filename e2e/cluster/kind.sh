#!/bin/bash
# Builds the pinned kind from its Go module into .build/kind/bin (about 20 s the first time).
. "$(dirname "$0")/lib.sh"
need go "install Go 1.26 or newer"

main() {
  local key dir=$BUILD/kind
  key=$(hash_of "$KIND_VERSION" "$(go env GOVERSION)")
  fresh kind "$key" && [ -x "$dir/bin/kind" ] && return
  say "building kind $KIND_VERSION (about 20 s)"
  mkdir -p "$dir/bin"
  GOBIN=$dir/bin CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "sigs.k8s.io/kind@$KIND_VERSION" >&2
  # The module holds the node's own files, and names the node image that this kind was published with.
  go mod download -json "sigs.k8s.io/kind@$KIND_VERSION" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p' >"$dir/moddir"
  sed -n 's/^const Image = "\(.*\)"/\1/p' "$(cat "$dir/moddir")/pkg/apis/config/defaults/image.go" >"$dir/image"
  stamp kind "$key"
}
locked kind main
