#!/bin/bash
# images.sh [--load] [operator|trainer|devnet|depot|flock-sdk|trainer-gpu]...: builds fl-alliance/<name>:dev (all but the last by default) and, with --load, puts them into the test cluster.
# Nothing is pulled: an image is a binary, the shared libraries it names, a passwd file, certificates and /tmp, run as uid 65532.
# The cargo build takes minutes the first time; an image whose content did not change is neither rebuilt nor loaded again.
#
#   IMAGE_TAG=dev   another tag
#   IMAGE_BINARIES=folder  take the binaries from there instead of building them
#   IMAGE_COMPILE_ONLY=1   builds the binaries, and the simulation's beside them, and stops; needs no Docker
#   IMAGE_WITH=e2e         builds the binaries of this cargo package in the same go
#   OPERATOR_FEATURES=aws-kms  builds the operator with these cargo features
#   BUILDER=docker  or podman, or buildah (then --load does not work)
. "$(dirname "$0")/../e2e/cluster/lib.sh"

TAG=${IMAGE_TAG:-dev}
BUILDER=${BUILDER:-docker}
STAGE=$BUILD/images
TARGET=${IMAGE_BINARIES:-${CARGO_TARGET_DIR:-$ROOT/target}/image}

names() {
  local n
  for n in "$@"; do
    case $n in
      operator | trainer | devnet | depot | flock-sdk | trainer-gpu) echo "$n" ;;
      *) die "there is no image '$n': operator, trainer, devnet, depot, flock-sdk or trainer-gpu" ;;
    esac
  done
}

# Binaries of one cargo call share the build of their common dependencies.
compile() {
  local packages=() n
  for n in "$@"; do
    case $n in
      operator | devnet) packages+=(-p operator) ;;
      trainer | trainer-gpu)
        "$ROOT/hack/libtorch.sh"
        [ "$n" = trainer ] || "$ROOT/hack/libtorch-cuda.sh"
        packages+=(-p trainer-image)
        ;;
    esac
  done
  [ -z "${IMAGE_COMPILE_ONLY:-}" ] || packages+=(-p simulation) # tests and soak run it; it shares the operator's build
  [ -z "${IMAGE_WITH:-}" ] || packages+=(-p "$IMAGE_WITH")
  [ -z "${OPERATOR_FEATURES:-}" ] || packages+=(--features "operator/${OPERATOR_FEATURES//,/,operator/}")
  [ "${#packages[@]}" -gt 0 ] || return 0
  (cd "$ROOT" && cargo build --locked --profile image --bins "${packages[@]}" >&2)
}

# The depot of the scenarios: what `kubectl exec` needs to fill and read a folder.
DEPOT_TOOLS=(cat chmod find mkdir mv sleep tar)

# The container of FLock's SDK that the scenarios bring: the Python of .build/flock-sdk, what is installed there, and the sample.
SDK_VENV=$BUILD/flock-sdk

