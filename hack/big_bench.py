#!/usr/bin/env python3
"""A model of 2 GB through check, train and vote, each in a memory cgroup of 3 GB more than the network itself needs, with a gateway of the real program.

    hack/big_bench.py TRAINER OPERATOR [--gigabytes 2] [--spare 3] [--optimizer sgd|momentum|adamW]

The network is an MLP with two large layers, trained for a few steps on a handful of synthetic records. What the network itself needs is, in 32-bit floats: for
check and train parameters, gradients, the optimizer's state and activations; for vote parameters and activations of one network. The limit counts the page cache
too, as a pod's does. Needs root (to make the cgroup; version 1 and 2 will do) and three to five times the model's size of disk below ${TMPDIR:-/tmp}.
"""
import argparse
import base64
import hashlib
import hmac
import json
import math
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

ZERO, GB = "0" * 64, 10**9
TASK, PARTICIPANT = "0x" + "11" * 20, "0x" + "22" * 20
BATCH, RECORDS, PIXELS, OUTPUTS = 8, 48, 64, 4


class Cgroup:
    """A memory limit for one process."""

    def __init__(self, limit):
        root = pathlib.Path("/sys/fs/cgroup")
        self.two = (root / "cgroup.controllers").exists()
        if self.two:
            self.folder = root / f"fl-alliance-bench-{os.getpid()}"
            (root / "cgroup.subtree_control").write_text("+memory")
        else:
            self.folder = root / "memory" / f"fl-alliance-bench-{os.getpid()}"
        self.folder.mkdir()
        self.write("memory.max" if self.two else "memory.limit_in_bytes", limit)
        if self.two:
            self.write("memory.swap.max", 0)

    def write(self, name, value):
        (self.folder / name).write_text(str(value))

    def enter(self):
        self.write("cgroup.procs", os.getpid())

    def peak(self):
        return int((self.folder / ("memory.peak" if self.two else "memory.max_usage_in_bytes")).read_text())

    def kills(self):
        lines = (self.folder / ("memory.events" if self.two else "memory.oom_control")).read_text().split("\n")
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def remove(self):
        self.folder.rmdir()


def token(key, claims):
    part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    text = part(json.dumps(claims).encode())
    return f"{text}.{part(hmac.digest(key, text.encode(), 'sha256'))}"


