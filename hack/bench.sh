#!/bin/bash
# bench.sh [aggregation|round]...: measurements, all of them by default.
#   aggregation  GB/s beside a read-bandwidth probe of the same run; needs no cluster
#   round        wall time of a round beside two bare Jobs that run the same trainer commands; on the test cluster, about six minutes
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

timed setup hack/setup.sh
[ $# -gt 0 ] || set -- aggregation round
for part in "$@"; do
  case $part in
    aggregation) timed "$part" cargo bench --locked -p aggregation ;;
    round) timed "$part" hack/on-cluster.sh round-bench ;;
    *) die "there is no measurement '$part': aggregation or round" ;;
  esac
done
