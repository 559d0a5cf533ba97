#!/bin/bash
# Builds all of Kubernetes, etcd and CoreDNS as one static binary, .build/node/hyperkube, from Go modules
# (6 to 10 minutes on two cores with a cold Go cache, half a minute with a warm one).
# hyperkube.sh has no network needs but a Go module proxy; it can run beside cargo builds.
. "$(dirname "$0")/lib.sh"
need go "install Go 1.26 or newer"

main() {
  local src=$HERE/node/hyperkube out=$BUILD/node/hyperkube key version ld p
  version=$(awk '$1 == "k8s.io/kubernetes" {print $2; exit}' "$src/go.mod")
  key=$(hash_of "$src"/*.go "$src/go.mod" "$src/go.sum" "$0" "$(go env GOVERSION)")
  fresh hyperkube "$key" && [ -x "$out" ] && return
  say "building Kubernetes $version from Go modules (6 to 10 minutes the first time)"
  ld="-s -w"
  # Without these a node reports a placeholder for its version, and kubeadm refuses it.
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    ld="$ld -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$(cut -d. -f2 <<<"$version")"
    ld="$ld -X $p.gitTreeState=clean -X $p.gitCommit=unknown -X $p.buildDate=1970-01-01T00:00:00Z"
  done
  mkdir -p "$BUILD/node"
  (cd "$src" && CGO_ENABLED=0 GOFLAGS=-mod=readonly nice -n 10 go build -trimpath -ldflags="$ld" -o "$out.new" .) >&2
  mv "$out.new" "$out"
  echo "$version" >"$BUILD/node/version"
  stamp hyperkube "$key"
}
locked hyperkube main
