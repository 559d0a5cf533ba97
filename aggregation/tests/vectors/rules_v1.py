#!/usr/bin/env python3
"""Golden vectors of all rules and element types, computed by a second implementation in plain Python: prints rules_v1.json.

Word e of an input is the 32-bit word e % 8 (little-endian) of SHA-256("<case>/<input>/<e / 8>"); `input` is "start" or the
seat's number, e counts the elements of the file. "bits" takes the word's lowest bits as the element's; bits that would be
infinite or NaN lose 0x4000 (of a binary32 0x40000000). "unit" makes a number of [-1, 1) of the word's highest bits (24 for
F32, 11 for F16, 8 for BF16); for a seat named in "far" it is multiplied by 8.

Python's floats are binary64 and its arithmetic rounds to nearest, ties to even, so the specified steps can be written as
they are: element by element, one operation at a time.
"""
import hashlib
import json
import math
import struct

TASK = "0x" + "7a" * 20
ROUND = 3
SIZES = {"F32": 4, "BF16": 2, "F16": 2}


def words(case, name, count):
    found = []
    for block in range((count + 7) // 8):
        found += struct.unpack("<8I", hashlib.sha256(f"{case}/{name}/{block}".encode()).digest())
    return found[:count]


def decode(dtype, bits):
    if dtype == "F32":
        return struct.unpack("<f", struct.pack("<I", bits))[0]
    if dtype == "BF16":
        return struct.unpack("<f", struct.pack("<I", bits << 16))[0]
    return struct.unpack("<e", struct.pack("<H", bits))[0]


def encode(dtype, value):
    """Rounded to binary32, then to the type."""
    single = struct.pack("<f", value)
    if dtype == "F32":
        return single
    if dtype == "F16":
        return struct.pack("<e", struct.unpack("<f", single)[0])
    bits = struct.unpack("<I", single)[0]
    upper, lower = bits >> 16, bits & 0xFFFF
    if lower > 0x8000 or lower == 0x8000 and upper & 1:
        upper += 1
    return struct.pack("<H", upper)


def value(dtype, word, mode, far):
    if mode == "unit":
        bits = {"F32": 24, "F16": 11, "BF16": 8}[dtype]
        return ((word >> (32 - bits)) / 2 ** (bits - 1) - 1.0) * (8.0 if far else 1.0)
    if dtype == "F32":
        return decode(dtype, word & ~0x40000000 if word & 0x7F800000 == 0x7F800000 else word)
    word &= 0xFFFF
    exponent = 0x7F80 if dtype == "BF16" else 0x7C00
    return decode(dtype, word & ~0x4000 if word & exponent == exponent else word)


def elements(shape):
    return math.prod(shape)


def model(tensors, data, metadata=None):
    """The canonical safetensors file; data is one list of values per tensor."""
    header = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name, dtype, shape in tensors:
        size = elements(shape) * SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(encode(dtype, x) for (_, dtype, _), values in zip(tensors, data) for x in values)
    return struct.pack("<Q", len(text)) + text + body


def weights(counts, weighted):
    if not weighted:
        return [1] * len(counts)
    median = sorted(counts)[(len(counts) - 1) // 2]
    return [min(max(n, 1), max(2 * median, 1)) for n in counts]


def order_key(x):
    return (x, math.copysign(1.0, x))


def mean(column, w):
    acc = float(w[0]) * column[0]
    for x, weight in zip(column[1:], w[1:]):
        acc = acc + float(weight) * x
    return acc / float(sum(w))


def median(column):
    ordered = sorted(column, key=order_key)
    n = len(ordered)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) * 0.5


def trimmed_mean(column, trim):
    kept = sorted(column, key=order_key)[trim:len(column) - trim]
    acc = kept[0]
    for x in kept[1:]:
        acc = acc + x
    return acc / float(len(kept))


def squared_distance(a, b):
    total = 0.0
    for x, y in zip(a, b):
        for start in range(0, len(x), 4096):
            lanes = [0.0] * 16
            for i, (p, q) in enumerate(zip(x[start:start + 4096], y[start:start + 4096])):
                d = p - q
                lanes[i % 16] = lanes[i % 16] + d * d
            for half in (8, 4, 2, 1):
                lanes = [lanes[i] + lanes[i + half] for i in range(half)]
            total = total + lanes[0]
    return total


def krum(inputs, f, keep, slash):
    """Kept and outliers, or None if there are too few."""
    n = len(inputs)
    if n < 2 * f + 3 or n < keep + f:
        return None
    scores = []
    for i in range(n):
        nearest = sorted(squared_distance(inputs[i], inputs[j]) for j in range(n) if j != i)[:n - f - 2]
        score = 0.0
        for d in nearest:
            score = score + d
        scores.append(score)
    order = sorted(range(n), key=lambda i: (scores[i], i))
    outliers = []
    if slash is not None:
        limit = float(slash) * scores[order[(n - 1) // 2]]
        outliers = sorted(i for i in order[keep:] if scores[i] > limit)
    return sorted(order[:keep]), outliers


def combine(rule, start, inputs, counts):
    """Values, unused seats, outliers, fallback."""
    n, name = len(inputs), rule["rule"]
    shape = [len(values) for values in start]
    each = lambda function, chosen: [[function([m[t][e] for m in chosen]) for e in range(size)] for t, size in enumerate(shape)]
    unused, outliers, fallback = [], [], None
    if name in ("krum/v1", "multiKrum/v1"):
        f = rule["byzantine"]
        keep = 1 if name == "krum/v1" else rule.get("keep", n - f)
        selected = krum(inputs, f, keep, rule.get("slashOutliers"))
        if selected is None:
            name = fallback = "median/v1"
        else:
            kept, outliers = selected
            unused = [i for i in range(n) if i not in kept and i not in outliers]
            result = each(lambda c: mean(c, [1] * len(c)), [inputs[i] for i in kept])
    if name == "trimmedMean/v1":
        if n > 2 * rule["trim"]:
            result = each(lambda c: trimmed_mean(c, rule["trim"]), inputs)
        else:
            name = fallback = "median/v1"
    w = weights(counts, rule["weighted"])
    if name == "mean/v1":
        result = each(lambda c: mean(c, w), inputs)
    if name == "median/v1":
        result = each(median, inputs)
    if name == "clippedMean/v1":
        norm, clipped = float(rule["clipNorm"]), []
        for m in inputs:
            length = math.sqrt(squared_distance(start, m))
            if length > norm:
                q = norm / length
                m = [[s + q * (x - s) for s, x in zip(a, b)] for a, b in zip(start, m)]
            clipped.append(m)
        result = each(lambda c: mean(c, w), clipped)
    if "serverLearningRate" in rule:
        rate = float(rule["serverLearningRate"])
        result = [[s + rate * (a - s) for s, a in zip(b, r)] for b, r in zip(start, result)]
    return result, unused, outliers, fallback


def vector(name, tensors, rule, counts, mode, far=()):
    rule = {"weighted": False, **rule}
    tensors = sorted(tensors)

    def values(source):
        stream = iter(words(name, source, sum(elements(shape) for _, _, shape in tensors)))
        return [[value(dtype, next(stream), mode, source in far) for _ in range(elements(shape))] for _, dtype, shape in tensors]

    start, inputs = values("start"), [values(seat) for seat in range(len(counts))]
    result, unused, outliers, fallback = combine(rule, start, inputs, counts)
    metadata = [{"task": TASK, "round": str(ROUND), "proposer": "0x" + f"{s + 1:02x}" * 20} for s in range(len(counts))]
    sha = lambda data: hashlib.sha256(data).hexdigest()
    return {
        "name": name,
        "tensors": [{"name": n, "dtype": d, "shape": s} for n, d, s in tensors],
        "aggregation": rule,
        "mode": mode,
        "far": list(far),
        "sampleCounts": counts,
        "start": sha(model(tensors, start)),
        "contributions": [sha(model(tensors, c, m)) for c, m in zip(inputs, metadata)],
        "aggregate": sha(model(tensors, result)),
        "unused": unused,
        "outliers": outliers,
        "fallback": fallback,
    }


def small(dtype):
    return [("a", dtype, [7, 11]), ("b", dtype, [3])]


# More than a block of 4096 in two tensors; c ends in the middle of four bytes.
MIXED = [("a", "F32", [5000]), ("b", "F16", [3]), ("c", "BF16", [2, 2050]), ("d", "F16", [1]), ("e", "F32", [9, 2])]
CASES = [
    vector(f"{rule['rule']}{'-weighted' if rule.get('weighted') else ''}-{dtype}-{n}-{mode}", small(dtype), rule, [100 + 37 * i for i in range(n)], mode)
    for dtype in SIZES
    for rule in (
        {"rule": "mean/v1"},
        {"rule": "mean/v1", "weighted": True},
        {"rule": "median/v1"},
        {"rule": "trimmedMean/v1", "trim": 2},
        {"rule": "multiKrum/v1", "byzantine": 2},
        {"rule": "clippedMean/v1", "clipNorm": "2.5", "weighted": True},
    )
    for n, mode in ((1, "bits"), (6, "bits"), (7, "unit"))
]
CASES += [
    vector("mixed-krum", MIXED, {"rule": "krum/v1", "byzantine": 1, "slashOutliers": "2"}, [1] * 6, "unit", (2,)),
    vector("mixed-multi", MIXED, {"rule": "multiKrum/v1", "byzantine": 2, "slashOutliers": "4", "serverLearningRate": "0.3"}, [1] * 8, "unit", (0, 5)),
    vector("mixed-keep", MIXED, {"rule": "multiKrum/v1", "byzantine": 1, "keep": 3, "slashOutliers": "0"}, [1] * 6, "unit", (4,)),
    vector("mixed-bits", MIXED, {"rule": "multiKrum/v1", "byzantine": 1}, [1] * 5, "bits"),
    vector("mixed-clipped", MIXED, {"rule": "clippedMean/v1", "clipNorm": "100.25"}, [1] * 4, "unit", (1,)),
    vector("mixed-rate", MIXED, {"rule": "trimmedMean/v1", "trim": 1, "serverLearningRate": "0.75"}, [1] * 5, "unit", (1,)),
    vector("median-50", small("F32"), {"rule": "median/v1"}, [1] * 50, "bits"),
    vector("trimmed-33", small("BF16"), {"rule": "trimmedMean/v1", "trim": 5}, [1] * 33, "bits"),
]
print(json.dumps(CASES, indent=1))
