#!/usr/bin/env python3
"""Splits Fashion-MNIST into the data folders of a federated task.

    hack/data.py demo --clients 6 --records 4000 --poison 5

writes .build/data/demo/client-0 ... client-5 and .build/data/demo/held-out, each with `images-idx3-ubyte` and `labels-idx1-ubyte`
(plain IDX, big-endian headers), and `manifest.json` with what was asked for and the hash of every file.

Clients get disjoint records of the official training set, held-out comes from the official test set. Which record goes where is decided by
hashes of its index, so the same arguments give the same bytes everywhere. The records of a poisoned client keep their images and get the
label of the next class, (label + 1) modulo 10: to every honest evaluation a model trained on them is wrong, while the data looks well-formed.
The source files are those that hack/dataset.sh puts into .build/dataset.
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASSES = 10
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


def read(source, part):
    """The records of one part ("train" or "t10k"): height, width, all pixels, all labels."""
    with gzip.open(source / f"{part}-{IMAGES}.gz") as file:
        magic, count, height, width = struct.unpack(">4I", file.read(16))
        pixels = file.read()
    with gzip.open(source / f"{part}-{LABELS}.gz") as file:
        label_magic, label_count = struct.unpack(">2I", file.read(8))
        labels = file.read()
    if (magic, label_magic) != (2051, 2049) or count != label_count or len(labels) != count or len(pixels) != count * height * width:
        sys.exit(f"error: the {part} files in {source} are not a pair of IDX files of the same length")
    return height, width, pixels, labels


def order(seed, part, count):
    """All indices in an order that depends on nothing but the arguments."""
    return sorted(range(count), key=lambda i: hashlib.sha256(f"{seed}/{part}/{i}".encode()).digest())


def write(folder, data, indices, poisoned):
    """Writes one folder; returns the SHA-256 of its files."""
    height, width, pixels, labels = data
    size = height * width
    files = {
        IMAGES: struct.pack(">4I", 2051, len(indices), height, width) + b"".join(pixels[i * size:(i + 1) * size] for i in indices),
        LABELS: struct.pack(">2I", 2049, len(indices)) + bytes((labels[i] + poisoned) % CLASSES for i in indices),
    }
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)  # trainers read it as another user
    folder.chmod(0o755)
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def numbers(text):
    return sorted({int(part) for part in text.split(",") if part.strip()})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", help="name of the folder below the output folder")
    parser.add_argument("--clients", type=int, default=6, help="how many client folders (default %(default)s)")
    parser.add_argument("--records", type=int, default=4000, help="records per client (default %(default)s)")
    parser.add_argument("--held-out", type=int, default=10000, help="records in held-out (default %(default)s, all of the test set)")
    parser.add_argument("--poison", type=numbers, default=[], metavar="I[,J]", help="clients with permuted labels, counted from 0")
    parser.add_argument("--seed", default="1", help="another seed gives another split (default %(default)s)")
    parser.add_argument("--source", type=pathlib.Path, default=ROOT / ".build/dataset")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / ".build/data")
    args = parser.parse_args()
    if not args.set or "/" in args.set or args.set.startswith("."):
        parser.error("the set's name must be one folder name")
    if args.clients < 1 or args.records < 1 or args.held_out < 1:
        parser.error("--clients, --records and --held-out must be at least 1")
    if args.poison and not 0 <= args.poison[0] <= args.poison[-1] < args.clients:
        parser.error(f"--poison names a client that is not between 0 and {args.clients - 1}")
    return args


def main():
    args = arguments()
    target, work = args.out / args.set, args.out / f".{args.set}.{os.getpid()}"
    wanted = {"clients": args.clients, "recordsPerClient": args.records, "heldOut": args.held_out, "poisoned": args.poison, "seed": args.seed}
    try:
        if json.loads((target / "manifest.json").read_text())["asked"] == wanted:
            return
    except (OSError, ValueError, KeyError):
        pass  # not there, or from a run that was stopped
    if not (args.source / f"train-{IMAGES}.gz").exists():
        sys.exit(f"error: {args.source} does not hold Fashion-MNIST: run hack/dataset.sh")
    train, test = read(args.source, "train"), read(args.source, "t10k")
    for part, need, have in (("training", args.clients * args.records, len(train[3])), ("test", args.held_out, len(test[3]))):
        if need > have:
            sys.exit(f"error: {need} records of the {part} set are wanted, it has {have}")
    shutil.rmtree(work, ignore_errors=True)
    files, indices = {}, order(args.seed, "train", len(train[3]))
    for client in range(args.clients):
        mine = indices[client * args.records:(client + 1) * args.records]
        files[f"client-{client}"] = write(work / f"client-{client}", train, mine, client in args.poison)
    files["held-out"] = write(work / "held-out", test, order(args.seed, "t10k", len(test[3]))[:args.held_out], False)
    (work / "manifest.json").write_text(json.dumps({"asked": wanted, "sha256": files}, indent=1) + "\n")
    work.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    work.rename(target)
    print(f"{target}: {args.clients} clients with {args.records} records each, poisoned: {args.poison or 'none'}, held-out: {args.held_out}")


main()