# stage_flock_sdk DIR: interpreter and standard library without what a server never uses, packages, model.
stage_flock_sdk() {
  local dir=$1/app/usr/local python stdlib name so
  python=$("$SDK_VENV/bin/python" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
  stdlib=$("$SDK_VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
  name=${stdlib##*/}
  mkdir -p "$dir/lib" "$dir/app/packages"
  install -m755 "$python" "$dir/bin/python3"
  tar -C "${stdlib%/*}" --exclude=__pycache__ --exclude='*.a' --exclude="$name"/{site-packages,dist-packages,test,idlelib,lib2to3,tkinter,turtledemo,ensurepip,pydoc_data,config-\*} \
    --exclude=lib-dynload/{_tkinter,_curses,_curses_panel,readline,nis,_dbm,_gdbm,_sqlite3,_test\*,_xx\*}.\* \
    -cf - "$name" | tar -C "$dir/lib" -xf -
  tar -C "$SDK_VENV/lib/$name/site-packages" --exclude=__pycache__ --exclude='pip*' --exclude='setuptools*' --exclude='pkg_resources*' --exclude='_distutils_hack*' --exclude='distutils-precedence.pth' \
    -cf - . | tar -C "$dir/app/packages" -xf -
  install -m644 "$ROOT/samples/flock-sdk/model.py" "$dir/app/"
  # Modules whose libraries this system does not have work nowhere; a shared interpreter lies beside the standard library.
  for so in "$dir/lib/$name/lib-dynload"/*.so; do
    if ldd "$so" 2>/dev/null | grep -q 'not found'; then rm -f "$so"; fi
  done
  so=$(ldd "$python" | awk '$1 ~ /^libpython/ {print $3}')
  [ -z "$so" ] || install -m755 "$(realpath "$so")" "$dir/lib/${so##*/}"
  # Nothing can be written there later, and compiling it all at every start takes seconds.
  "$SDK_VENV/bin/python" -m compileall -q --invalidation-mode unchecked-hash -s "$dir" -p /usr/local "$dir/lib/$name" "$dir/app" >/dev/null || true
}

# libraries FILE...: the paths of the shared libraries that FILEs load, with the loader, as this system resolves them.
libraries() {
  LD_LIBRARY_PATH=$BUILD/libtorch/lib:$BUILD/libtorch-cuda/lib ldd "$@" | awk '
    /^[ \t]*libcuda\.so/ {next} # of the driver, which the node puts into the container
    /not found/ {print "missing " $1; next}
    $2 == "=>" && $3 ~ /^\// {print $3; next}
    $1 ~ /^\/.*ld-linux/ {print $1}' | sort -u
}

# system DIR FILE...: what every image needs around its binaries.
system() {
  local dir=$1 lib
  shift
  mkdir -p "$dir/etc/ssl/certs" "$dir/tmp" "$dir/usr/local/bin"
  chmod 1777 "$dir/tmp"
  echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' >"$dir/etc/passwd"
  echo 'nonroot:x:65532:' >"$dir/etc/group"
  echo 'hosts: files dns' >"$dir/etc/nsswitch.conf"
  if [ -r /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$dir/etc/ssl/certs/"; fi
  for lib in $(libraries "$@"); do
    case $lib in
      missing) die "a shared library that $* needs is not installed" ;;
      "$BUILD"/libtorch/* | "$BUILD"/libtorch-cuda/*) ;; # layers of their own
      */libpython*) ;; # staged with its standard library
      *) install -D -m755 "$(realpath "$lib")" "$dir$lib" ;;
    esac
  done
}

# layer NAME: libraries and licences of .build/NAME, linked, not copied.
layer() {
  mkdir -p "$dir/$1/usr/local/lib" "$dir/$1/usr/local/share/licenses"
  cp -rl "$BUILD/$1"/lib/. "$dir/$1/usr/local/lib/"
  cp -rl "$BUILD/$1"/licenses/. "$dir/$1/usr/local/share/licenses/"
}

