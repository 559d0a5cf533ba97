#!/usr/bin/env python3
"""Training speed beside Python: the trainer and the same networks in PyTorch, in turns, on the same records with the same threads.

    hack/training_bench.py TRAINER [--records 12000] [--repeats 5]

TRAINER is the binary to measure. Both sides train one epoch of Fashion-MNIST (what hack/dataset.sh fetches) with SGD, momentum 0.9 and batches of 64. Times are of
the training loop alone; of the trainer also from the start of the process to its first finished step. Prints a table: medians of the repeats with the best in brackets. After a
warm-up of PyTorch that is not counted the two take turns; the trainer is a new process each time.
"""
import argparse
import hashlib
import json
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn
from torch.nn import functional

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH, MEAN, STD = 64, 0.2860, 0.3530
ZERO = "0" * 64


class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, filters)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != filters:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.GroupNorm(8, filters))

    def forward(self, x):
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def networks():
    """Name, the definition's architecture, the same in PyTorch."""
    image = {"channels": 1, "height": 28, "width": 28, "outputs": 10}
    conv = lambda i, o: [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    yield "mlp 784-200-10", {"mlp": {"inputs": 784, "hidden": [200], "outputs": 10}}, nn.Sequential(
        nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    yield "cnn 16-32, 64", {"cnn": {**image, "filters": [16, 32], "hidden": 64}}, nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), *conv(1, 16), *conv(16, 32), nn.Flatten(), nn.Linear(1568, 64), nn.ReLU(), nn.Linear(64, 10))
    yield "resnet-8 8-16-32", {"resnet": {**image, "filters": [8, 16, 32], "blocks": 1, "groups": 8}}, nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.GroupNorm(8, 8), nn.ReLU(),
        Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def definition(architecture):
    document = {
        "schemaVersion": 1, "architecture": architecture, "seed": 1, "split": {"testPercent": 1}, "maxModelBytes": 1 << 26,
        "training": {"optimizer": {"sgd": {"learningRate": "0.05", "momentum": "0.9", "weightDecay": "0"}}, "batchSize": BATCH, "epochs": 1},
        "preprocessing": {"mean": "0.2860", "std": "0.3530"}, "aggregation": {"rule": "mean/v1", "weighted": False},
        "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": "0.05"},
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


class Trainer:
    def __init__(self, binary, folder, data, text):
        self.binary, self.folder = binary, folder
        self.input = {
            "version": 1, "definition": text, "genesisModel": ZERO, "gateway": f"file://{folder}/store", "dataDirectory": str(data),
            "dataFormat": "idx", "device": "cpu", "finishBy": int(time.time()) + 3600, "fetchUntil": 0,
            "identity": {"chainId": 1, "task": "0x" + "11" * 20, "participant": "0x" + "22" * 20, "step": "check", "round": 0,
                         "definition": hashlib.sha256(text.encode()).hexdigest(), "startModel": ZERO, "digest": ZERO, "environment": "0x" + ZERO},
        }

    def run(self, step, genesis):
        """The result, the seconds to the first finished step, and the number of threads."""
        self.input["identity"].update(step=step, startModel=genesis if step == "train" else ZERO)
        self.input["genesisModel"] = genesis
        (self.folder / "input.json").write_text(json.dumps(self.input))
        started, first, threads, last = time.monotonic(), None, None, ""
        process = subprocess.Popen([self.binary, step, "--input-dir", self.folder, "--scratch", self.folder / "scratch",
                                    "--termination-log", self.folder / "log"], stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("train: first step"):
                first = time.monotonic() - started
            if line.startswith("device:"):
                threads = int(line.split(",")[1].split()[0])
            last = line
        if process.wait() != 0:
            sys.exit(f"error: {step} ended with exit code {process.returncode}")
        return json.loads(last), first, threads


def python(network, pixels, labels, threads):
    """Records per second of one epoch."""
    torch.set_num_threads(threads)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    order = torch.randperm(len(labels))
    scale, shift = 1 / (255 * STD), -MEAN / STD
    started = time.monotonic()
    for at in range(0, len(labels), BATCH):
        some = order[at:at + BATCH]
        loss = functional.cross_entropy(network(pixels[some].float().mul_(scale).add_(shift)), labels[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(labels) / (time.monotonic() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainer")
    parser.add_argument("--records", type=int, default=12000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / ".build/data")
    args = parser.parse_args()
    subprocess.run([ROOT / "hack/data.py", "training-bench", "--clients", "1", "--records", str(args.records), "--out", args.data], check=True)
    data = args.data / "training-bench/client-0"
    raw = (data / "images-idx3-ubyte").read_bytes()
    count, height, width = struct.unpack(">3I", raw[4:16])
    pixels = torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).reshape(count, height * width)
    labels = torch.frombuffer(bytearray((data / "labels-idx1-ubyte").read_bytes()[8:]), dtype=torch.uint8).long()
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    print(f"PyTorch {torch.__version__}, {args.records} records, load {load}, median (best) of {args.repeats}, records per second")
    print("| network | threads | trainer | PyTorch | ratio | first step after |\n| --- | --- | --- | --- | --- | --- |")
    goals = []
    for name, architecture, network in networks():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for sub in ("store", "scratch"):
                (folder / sub).mkdir()
            trainer = Trainer(args.trainer, folder, data, definition(architecture))
            checked = trainer.run("check", ZERO)[0]
            genesis, trained = checked["genesisModel"], checked["trainSamples"]
            ours, theirs, firsts, threads = [], [], [], 1
            python(network, pixels[:BATCH * 10], labels[:BATCH * 10], threads)
            for _ in range(args.repeats):
                result, first, threads = trainer.run("train", genesis)
                ours.append(trained / float(result["seconds"]))
                firsts.append(first)
                theirs.append(python(network, pixels, labels, threads))
        ratio, first = statistics.median(ours) / statistics.median(theirs), statistics.median(firsts)
        shown = lambda rates: f"{statistics.median(rates):.0f} ({max(rates):.0f})"
        print(f"| {name} | {threads} | {shown(ours)} | {shown(theirs)} | {ratio:.2f} ({max(ours) / max(theirs):.2f}) | {first:.2f} s ({min(firsts):.2f} s) |", flush=True)
        goals.append(f"{name} {ratio:.2f} and {first:.2f} s")
    print("goals (never slower, first step below 1 s): " + "; ".join(goals))


main()