def write_data(folder):
    """8 x 8 images of four classes: a quadrant is bright."""
    noise = random.Random(1)
    images, labels = bytearray(struct.pack(">4I", 0x803, RECORDS, 8, 8)), bytearray(struct.pack(">2I", 0x801, RECORDS))
    for record in range(RECORDS):
        images += bytes(noise.randrange(100) + (60 if pixel // 32 * 2 + pixel % 8 // 4 == record % 4 else 0) for pixel in range(PIXELS))
        labels.append(record % 4)
    folder.mkdir()
    (folder / "images-idx3-ubyte").write_bytes(images)
    (folder / "labels-idx1-ubyte").write_bytes(labels)


def definition(width, optimizer):
    rates = {"learningRate": "0.001", "weightDecay": "0"}
    settings = {
        "sgd": {"sgd": {**rates, "momentum": "0"}},
        "momentum": {"sgd": {**rates, "momentum": "0.9"}},
        "adamW": {"adamW": {**rates, "beta1": "0.9", "beta2": "0.999", "epsilon": "0.00000001"}},
    }[optimizer]
    return json.dumps({
        "schemaVersion": 1, "architecture": {"mlp": {"inputs": PIXELS, "hidden": [width] * 3, "outputs": OUTPUTS}}, "seed": 1,
        "split": {"testPercent": 25}, "maxModelBytes": 1 << 40, "training": {"optimizer": settings, "batchSize": BATCH, "epochs": 2},
        "preprocessing": {"mean": "0.3", "std": "0.2"}, "aggregation": {"rule": "mean/v1", "weighted": False},
        "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": "0.05"},
    }, sort_keys=True, separators=(",", ":"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trainer")
    parser.add_argument("operator")
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--spare", type=float, default=3, help="GB more than the network itself needs")
    parser.add_argument("--optimizer", choices=["sgd", "momentum", "adamW"], default="sgd")
    parser.add_argument("--log", action="store_true", help="show what the trainer says")
    args = parser.parse_args()
    width = math.ceil(math.sqrt(args.gigabytes * GB / 4 / 2) / 64) * 64
    parameters = 4 * (PIXELS * width + 2 * width * width + width * OUTPUTS + 3 * width + OUTPUTS)
    state = {"sgd": 0, "momentum": 1, "adamW": 2}[args.optimizer] * parameters
    activations = 4 * BATCH * (PIXELS + 6 * width + 2 * OUTPUTS)
    needs = {"check": 2 * parameters + state + activations, "vote": parameters + 512 * activations // BATCH}
    needs["train"] = needs["check"]
    print(f"MLP of {parameters // 4:,} parameters, {parameters / GB:.2f} GB, {args.optimizer}; limits are {args.spare:g} GB more than the network itself needs")

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for sub in ("store", "staging", "scratch", "input"):
            (folder / sub).mkdir()
        write_data(folder / "data")
        key = os.urandom(32)
        (folder / "key").write_bytes(key)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        gateway = subprocess.Popen([args.operator, "gateway", "--plain-http", "--listen", f"127.0.0.1:{port}", "--store", folder / "store", "--staging",
                                    folder / "staging", "--key-file", folder / "key", "--max-model-bytes", str(1 << 40)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz")
                    break
                except OSError:
                    time.sleep(0.1)
            text = definition(width, args.optimizer)
            print("| step | needs, GB | limit, GB | peak counted, GB | peak resident, GB | seconds |\n| --- | --- | --- | --- | --- | --- |")
            genesis, seats = ZERO, []
            for step in ("check", "train", "vote"):
                limit = int(needs[step] + args.spare * GB)
                identity = {"chainId": 1, "task": TASK, "participant": PARTICIPANT, "step": step, "round": 0,
                            "definition": hashlib.sha256(text.encode()).hexdigest(), "startModel": ZERO if step == "check" else genesis, "digest": ZERO,
                            "environment": "0x" + ZERO}
                if step == "vote":
                    identity["seats"] = seats
                document = {"version": 1, "identity": identity, "definition": text, "genesisModel": genesis, "gateway": f"http://127.0.0.1:{port}",
                            "dataDirectory": str(folder / "data"), "dataFormat": "idx", "device": "cpu", "finishBy": int(time.time()) + 3600,
                            "fetchUntil": int(time.time()) + 600}
                claims = {"v": 1, "job": f"bench/{step}", "chain": 1, "task": TASK, "participant": PARTICIPANT, "writeModel": step != "check",
                          "reads": [{"hash": seat["contribution"], "holders": [PARTICIPANT]} for seat in seats], "publish": step == "train",
                          "maxBytes": 1 << 40, "exp": int(time.time()) + 7200}
                (folder / "input/input.json").write_text(json.dumps(document))
                (folder / "input/token").write_text(token(key, claims))
                group = Cgroup(limit)
                started = time.monotonic()
                process = subprocess.Popen([args.trainer, step, "--input-dir", folder / "input", "--scratch", folder / "scratch", "--termination-log",
                                            folder / "log"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=group.enter,
                                           env={**os.environ, "OMP_WAIT_POLICY": "passive"})
                said = []
                for line in process.stdout:
                    said.append(line)
                    if args.log:
                        print(line, end="", file=sys.stderr)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = code = os.waitstatus_to_exitcode(status)
                seconds, peak, kills = time.monotonic() - started, group.peak(), group.kills()
                group.remove()
                if code != 0:
                    sys.exit(f"error: {step} ended with {signal.Signals(-code).name if code < 0 else code} ({kills} killed for memory) in {limit / GB:.2f} GB:\n"
                             + "".join(said[-5:]))
                result = json.loads(said[-1])
                genesis = result.get("genesisModel", genesis)
                if step == "train":
                    seats = [{"proposer": PARTICIPANT, "sampleCount": RECORDS, "contribution": result["model"]}]
                print(f"| {step} | {needs[step] / GB:.2f} | {limit / GB:.2f} | {peak / GB:.2f} | {usage.ru_maxrss * 1024 / GB:.2f} | {seconds:.0f} |", flush=True)
            print(f"vote: score {result['score']:+}, mask {result['mask']}, start {result['startMetric']}, aggregate {result['aggregateMetric']}")
        finally:
            gateway.terminate()
            gateway.wait()


main()
