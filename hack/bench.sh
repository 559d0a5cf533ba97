#!/bin/bash
# bench.sh [aggregation|training|big|round]...: measurements; aggregation and round by default.
#   aggregation  every rule and element type in GB/s, beside a read-bandwidth probe and beside Flower's and NVFlare's own aggregation of the
#                same bytes in the same run; needs no cluster. The first time it fetches both and torch from PyPI (5 GB on disk in
#                .build/peers); BENCH_PEERS=no leaves them out. Up to 8 GB of files below ${TMPDIR:-/tmp}, removed at the end.
#   training     records per second beside the same networks in PyTorch, out of the same .build/peers
#   big          a model of 2 GB through check, train and vote, each in a memory cgroup of 3 GB more than the network itself needs; as root
#   round        wall time of a round beside two bare Jobs that run the same trainer commands; on the test cluster, about six minutes
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

peers() {
  local requirements=$ROOT/aggregation/benches/peers-requirements.txt key
  key=$(hash_of "$requirements")
  fresh peers "$key" && [ -x "$BUILD/peers/bin/python" ] && return
  need python3 "install Python 3.11 or newer"
  say "fetching Flower, NVFlare and torch"
  rm -rf "$BUILD/peers"
  python3 -m venv "$BUILD/peers"
  "$BUILD/peers/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir -r "$requirements"
  stamp peers "$key"
}

aggregation() {
  local with=() shape dtype
  if [ "${BENCH_PEERS:-yes}" = yes ]; then
    locked peers peers
    with=(--peers "$BUILD/peers/bin/python")
  fi
  cargo build --locked --release -p aggregation --benches
  for shape in "8 25000000" "32 5000000"; do
    for dtype in f32 bf16 f16; do
      cargo bench --locked -q -p aggregation --bench aggregation -- --dtype "$dtype" --inputs "${shape% *}" --parameters "${shape#* }" --repeats "${BENCH_REPEATS:-5}" "${with[@]}"
    done
  done
  # Files of 2 GB (two contributions, the start model, the result): what grows with a model's size.
  cargo bench --locked -q -p aggregation --bench aggregation -- --inputs 2 --parameters 500000000 --repeats 1 --short
}

training() {
  locked peers peers
  IMAGE_COMPILE_ONLY=1 hack/images.sh trainer
  "$BUILD/peers/bin/python" hack/training_bench.py "${CARGO_TARGET_DIR:-$ROOT/target}/image/fl-alliance-trainer" --repeats "${BENCH_REPEATS:-5}"
}

big() {
  [ "$(id -u)" = 0 ] || die "big makes a memory cgroup: run it as root"
  IMAGE_COMPILE_ONLY=1 hack/images.sh operator trainer
  hack/big_bench.py "$ROOT/target/image/fl-alliance-trainer" "$ROOT/target/image/fl-alliance-operator"
}

timed setup hack/setup.sh
[ $# -gt 0 ] || set -- aggregation round
for part in "$@"; do
  case $part in
    aggregation) timed "$part" aggregation ;;
    big) timed "$part" big ;;
    training) timed "$part" training ;;
    round) timed "$part" hack/on-cluster.sh round-bench ;;
    *) die "there is no measurement '$part': aggregation, training, big or round" ;;
  esac
done
