#!/usr/bin/env python3
"""Golden vectors of mean/v1, computed by a second implementation in plain Python: prints mean_v1.json.

Value e of an input is the 32-bit word e % 8 (little-endian) of SHA-256("<case>/<input>/<e / 8>"), read as a binary32;
words that would be infinite or NaN lose their second-highest bit. `input` is "start" or the seat's number. Python's
floats are binary64 and its arithmetic rounds to nearest, ties to even, so the specified steps can be written as they are.
"""
import hashlib
import json
import struct

TASK = "0x" + "7a" * 20
ROUND = 3


def tensors(inputs, hidden, outputs):
    """Names and shapes of an MLP in ascending order of names."""
    sizes = [inputs, *hidden, outputs]
    found = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        found += [(f"layers.{i}.bias", [b]), (f"layers.{i}.weight", [b, a])]
    return sorted(found)


def values(case, name, count):
    words = []
    for block in range((count + 7) // 8):
        words += struct.unpack("<8I", hashlib.sha256(f"{case}/{name}/{block}".encode()).digest())
    words = [w & ~0x40000000 if w & 0x7F800000 == 0x7F800000 else w for w in words[:count]]
    return [struct.unpack("<f", struct.pack("<I", w))[0] for w in words]


def model(shapes, data, metadata=None):
    """The canonical safetensors file."""
    header = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name, shape in shapes:
        size = 4
        for d in shape:
            size *= d
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + struct.pack(f"<{len(data)}f", *data)


def proposer(seat):
    return "0x" + f"{seat + 1:02x}" * 20


def weights(counts, weighted):
    if not weighted:
        return [1] * len(counts)
    median = sorted(counts)[(len(counts) - 1) // 2]
    return [min(max(n, 1), max(2 * median, 1)) for n in counts]


def vector(name, inputs, hidden, outputs, counts, weighted):
    shapes = tensors(inputs, hidden, outputs)
    count = 0
    for _, shape in shapes:
        size = 1
        for d in shape:
            size *= d
        count += size
    columns = [values(name, seat, count) for seat in range(len(counts))]
    w = [float(x) for x in weights(counts, weighted)]
    total = float(sum(weights(counts, weighted)))
    result = []
    for e in range(count):
        acc = w[0] * columns[0][e]
        for j in range(1, len(columns)):
            acc = acc + w[j] * columns[j][e]
        result.append(acc / total)
    metadata = [{"task": TASK, "round": str(ROUND), "proposer": proposer(s)} for s in range(len(counts))]
    sha = lambda data: hashlib.sha256(data).hexdigest()
    return {
        "name": name,
        "mlp": {"inputs": inputs, "hidden": hidden, "outputs": outputs},
        "weighted": weighted,
        "sampleCounts": counts,
        "contributions": [sha(model(shapes, c, m)) for c, m in zip(columns, metadata)],
        "aggregate": sha(model(shapes, result)),
    }


print(json.dumps([
    vector("one", 5, [3], 2, [10], False),
    vector("two", 5, [3], 2, [10, 20], False),
    vector("seven", 33, [17, 9], 4, [1, 2, 3, 4, 5, 6, 7], False),
    vector("weighted", 33, [17, 9], 4, [100, 4000000000, 0, 250, 120], True),
    vector("fifty", 40, [20], 10, [100 + 37 * i % 400 for i in range(50)], True),
    vector("image", 784, [20], 10, [5000, 6000, 7000], False),
], indent=1))
