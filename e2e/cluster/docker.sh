#!/bin/bash
# docker.sh up | down [--purge]: a Docker engine where none runs.
#
# up:   uses the running engine if one answers; otherwise, as root, starts Debian's dockerd with its data under .build/docker.
# down: stops the engine that `up` started and takes back what it did to the host; --purge deletes its data (images) as well.
#       An engine that was running before is never touched.
. "$(dirname "$0")/lib.sh"

BEFORE=$STATE/before-docker

up() {
  use_docker && return
  [ "$(id -u)" = 0 ] || die "no Docker engine answers, and only root can start one: start Docker, or name a cluster with E2E_CONTEXT"
  "$ROOT/hack/deps.sh" cluster
  use_docker && return # where services run, installing it has started it
  stop_stale
  mkdir -p "$DOCKER_RUN" "$DOCKER_DATA" && chmod 700 "$DOCKER_RUN"
  remember
  local args=(--data-root "$DOCKER_DATA" --exec-root "$DOCKER_RUN/exec" -H "unix://$DOCKER_RUN/docker.sock" --pidfile "$DOCKER_RUN/docker.pid"
    --bridge none) # kind makes a network of its own; images are built without any
  # A bounding set without CAP_SYS_RESOURCE (bit 24; some CI machines): `--privileged` of docker 20.10 asks for it all the same, and runc refuses.
  if (( (16#$(awk '/^CapBnd/{print $2}' /proc/self/status) >> 24 & 1) == 0 )); then
    args+=(--oom-score-adjust 0 --add-runtime "reduced=$HERE/runc-without-sys-resource" --default-runtime reduced)
  fi
  say "starting a Docker engine of our own (log: .build/logs/dockerd.log)"
  # 9>&-: the engine outlives this script and must not keep the script's lock.
  setsid nohup dockerd "${args[@]}" >"$BUILD/logs/dockerd.log" 2>&1 </dev/null 9>&- &
  local pid=$!
  for _ in $(seq 150); do
    own_docker_answers && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 8 "$BUILD/logs/dockerd.log" >&2
  die "the Docker engine did not come up"
}

# remember: what the host looked like, so that `down` can put it back. Kept from the first start until a `down`.
remember() {
  [ -s "$BEFORE" ] && return
  {
    echo "forward=$(cat /proc/sys/net/ipv4/ip_forward 2>/dev/null)"
    echo "policy=$(iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')"
    [ -e /etc/docker/key.json ] || echo "made=/etc/docker/key.json"
    local p
    for p in /etc/docker /opt/containerd /run/containerd /run/docker /var/lib/docker; do [ -e "$p" ] || echo "made=$p"; done
  } >"$BEFORE.tmp" && mv "$BEFORE.tmp" "$BEFORE"
}

our_dockerd() {
  local pid
  pid=$(cat "$DOCKER_RUN/docker.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && grep -qs "dockerd" "/proc/$pid/comm" && echo "$pid"
}

# stop_stale: an engine of ours that no longer answers, from a run that was killed.
stop_stale() {
  local pid
  if pid=$(our_dockerd); then
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.2; done
    [ -d "/proc/$pid" ] && kill -9 "$pid" 2>/dev/null
  fi
  # What a killed engine leaves: its containerd, and shims, which name our folder on their command line. A shim's child is the first
  # process of a container: with it the container's whole process tree ends.
  for pid in $(shims); do
    # shellcheck disable=SC2046 # a list of ids
    kill -9 "$pid" $(pgrep -P "$pid") 2>/dev/null || true
  done
  rm -f "$DOCKER_RUN/docker.pid" "$DOCKER_RUN/docker.sock"
}

shims() {
  local p
  for p in /proc/[0-9]*; do
    case "$(cat "$p/comm" 2>/dev/null)" in
      containerd*) tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -qF "$DOCKER_RUN/" && echo "${p#/proc/}" ;;
    esac
  done
  return 0
}

down() {
  if own_docker_answers; then
    local D=(docker -H "unix://$DOCKER_RUN/docker.sock") ids
    ids=$("${D[@]}" ps -aq)
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$ids" ] || "${D[@]}" rm -fv $ids >/dev/null
    ids=$("${D[@]}" network ls -q --filter type=custom)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || "${D[@]}" network rm $ids >/dev/null
    [ "${1:-}" = --purge ] || "${D[@]}" image prune -f >/dev/null # untagged leftovers of earlier builds
  fi
  if [ -d "$DOCKER_RUN" ]; then
    say "stopping our Docker engine"
    stop_stale
    unmount_at_and_below "$DOCKER_RUN"
    rm -rf "$DOCKER_RUN"
  fi
  unmount_at_and_below "$DOCKER_DATA"
  [ -s "$BEFORE" ] && restore
  if [ "${1:-}" = --purge ]; then rm -rf "$DOCKER_DATA"; fi
}

# The folder itself too: an engine mounts its data on itself, and one that was killed has left it so.
unmount_at_and_below() {
  local m
  awk -v d="$1/" 'index($2 "/", d) == 1 {print $2}' /proc/mounts | sort -r | while read -r m; do umount -l "$m"; done
}

restore() {
  local made
  # Another engine on this host owns these chains and folders as much as ours did: leave them to it.
  if pgrep -x dockerd >/dev/null; then
    rm -f "$BEFORE"
    return
  fi
  iptables -D FORWARD -j DOCKER-USER 2>/dev/null || true
  iptables -D FORWARD -j DOCKER-ISOLATION-STAGE-1 2>/dev/null || true
  local c t
  for t in filter nat; do
    for c in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do iptables -t "$t" -F "$c" 2>/dev/null || true; done
  done
  iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j DOCKER 2>/dev/null || true
  iptables -t nat -D OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER 2>/dev/null || true
  for t in filter nat; do
    for c in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do iptables -t "$t" -X "$c" 2>/dev/null || true; done
  done
  local policy forward
  policy=$(sed -n 's/^policy=//p' "$BEFORE")
  forward=$(sed -n 's/^forward=//p' "$BEFORE")
  [ -z "$policy" ] || iptables -P FORWARD "$policy" 2>/dev/null || true
  [ -z "$forward" ] || echo "$forward" >/proc/sys/net/ipv4/ip_forward 2>/dev/null || true
  sed -n 's/^made=//p' "$BEFORE" | while read -r made; do
    case $made in
      /run/docker | /etc/docker/key.json) rm -rf "$made" ;;
      *) find "$made" -depth -type d -empty -delete 2>/dev/null || true ;;
    esac
  done
  find /sys/fs/cgroup -depth -type d -path '*/docker/*' -exec rmdir {} + 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d -name docker -exec rmdir {} + 2>/dev/null || true
  rm -f "$BEFORE"
}

case "${1:-}" in
  up) locked docker up ;;
  down) locked docker down "${2:-}" ;;
  *) die "usage: docker.sh up | down [--purge]" ;;
esac
