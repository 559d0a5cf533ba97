#!/usr/bin/env python3
"""Flower's and NVFlare's own aggregation of the files that aggregation.rs wrote: peers.py FOLDER REPEATS THREADS=RATE...

RATE is what our mean reached with so many threads, median in GB/s. What runs on one thread is compared with all of them, torch with its own number.

`memory`: everything is in memory before the clock starts, in the form each of them aggregates: NumPy arrays, Flower's
records, torch tensors. `files`: the clock starts before the files are read, as it does for ours; each with one call of
NumPy's for a tensor, out of the page cache, and NVFlare's helper takes one after the other, so only one is held. Rates are
bytes of inputs plus output, in the files' element type. NumPy has no bfloat16, so only torch can do those. `numpy sum` is
NumPy's own reading speed over the same arrays. What is needed is in peers-requirements.txt.
"""
import gc
import json
import logging
import os
import pathlib
import struct
import sys
import time

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
logging.disable(logging.CRITICAL)

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.server.strategy.aggregate import aggregate
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

NUMPY = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def load(path):
    """Names, element type and one array per tensor."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        base = file.tell()
    header.pop("__metadata__", None)
    dtype = next(iter(header.values()))["dtype"]
    arrays = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        count = (end - begin) // np.dtype(NUMPY[dtype]).itemsize
        arrays[name] = np.fromfile(path, NUMPY[dtype], count, offset=base + begin)
    return dtype, arrays


def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024


def measure(name, threads, repeats, size, work, ours):
    gc.collect()
    rates = []
    spent = 0.0
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = peak()
    for _ in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        work()
        spent += time.process_time() - used
        rates.append(size / 1e9 / (time.perf_counter() - began))
    rates.sort()
    cost = size * repeats / 1e9 / spent
    times = "".join(f" | our mean, {n} threads: {rate / rates[len(rates) // 2]:.1f} times" for n, rate in ours.items())
    print(f"{name:25} {threads:7} | {rates[-1]:6.2f} {rates[len(rates) // 2]:6.2f} |               |             | {cost:6.2f}              | {peak() - before:+5.0f}{times}", flush=True)


def helper(models):
    """Of any iterable of models."""
    sums = WeightedAggregationHelper()
    for i, model in enumerate(models):
        sums.add(model, 1.0, f"site-{i}", 0)
    return sums.get_result()


def main():
    folder, repeats = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    ours = {int(n): float(rate) for n, rate in (argument.split("=") for argument in sys.argv[3:])}
    files = sorted(folder.glob("input-*"))
    dtype = load(files[0])[0]
    inputs = sum(array.nbytes for array in load(files[0])[1].values()) * len(files)
    size = inputs + inputs // len(files)
    read = lambda file: load(file)[1]
    models = [read(file) for file in files]
    if dtype != "BF16":
        view = [[array.view(np.uint32) for array in model.values()] for model in models]
        measure("numpy sum (reads only)", 1, repeats, inputs, lambda: [array.sum() for model in view for array in model], {})
        lists = lambda models: [(list(model.values()), 1) for model in models]
        records = lambda models: [
            RecordDict({"arrays": ArrayRecord({k: Array(v) for k, v in model.items()}), "metrics": MetricRecord({"num-examples": 1})})
            for model in models
        ]
        in_memory = lists(models)
        measure("Flower aggregate, memory", 1, repeats, size, lambda: aggregate(in_memory), ours)
        measure("Flower aggregate, files", 1, repeats, size, lambda: aggregate(lists(map(read, files))), ours)
        in_memory = records(models)
        measure("Flower records, memory", 1, repeats, size, lambda: aggregate_arrayrecords(in_memory, "num-examples"), ours)
        measure("Flower records, files", 1, repeats, size, lambda: aggregate_arrayrecords(records(map(read, files)), "num-examples"), ours)
        del in_memory
        measure("NVFlare numpy, memory", 1, repeats, size, lambda: helper(models), ours)
        measure("NVFlare numpy, files", 1, repeats, size, lambda: helper(map(read, files)), ours)
    if dtype == "BF16":
        tensor = lambda array: torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy
    tensors = lambda model: {name: tensor(array) for name, array in model.items()}
    in_memory = [tensors(model) for model in models]
    for count, rate in ours.items():
        torch.set_num_threads(count)
        measure("NVFlare torch, memory", count, repeats, size, lambda: helper(in_memory), {count: rate})
        measure("NVFlare torch, files", count, repeats, size, lambda: helper(tensors(read(file)) for file in files), {count: rate})


main()
