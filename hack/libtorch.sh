#!/bin/bash
# Puts the CPU part of libtorch into .build/libtorch (include/, lib/, licenses/), taken from hash-pinned PyPI wheels.
# Takes about 15 s the first time (540 MB download, 400 MB on disk), nothing afterwards.
#
# The wheel is a CUDA build, but libtorch_cpu.so itself needs only libcudart and libcupti of NVIDIA's libraries: two small wheels.
# The wheel's libtorch.so is a shim that needs libtorch_cuda.so; an empty one takes its place.
. "$(dirname "$0")/lib.sh"

need python3 "install Python 3.11 or newer, with pip"
need cc "install gcc"

main() {
  local dest=$BUILD/libtorch wheels=$ROOT/hack/libtorch-wheels.txt work=$BUILD/libtorch.new key w l
  key=$(hash_of "$wheels" "$0")
  fresh libtorch "$key" && [ -e "$dest/lib/libtorch_cpu.so" ] && return
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the pinned libtorch is for Linux x86-64; elsewhere install torch 2.13.0 with pip and set LIBTORCH_USE_PYTORCH=1"
  python3 -m pip --version >/dev/null 2>&1 || die "pip is not installed: install python3-pip"
  say "fetching libtorch 2.13.0 (540 MB, about 15 s)"
  rm -rf "$work" && mkdir -p "$work/out/lib" "$work/out/licenses"
  python3 -m pip download -q --no-cache-dir --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    -r "$wheels" -d "$work/wheels" --python-version 3.11 --implementation cp --abi cp311 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64
  for w in "$work"/wheels/*.whl; do
    python3 -m zipfile -e "$w" "$work/x"
    rm "$w"
  done
  mv "$work/x/torch/include" "$work/out/"
  mv "$work"/x/torch/lib/{libtorch_cpu.so,libc10.so,libgomp.so.1} "$work"/x/nvidia/cu13/lib/{libcudart.so.13,libcupti.so.13} "$work/out/lib/"
  for l in "$work"/x/*.dist-info/licenses; do cp -r "$l" "$work/out/licenses/$(basename "${l%/*}")"; done
  strip --strip-unneeded "$work"/out/lib/{libtorch_cpu,libc10}.so
  cc -shared -nostdlib -Wl,-soname,libtorch.so -o "$work/out/lib/libtorch.so" -x c - <<<''
  echo 2.13.0 >"$work/out/build-version" # torch-sys checks this file
  rm -rf "$dest" && mv "$work/out" "$dest" && rm -rf "$work"
  stamp libtorch "$key"
}
locked libtorch main
