#!/bin/bash
# Puts the four Fashion-MNIST files (gzip IDX, 31 MB) into .build/dataset, from Debian's package dataset-fashion-mnist; the package is not installed.
. "$(dirname "$0")/lib.sh"

FILES=(train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz)
DEST=$BUILD/dataset

complete() {
  local f
  for f in "${FILES[@]}"; do [ -s "$DEST/$f" ] || return 1; done
}

main() {
  complete && return
  local work=$BUILD/dataset.new f found
  rm -rf "$work" && mkdir -p "$work/deb"
  if dpkg-query -W dataset-fashion-mnist >/dev/null 2>&1; then
    found=$(dirname "$(dpkg-query -L dataset-fashion-mnist | grep "/${FILES[0]}\$")")
  else
    command -v apt-get >/dev/null || die "put the four Fashion-MNIST files (${FILES[*]}) into .build/dataset"
    say "fetching Fashion-MNIST (31 MB)"
    chmod 777 "$work/deb" # apt's own user downloads
    (cd "$work/deb" && apt-get download -qq dataset-fashion-mnist >"$BUILD/logs/dataset.log" 2>&1) ||
      { [ "$(id -u)" = 0 ] && apt-get update -qq && (cd "$work/deb" && apt-get download -qq dataset-fashion-mnist); } >>"$BUILD/logs/dataset.log" 2>&1 ||
      die "apt-get cannot download dataset-fashion-mnist (see .build/logs/dataset.log); put its four files into .build/dataset"
    dpkg-deb -x "$work"/deb/*.deb "$work/deb/x"
    found=$(dirname "$(find "$work/deb/x" -name "${FILES[0]}")")
  fi
  for f in "${FILES[@]}"; do cp -L "$found/$f" "$work/$f"; done
  rm -rf "$work/deb" "$DEST" && mv "$work" "$DEST"
}
locked dataset main
