#!/bin/bash
# Prints the name of a kind node image that is present in Docker. In this order:
#   1. $NODE_IMAGE, if set;
#   2. the image built here before, if it is still there and nothing it is made of changed;
#   3. the published image that this kind was released with, where a registry can be reached;
#   4. one built here: Debian packages by mmdebstrap, Kubernetes by hyperkube.sh, kind's own node files read from the kind module (about a minute more).
. "$(dirname "$0")/lib.sh"

pullable() {
  local image=$1
  docker image inspect "$image" >/dev/null 2>&1 && return
  # A registry that cannot be reached may also just swallow packets: ask for the small thing first, and not for long.
  timeout 15 docker manifest inspect "${image%@*}" >/dev/null 2>&1 || return 1
  say "pulling $image (400 MB)"
  timeout 900 docker pull -q "$image" >&2
}

main() {
  use_docker || die "no Docker engine answers; e2e/cluster/docker.sh up starts one"
  if [ -n "${NODE_IMAGE:-}" ]; then
    echo "$NODE_IMAGE"
    return
  fi
  "$HERE/kind.sh"
  local key tag published
  key=$(hash_of "$HERE"/node/*.* "$HERE"/node/hyperkube/* "$HERE/node-rootfs.sh" "$KIND_VERSION")
  tag=fl-alliance/kind-node:$key
  if docker image inspect "$tag" >/dev/null 2>&1; then
    echo "$tag"
    return
  fi
  published=$(cat "$BUILD/kind/image")
  if pullable "$published"; then
    echo "$published"
    return
  fi
  say "no registry: building the node image here"
  [ "$(id -u)" = 0 ] || die "the published node image cannot be pulled, and only root can build one: run as root, set NODE_IMAGE, or name a cluster with E2E_CONTEXT"
  "$ROOT/hack/deps.sh" cluster
  "$HERE/hyperkube.sh"
  timed "node image (about 40 s)" "$HERE/node-rootfs.sh" "$tag"
  echo "$tag"
}
locked node-image main
