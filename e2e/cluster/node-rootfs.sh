#!/bin/bash
# node-rootfs.sh TAG: makes a kind node image and imports it into Docker. Needs root, mmdebstrap, .build/node/hyperkube and the kind module.
. "$(dirname "$0")/lib.sh"
need mmdebstrap "run hack/deps.sh cluster"
use_docker || die "no Docker engine answers"

TAG=$1
WORK=$BUILD/node
R=$WORK/rootfs
SRC=$HERE/node
FILES=$(cat "$BUILD/kind/moddir")/images/base/files
VERSION=$(cat "$WORK/version")

unmount() { awk -v d="$R/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l; }
cleanup() {
  unmount
  rm -rf "$R" "$WORK/images.tar" "$WORK/pause"
}
trap cleanup EXIT

debian() {
  mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,containerd,runc,containernetworking-plugins,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,pigz,bash,ca-certificates,curl,jq,procps,hostname,socat,e2fsprogs,tar,gzip \
    bookworm "$R" >"$BUILD/logs/mmdebstrap.log" 2>&1 || { tail -n 20 "$BUILD/logs/mmdebstrap.log" >&2; die "mmdebstrap failed"; }
}

# What kind's base image does to a Debian.
kind_base() {
  cp -r --no-preserve=mode,ownership "$FILES/usr/local/bin/." "$R/usr/local/bin/"
  cp -r --no-preserve=mode,ownership "$FILES/etc/." "$R/etc/"
  mkdir -p "$R/kind/manifests" "$R/etc/kubernetes/manifests" "$R/opt/cni"
  cp -r --no-preserve=mode,ownership "$FILES/kind/." "$R/kind/"
  chmod 755 "$R/kind" "$R/kind/bin" "$R"/kind/bin/* "$R"/usr/local/bin/*
  local s=$R/lib/systemd/system
  find "$s/sysinit.target.wants/" -name systemd-tmpfiles-setup.service -delete
  rm -f "$s"/multi-user.target.wants/* "$R"/etc/systemd/system/*.wants/* "$s"/local-fs.target.wants/* \
    "$s"/sockets.target.wants/*udev* "$s"/sockets.target.wants/*initctl* "$s"/basic.target.wants/* "$s/containerd.service"
  echo ReadKMsg=no >>"$R/etc/systemd/journald.conf"
  ln -sf /usr/lib/systemd/systemd "$R/sbin/init"
  chroot "$R" systemctl -q enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$R" systemctl -q mask systemd-binfmt.service
  local b
  for b in containerd ctr containerd-shim-runc-v2; do ln -sf "/usr/bin/$b" "$R/usr/local/bin/$b"; done
  chroot "$R" ctr oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' >"$R/etc/containerd/cri-base.json"
  ln -sfn /usr/lib/cni "$R/opt/cni/bin"
}

kubernetes() {
  install -m755 "$WORK/hyperkube" "$R/usr/bin/hyperkube"
  local b
  for b in kubeadm kubelet kubectl; do ln -sf hyperkube "$R/usr/bin/$b"; done
  printf %s "$VERSION" >"$R/kind/version"
  cp "$SRC/default-cni.yaml" "$R/kind/manifests/default-cni.yaml"
  rm -rf "$R"/usr/share/{doc,locale,man,info}/* "$R"/var/lib/apt/lists/* "$R"/var/cache/apt/*
}

# kind of this version loads no image archives at start, so the control plane's images go into the node's containerd now.
# The node's own containerd does it, in namespaces of its own: what it mounts and starts ends with it.
preload() {
  gcc -O2 -static -s -o "$WORK/pause" "$SRC/pause.c"
  python3 "$SRC/images.py" "$R" "$WORK/hyperkube" "$WORK/pause" "$SRC/cni-bridge.sh" "$VERSION" "$WORK/images.tar"
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --mount --propagation private --pid --fork --kill-child bash -euc '
    R=$1
    mount -t proc proc "$R/proc"
    mount --rbind /dev "$R/dev"
    mount -t tmpfs tmpfs "$R/run"
    printf "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n" >"$R/run/preload.toml"
    chroot "$R" containerd -c /run/preload.toml >"$2" 2>&1 &
    for _ in $(seq 100); do chroot "$R" ctr version >/dev/null 2>&1 && break; sleep 0.1; done
    chroot "$R" ctr -n k8s.io images import --digests=false --snapshotter overlayfs - <"$3" >&2
    kill %1 && wait %1 || true
  ' preload "$R" "$BUILD/logs/preload.log" "$WORK/images.tar" || { tail -n 8 "$BUILD/logs/preload.log" >&2; die "the control plane images could not be stored in the node image"; }
  rm -rf "$R"/var/lib/containerd/io.containerd.runtime*
}

import() {
  tar -C "$R" --numeric-owner --xattrs -c . |
    docker import --change 'ENV container=docker' --change 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' - "$TAG" >/dev/null
}

cleanup
mkdir -p "$R"
timed "  Debian packages" debian
kind_base
kubernetes
timed "  control plane images" preload
timed "  import" import
