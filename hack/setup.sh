#!/bin/bash
# Everything that building and testing needs besides Rust, Go, Node and Python: Debian packages (as root), pinned tools, libtorch, the data set, FLock's SDK.
# About a minute the first time, a second afterwards. What it fetches goes under .build.
here=$(dirname "$0")
"$here/deps.sh" && "$here/tools.sh" && "$here/libtorch.sh" && "$here/dataset.sh" && "$here/flock-sdk.sh"
