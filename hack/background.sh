# shellcheck shell=bash
# The test cluster brought up beside other work: start_cluster, later wait_cluster; $UP is the process while it runs.
UP=

# The cluster comes up in the background from the start: where the node image is built here, its long Go build fills the gaps that cargo leaves.
start_cluster() {
  say "bringing the test cluster up in the background (log: .build/logs/cluster.log)"
  "$ROOT/e2e/cluster/up" >"$BUILD/logs/cluster.log" 2>&1 &
  UP=$!
}

wait_cluster() {
  local rc=0 pid=$UP
  kill -0 "$pid" 2>/dev/null && say "waiting for the test cluster (up to 10 minutes more where its node image is built; log: .build/logs/cluster.log)"
  wait "$pid" || rc=$?
  UP=
  [ "$rc" -eq 0 ] && return
  tail -n 20 "$BUILD/logs/cluster.log" >&2
  die "the test cluster did not come up"
}

# stop_tree PID: a process of ours with everything it started.
stop_tree() {
  local child children
  children=$(pgrep -P "$1") || true
  kill "$1" 2>/dev/null || true
  for child in $children; do stop_tree "$child"; done
}
