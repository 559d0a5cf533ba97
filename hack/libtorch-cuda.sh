#!/bin/bash
# Puts libtorch's CUDA half and NVIDIA's libraries into .build/libtorch-cuda (lib/, licenses/), taken from hash-pinned PyPI wheels.
# Only the GPU variant of the trainer image needs it: 2.5 GB are fetched, 2.7 GB stay on disk. It lies beside .build/libtorch, not instead of it.
. "$(dirname "$0")/lib.sh"

need python3 "install Python 3.11 or newer, with pip"

# In the wheels, but used by nothing here: profilers, the copies of NVRTC that ship twice, cuBLAS and cuFFT under other interfaces, several GPUs, RDMA.
UNUSED=(libcheckpoint libpcsamplingutil libnvperf_host libnvperf_target 'libnvrtc*.alt' libnvblas libcufftw libcusolverMg libcufile_rdma)

main() {
  local dest=$BUILD/libtorch-cuda wheels=$ROOT/hack/libtorch-cuda-wheels.txt work=$BUILD/libtorch-cuda.new key w l
  local platforms=()
  key=$(hash_of "$wheels" "$0")
  fresh libtorch-cuda "$key" && [ -e "$dest/lib/libtorch_cuda.so" ] && return
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the pinned libtorch is for Linux x86-64"
  python3 -m pip --version >/dev/null 2>&1 || die "pip is not installed: install python3-pip"
  say "fetching the CUDA libraries of libtorch 2.13.0 (2.5 GB)"
  rm -rf "$work" && mkdir -p "$work/out/lib" "$work/out/licenses"
  for w in manylinux_2_{28,27,25,18}_x86_64 manylinux{2014,2010,1}_x86_64; do platforms+=(--platform "$w"); done
  python3 -m pip download -q --no-cache-dir --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    -r "$wheels" -d "$work/wheels" --python-version 3.11 --implementation cp --abi cp311 --abi none "${platforms[@]}"
  for w in "$work"/wheels/*.whl; do
    python3 -m zipfile -e "$w" "$work/x"
    rm "$w"
  done
  # .build/libtorch has libcudart and libcupti already.
  rm "$work"/x/nvidia/cu13/lib/lib{cudart,cupti}.so.*
  for l in "${UNUSED[@]}"; do rm "$work"/x/nvidia/*/lib/$l.so*; done
  mv "$work"/x/torch/lib/lib{torch_cuda,torch_cuda_linalg,torch_nvshmem,c10_cuda,caffe2_nvrtc}.so "$work"/x/nvidia/*/lib/lib*.so* "$work/out/lib/"
  for l in "$work"/x/*.dist-info/licenses; do cp -r "$l" "$work/out/licenses/$(basename "${l%/*}")"; done
  for l in "$work"/x/*.dist-info/License.txt; do [ ! -e "$l" ] || install -D "$l" "$work/out/licenses/$(basename "${l%/*}")/License.txt"; done
  rm -rf "$dest" && mv "$work/out" "$dest" && rm -rf "$work"
  stamp libtorch-cuda "$key"
}
locked libtorch-cuda main
