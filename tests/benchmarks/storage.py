"""Rows per second of training on rows that are on disk, by storage and by the order of reading.

    python tests/benchmarks/storage.py

75,000 rows of 1,000 float32 numbers (300 MB) lie in a memory-mapped file, in a dataset of h5py and
in an array of zarr, both in chunks of 100 rows, of h5py also compressed; a Dataset of torch reads
the memory-mapped file row by row. Visited are batches of 128 rows: read alone, and trained on (an
MVAE with one hidden layer of 64). "one by one" reads each batch for itself, in random order, as
rows in memory are; "blocks" reads blocks of rows into a buffer; "ahead" does so in a second
thread while training is at work: that is what ``fit`` does. "cold" begins with a file that the
system has dropped from its memory. Each number is one run of at most 3 seconds. A table for
docs/large.md is printed.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
import zarr

import skpoe.data.rows
from skpoe import MVAE, Modalities
from skpoe.data.rows import Rows, Streamed
from skpoe.data.validation import read
from skpoe.training import Plan, train

WIDE, BATCH, MOST = 1_000, 128, 3.0


class OneByOne(torch.utils.data.Dataset):
    """Rows of a table, each asked for alone."""

    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, row):
        return (torch.from_numpy(np.array(self.table[row])),)


def in_numpy(folder, table):
    table.tofile(folder / "table.f32")
    return np.memmap(folder / "table.f32", table.dtype, "r", shape=table.shape)


def in_h5py(folder, table, **how):
    with h5py.File(folder / "table.h5", "w") as file:
        file.create_dataset("table", data=table, chunks=(100, WIDE), **how)
    return h5py.File(folder / "table.h5", "r")["table"]


def in_zarr(folder, table):
    store = zarr.create_array(
        store=folder / "table.zarr", shape=table.shape, chunks=(100, WIDE), dtype=table.dtype
    )
    store[:] = table
    return zarr.open_array(folder / "table.zarr", mode="r")


STORES = {
    "`np.memmap`": in_numpy,
    "h5py": in_h5py,
    "h5py, gzip": lambda folder, table: in_h5py(folder, table, compression="gzip"),
    "zarr": in_zarr,
    "Dataset": lambda folder, table: Modalities(OneByOne(in_numpy(folder, table))),
}


def drop(folder):
    """Have the system forget what it holds of the files."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


class Enough(Exception):
    """So many seconds are over."""


def rate(visits, work):
    """Rows per second."""
    began, n_rows = time.perf_counter(), 0

    def counted():
        nonlocal n_rows
        for visit in visits:
            yield visit
            n_rows += len(visit[0])
            if time.perf_counter() - began > MOST:
                raise Enough

    try:
        work(counted())
    except Enough:
        pass
    return n_rows / (time.perf_counter() - began)


def ways(rows):
    """Functions that visit the rows once, by the name of the way."""
    ahead, blocks = skpoe.data.rows.read_ahead, rows.table.blocks

    def visit(read_ahead, blocks):
        skpoe.data.rows.read_ahead, rows.table.blocks = read_ahead, blocks
        generator = torch.Generator().manual_seed(0)
        return rows.visit(BATCH, generator, lambda rows: rows)

    return {
        "one by one": lambda: visit(ahead, None),
        "blocks": lambda: visit(map, blocks),
        "ahead": lambda: visit(ahead, blocks),
    }


def training(est, rows):
    """Train for an epoch on what is visited."""

    def work(visits):
        model, objective = est.model_, est._objective
        twin = Rows(rows.table, rows.weights)
        object.__setattr__(twin, "visit", lambda *how: visits)
        train(model, objective, twin, Plan(max_iter=1, batch_size=BATCH), ["table"])

    return work


def exhaust(visits):
    for _ in visits:
        pass


def measure(name, table, n_rows):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stored = STORES[name](folder, table)
        X = stored if isinstance(stored, Modalities) else Modalities([stored])
        est = MVAE(latent_dim=8, hidden_layer_sizes=(64,), max_iter=1, random_state=0)
        est.fit(X[:2000])
        source, _ = read(est, X, est._layout)
        rows = Rows(Streamed(source, est.model_.read), torch.ones(n_rows))
        for what, work in (("read", exhaust), ("train", training(est, rows))):
            for temperature in ("cold", "warm"):
                rates = []
                for visit in ways(rows).values():
                    if temperature == "cold":
                        drop(folder)
                    rates.append(rate(visit(), work))
                numbers = " | ".join(f"{number:,.0f}" for number in rates)
                print(f"| {name} | {what}, {temperature} | {numbers} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=75_000)
    parser.add_argument("--stores", nargs="*", default=list(STORES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    # counts in floats, of which compression can make something
    table = rng.poisson(1.0, size=(args.rows, WIDE)).astype(np.float32)
    print("| storage | | one by one | blocks | ahead |\n|---|---|---|---|---|")
    for name in args.stores:
        measure(name, table, args.rows)


if __name__ == "__main__":
    main()
