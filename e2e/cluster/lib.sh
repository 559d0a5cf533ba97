# shellcheck shell=bash disable=SC2034 # variables are for those who read this file in
# What the cluster scripts share: names, places, which Docker is used, and whether the cluster is ours.
. "$(dirname "${BASH_SOURCE[0]}")/../../hack/lib.sh"

HERE=$ROOT/e2e/cluster
KIND_VERSION=v0.33.0
# One cluster per checkout: two checkouts on one machine or one Docker do not meet.
CLUSTER=fla-$(hash_of "$ROOT" | cut -c1-8)
NODE=$CLUSTER-control-plane
STATE=$BUILD/cluster
KUBECONFIG_OUT=$BUILD/kubeconfig
# Sockets and pid files of the engine that we start: short paths (a socket's may have 107 characters), and gone after a reboot.
DOCKER_RUN=/run/$CLUSTER
DOCKER_DATA=$BUILD/docker
mkdir -p "$STATE"
# kind makes the network it is told to; one of our own can be removed without asking who else uses it.
export KIND_EXPERIMENTAL_DOCKER_NETWORK=$CLUSTER
# Debian's docker.io has no buildx plugin; newer engines build with nothing else, and would add attestations that a node cannot load.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

own_docker_answers() { [ -S "$DOCKER_RUN/docker.sock" ] && timeout 10 docker -H "unix://$DOCKER_RUN/docker.sock" version >/dev/null 2>&1; }
user_docker_answers() { command -v docker >/dev/null && timeout 10 docker version >/dev/null 2>&1; }

# use_docker: points the docker client at the engine that serves this checkout; fails when none answers.
use_docker() {
  if own_docker_answers; then
    export DOCKER_HOST=unix://$DOCKER_RUN/docker.sock DOCKER_CONFIG=$STATE/docker-config
    mkdir -p "$DOCKER_CONFIG"
  else
    user_docker_answers
  fi
}

kind() { "$BUILD/kind/bin/kind" "$@"; }
kc() { kubectl --kubeconfig "$KUBECONFIG_OUT" "$@"; }
node_id() { docker inspect -f '{{.Id}}' "$NODE" 2>/dev/null; }
node_exists() { docker inspect "$NODE" >/dev/null 2>&1; }

# external: the user named a context of their own; nothing is created, loaded into nodes by force, or deleted.
external() { [ -n "${E2E_CONTEXT:-}" ]; }

# remove_cluster: also one whose creation was killed half-way.
remove_cluster() {
  rm -f "$STATE/ready"
  rm -rf "$STATE/loaded"
  if [ -x "$BUILD/kind/bin/kind" ]; then
    kind delete cluster -q --name "$CLUSTER" --kubeconfig "$KUBECONFIG_OUT" >/dev/null 2>&1 || true
  fi
  local left
  left=$(docker ps -aq --filter "label=io.x-k8s.kind.cluster=$CLUSTER")
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$left" ] || docker rm -fv $left >/dev/null
}