stage() {
  local name=$1 dir=$STAGE/$1 tool
  rm -rf "$dir" && mkdir -p "$dir/app/usr/local/bin"
  case $name in
    operator) install -m755 "$TARGET/fl-alliance-operator" "$dir/app/usr/local/bin/" ;;
    devnet) install -m755 "$BIN/anvil" "$TARGET/fl-alliance-operator" "$dir/app/usr/local/bin/" ;;
    depot) for tool in "${DEPOT_TOOLS[@]}"; do install -m755 "$(realpath "$(command -v "$tool")")" "$dir/app/usr/local/bin/$tool"; done ;;
    flock-sdk) stage_flock_sdk "$dir" ;;
    trainer | trainer-gpu)
      install -m755 "$TARGET/fl-alliance-trainer" "$dir/app/usr/local/bin/"
      layer libtorch
      [ "$name" = trainer ] || layer libtorch-cuda
      ;;
  esac
  # shellcheck disable=SC2046 # a list of paths without spaces
  system "$dir/system" "$dir"/app/usr/local/bin/* $(find "$dir"/libtorch* "$dir"/app/usr/local -name '*.so*' 2>/dev/null)
  # Whatever the builder's umask is, every user can read and pass.
  chmod -R go+rX "$dir/app" "$dir/system"
  cp "$(dockerfile "$name")" "$dir/Dockerfile"
}

dockerfile() {
  case $1 in
    operator) echo "$ROOT/operator/Dockerfile" ;;
    trainer) echo "$ROOT/trainer-image/Dockerfile" ;;
    trainer-gpu) echo "$ROOT/trainer-image/gpu.Dockerfile" ;;
    devnet) echo "$ROOT/charts/fl-alliance-devnet/image/Dockerfile" ;;
    depot) echo "$ROOT/e2e/depot/Dockerfile" ;;
    flock-sdk) echo "$ROOT/e2e/flock-sdk/Dockerfile" ;;
  esac
}

# The inputs of an image: its binaries, its Dockerfile, this script, and the libtorch it was linked to.
image_key() {
  case $1 in
    operator) hash_of "$TARGET/fl-alliance-operator" "$(dockerfile operator)" "$0" ;;
    trainer) hash_of "$TARGET/fl-alliance-trainer" "$(dockerfile trainer)" "$STAMPS/libtorch" "$0" ;;
    trainer-gpu) hash_of "$TARGET/fl-alliance-trainer" "$(dockerfile trainer-gpu)" "$STAMPS/libtorch" "$STAMPS/libtorch-cuda" "$0" ;;
    devnet) hash_of "$BIN/anvil" "$TARGET/fl-alliance-operator" "$(dockerfile devnet)" "$0" ;;
    depot) hash_of "$(realpath "$(command -v tar)")" "$(dockerfile depot)" "$0" ;;
    flock-sdk) hash_of "$STAMPS/flock-sdk" "$ROOT/samples/flock-sdk/model.py" "$(dockerfile flock-sdk)" "$0" ;;
  esac
}

image() {
  local name=$1 ref=fl-alliance/$1:$TAG key id
  [ -n "$(dockerfile "$name")" ] || exit 1
  [ "$name" != flock-sdk ] || "$ROOT/hack/flock-sdk.sh"
  key=$(image_key "$name")
  id=$("$BUILDER" inspect --type image -f '{{.Id}}' "$ref" 2>/dev/null) || id=none
  fresh "image-$name-$TAG" "$key $id" && return
  stage "$name"
  "$BUILDER" build -q -t "$ref" "$STAGE/$name" >"$BUILD/logs/image-$name.log" 2>&1 || { tail -n 10 "$BUILD/logs/image-$name.log" >&2; die "$BUILDER could not build $ref"; }
  rm -rf "${STAGE:?}/$name"
  id=$("$BUILDER" inspect --type image -f '{{.Id}}' "$ref" 2>/dev/null) || id=none
  stamp "image-$name-$TAG" "$key $id"
  say "built $ref"
}

main() {
  local load=no n list
  if [ "${1:-}" = --load ]; then
    load=yes
    shift
  fi
  [ $# -gt 0 ] || set -- operator trainer devnet depot flock-sdk
  mapfile -t list < <(names "$@")
  [ "${#list[@]}" -eq $# ] || exit 1
  "$ROOT/hack/tools.sh"
  [ -n "${IMAGE_BINARIES:-}" ] || timed "cargo build of ${list[*]} (minutes the first time)" compile "${list[@]}"
  [ -z "${IMAGE_COMPILE_ONLY:-}" ] || return 0
  [ "$BUILDER" != docker ] || use_docker || die "no Docker engine answers: run e2e/cluster/up"
  for n in "${list[@]}"; do image "$n"; done
  list=("${list[@]/#/fl-alliance/}")
  if [ "$load" = yes ]; then "$HERE/load" "${list[@]/%/:$TAG}"; fi
}
locked images main "$@"
