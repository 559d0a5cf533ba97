#!/bin/bash
# Measurements: aggregation in GB/s beside a read-bandwidth probe of the same run, and the wall time of a round on the test cluster
# beside two bare Jobs that run the same trainer commands. `bench.sh aggregation` measures only the first and needs no cluster.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

aggregation() { cargo bench --locked -p aggregation; }

round() {
  e2e/cluster/up
  IMAGE_WITH=e2e hack/images.sh --load
  eval "$(e2e/cluster/env)"
  "${CARGO_TARGET_DIR:-$ROOT/target}/image/bench-round"
}

timed setup hack/setup.sh
[ $# -gt 0 ] || set -- aggregation round
for part in "$@"; do
  case $part in
    aggregation | round) timed "$part" "$part" ;;
    *) die "there is no measurement '$part': aggregation or round" ;;
  esac
done
