"""images.py ROOTFS HYPERKUBE PAUSE CNI_SCRIPT VERSION OUT.tar

Writes one OCI archive with every image that kubeadm wants, all of them sharing the layer with the hyperkube binary.
"""
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile

ROOT, HYPERKUBE, PAUSE, CNI, VERSION, OUT = sys.argv[1:7]
OCI = "application/vnd.oci.image."
LIB = "/usr/lib/x86_64-linux-gnu"
blobs, manifests = {}, []


def add(tar, source, target, mode=0o755):
    with open(source, "rb") as file:
        data = file.read()
    info = tarfile.TarInfo(target.lstrip("/"))
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def link(tar, name, to):
    info = tarfile.TarInfo(name.lstrip("/"))
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, to, 0o777
    tar.addfile(info)


def folders(tar, *names):
    for name in names:
        info = tarfile.TarInfo(name.lstrip("/"))
        info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "/tmp" else 0o755
        tar.addfile(info)


def layer(fill):
    """The digest of the plain layer and its gzip form (both the same for the same input, whenever it is built)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        fill(tar)
    return {"diff": "sha256:" + hashlib.sha256(raw.getvalue()).hexdigest(), "gzip": gzip.compress(raw.getvalue(), 1, mtime=0)}


def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": OCI + kind, "digest": "sha256:" + digest, "size": len(data)}


def image(name, *layers, entrypoint=None):
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    if entrypoint:
        config["Entrypoint"] = entrypoint
    document = {"architecture": "amd64", "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": [part["diff"] for part in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                "config": blob(json.dumps(document).encode(), "config.v1+json"),
                "layers": [blob(part["gzip"], "layer.v1.tar+gzip") for part in layers]}
    descriptor = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    descriptor["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.split(":")[-1]}
    manifests.append(descriptor)


def hyperkube(tar):
    folders(tar, "/tmp", "/run", "/etc", "/usr", "/usr/local", "/usr/local/bin")
    add(tar, HYPERKUBE, "/usr/local/bin/hyperkube")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"):
        link(tar, "/usr/local/bin/" + name, "hyperkube")
    link(tar, "/coredns", "/usr/local/bin/hyperkube")


def iptables(tar):
    """iptables and nft with the libraries they name: kube-proxy calls them."""
    files = ["/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi", "/usr/sbin/nft"]
    files += sorted(f"{LIB}/xtables/{name}" for name in os.listdir(f"{ROOT}{LIB}/xtables") if name.endswith(".so"))
    folders(tar, "/usr/sbin", "/usr/lib", LIB, LIB + "/xtables", "/usr/lib64", "/usr/lib/modules")
    link(tar, "/lib", "usr/lib")
    link(tar, "/lib64", "usr/lib64")
    needed = set()
    for name in files:
        add(tar, ROOT + name, name)
        needed.update(re.findall(r"(/\S+)", subprocess.run(["chroot", ROOT, "ldd", name], capture_output=True, text=True).stdout))
    for name in sorted(needed):
        target = "/usr" + name if name.startswith("/lib") else name
        real = os.path.realpath(ROOT + target)
        add(tar, real if os.path.exists(real) else ROOT + target, target)
    for name in ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"):
        link(tar, "/usr/sbin/" + name, "xtables-nft-multi")


def cni(tar):
    folders(tar, "/bin", "/etc/cni")
    add(tar, "/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox", "/bin/busybox")
    link(tar, "/bin/sh", "busybox")
    add(tar, CNI, "/cni-bridge.sh")


def main():
    kube, pause = layer(hyperkube), layer(lambda tar: add(tar, PAUSE, "/pause"))
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        image(f"registry.k8s.io/{name}:{VERSION}", kube)
    image(f"registry.k8s.io/kube-proxy:{VERSION}", kube, layer(iptables))
    # The names that kubeadm of this Kubernetes asks for.
    image("registry.k8s.io/etcd:3.6.6-0", kube)
    image("registry.k8s.io/coredns/coredns:v1.13.1", kube, entrypoint=["/coredns"])
    for version in ("3.10", "3.10.1"):
        image(f"registry.k8s.io/pause:{version}", pause, entrypoint=["/pause"])
    image("localhost/kind-cni-bridge:v1", kube, layer(cni), entrypoint=["/cni-bridge.sh"])
    with tarfile.open(OUT, "w") as tar:
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
                 "index.json": json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()}
        files.update((f"blobs/sha256/{digest}", data) for digest, data in blobs.items())
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))


main()
