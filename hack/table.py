#!/usr/bin/env python3
"""Splits a table into the data folders of a federated task.

    pip install scikit-learn==1.9.1 pyarrow==26.0.1      # pyarrow only for --format parquet
    hack/table.py cancer --clients 3

takes the Breast Cancer Wisconsin (Diagnostic) data that scikit-learn ships (569 rows, 30 columns, UCI, CC BY 4.0) and writes
.build/data/cancer/client-0 ... client-2 and .build/data/cancer/held-out, each with `rows.csv` (or `rows.parquet`, or `dataset.json` for containers of FLock's SDK). Which row goes where is
decided by hashes of its number, so the same arguments give the same files everywhere.

    hack/table.py cancer --whole trainer-image/tests/data/breast-cancer.csv

writes all rows into one file instead: that is the file the trainer's tests read.
"""
import argparse
import csv
import hashlib
import json
import pathlib

from sklearn.datasets import load_breast_cancer

ROOT = pathlib.Path(__file__).resolve().parent.parent


def rows():
    """The header and all rows, numbers as the shortest text that gives them back."""
    data = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names]
    labels = [str(data.target_names[label]) for label in data.target]
    return names + ["diagnosis"], [[repr(float(x)) for x in row] + [label] for row, label in zip(data.data, labels)]


def order(seed, count):
    """All indices in an order that depends on nothing but the arguments."""
    return sorted(range(count), key=lambda i: hashlib.sha256(f"{seed}/{i}".encode()).digest())


def write_csv(path, header, some):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(some)
    path.chmod(0o644)  # trainers read it as another user


def write_parquet(path, header, some):
    import pyarrow
    from pyarrow import parquet

    columns = list(zip(*some))
    numbers = {name: [float(x) for x in column] for name, column in zip(header[:-1], columns)}
    parquet.write_table(pyarrow.table({**numbers, header[-1]: list(columns[-1])}), path, compression="snappy")
    path.chmod(0o644)


def write_json(path, header, some):
    records = [dict(zip(header, [*map(float, row[:-1]), row[-1]])) for row in some]
    path.write_text(json.dumps(records))
    path.chmod(0o644)


WRITERS = {"csv": ("rows.csv", write_csv), "parquet": ("rows.parquet", write_parquet), "json": ("dataset.json", write_json)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", help="name of the folder below the output folder")
    parser.add_argument("--clients", type=int, default=3, help="how many client folders (default %(default)s)")
    parser.add_argument("--held-out", type=int, default=114, help="rows in held-out (default %(default)s, a fifth)")
    parser.add_argument("--format", choices=list(WRITERS), default="csv")
    parser.add_argument("--seed", default="1", help="another seed gives another split (default %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / ".build/data")
    parser.add_argument("--whole", type=pathlib.Path, help="write all rows into this CSV file and nothing else")
    args = parser.parse_args()
    header, table = rows()
    if args.whole:
        return write_csv(args.whole, header, table)
    if not 0 < args.held_out < len(table) or not 0 < args.clients <= len(table) - args.held_out:
        parser.error(f"there are {len(table)} rows")
    indices = order(args.seed, len(table))
    parts = {"held-out": indices[:args.held_out]}
    for client in range(args.clients):
        parts[f"client-{client}"] = indices[args.held_out + client::args.clients]
    for name, part in parts.items():
        folder = args.out / args.set / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        some = [table[i] for i in sorted(part)]
        file, write = WRITERS[args.format]
        write(folder / file, header, some)
    print(f"{args.out / args.set}: {args.clients} clients, {len(table) - args.held_out} rows between them, {args.held_out} held out")


main()
