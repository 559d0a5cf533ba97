#!/bin/bash
# bench.sh [aggregation|training|round]...: measurements; aggregation and round by default.
#   aggregation  GB/s beside a read-bandwidth probe of the same run; needs no cluster
#   training     records per second beside the same networks in Python; installs PyTorch (2.7 GB to fetch, 5 GB on disk) into .build/bench-python
#   round        wall time of a round beside two bare Jobs that run the same trainer commands; on the test cluster, about six minutes
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

timed setup hack/setup.sh
[ $# -gt 0 ] || set -- aggregation round
training() {
  local venv=$BUILD/bench-python
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/python" -c 'import torch' 2>/dev/null || "$venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir torch==2.13.0 numpy
  cargo build --locked -q --profile image -p trainer-image
  "$venv/bin/python" hack/training_bench.py "$ROOT/target/image/fl-alliance-trainer"
}

for part in "$@"; do
  case $part in
    aggregation) timed "$part" cargo bench --locked -p aggregation ;;
    training) timed "$part" training ;;
    round) timed "$part" hack/on-cluster.sh round-bench ;;
    *) die "there is no measurement '$part': aggregation, training or round" ;;
  esac
done
