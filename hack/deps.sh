#!/bin/bash
# Debian packages that the build and the test cluster need. As root on Debian or Ubuntu they are installed; otherwise one line says which are missing.
# `deps.sh cluster` adds what is needed only where no Docker daemon runs and no node image can be pulled.
. "$(dirname "$0")/lib.sh"

# A C++ compiler for torch-sys; the rest for the scripts.
BASE=(gcc g++ make git jq python3 python3-pip ca-certificates iproute2 util-linux procps shellcheck)
# docker.io: the engine; mmdebstrap, busybox-static, iptables: the node image and taking the engine down without a trace.
CLUSTER=(docker.io iptables mmdebstrap busybox-static)

missing() {
  local p
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || echo "$p"
  done
}

main() {
  local want=("${BASE[@]}") lack
  if [ "${1:-}" = cluster ]; then
    want+=("${CLUSTER[@]}")
    # Where the kernel enforces AppArmor, the engine must be able to load its profile.
    if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then want+=(apparmor); fi
  fi
  # Debian's python3 comes without what makes environments; other Pythons have it.
  python3 -c 'import ensurepip' 2>/dev/null || want+=(python3-venv)
  # An engine from elsewhere (docker-ce, Docker Desktop) conflicts with docker.io and serves as well.
  if command -v dockerd >/dev/null || docker_answers; then want=("${want[@]/docker.io/}"); fi
  mapfile -t want < <(printf '%s\n' "${want[@]}" | grep .)
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: make sure that these (or their equivalents) are installed: ${want[*]}"
    return
  fi
  mapfile -t lack < <(missing "${want[@]}")
  [ "${#lack[@]}" -eq 0 ] && return
  [ "$(id -u)" = 0 ] || die "missing Debian packages; run: sudo apt-get install --no-install-recommends ${lack[*]}"
  say "installing Debian packages (about 20 s): ${lack[*]}"
  apt-get update -qq >"$BUILD/logs/apt.log" 2>&1 || say "apt-get update failed (see .build/logs/apt.log); trying with the lists at hand"
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${lack[@]}" >>"$BUILD/logs/apt.log" 2>&1 ||
    { tail -n 20 "$BUILD/logs/apt.log" >&2; die "apt-get could not install: ${lack[*]}"; }
}

docker_answers() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; }

need cargo "install Rust 1.95 or newer with rustup"
need go "install Go 1.26 or newer"
need node "install Node.js 20 or newer"
need npm "install npm (it comes with Node.js)"
need python3 "install Python 3.11 or newer"
locked apt main "$@"
