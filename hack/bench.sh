#!/bin/bash
# Measurements: aggregation in GB/s beside a read-bandwidth probe of the same run. Needs no cluster.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

timed setup hack/setup.sh
[ $# -gt 0 ] || set -- aggregation
for part in "$@"; do
  case $part in
    aggregation) timed "$part" cargo bench --locked -p aggregation ;;
    *) die "there is no measurement '$part': aggregation" ;;
  esac
done
