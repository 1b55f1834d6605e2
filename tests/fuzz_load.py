"""Mutated files into ``skpoe.load``: nothing but the documented exception may come.

``python tests/fuzz_load.py --n 200000`` prints how many files were loaded, how many were refused
and for what, the peak of memory and the seconds. A failure is printed with the number that makes
it again (``--first NUMBER --n 1``).
"""

import argparse
import collections
import contextlib
import copy
import json
import random
import re
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch

import skpoe
from skpoe.io import FileFormatError
from skpoe.io.container import read, to_bytes

NUMBERS = [-1, 0, 1, 2, 3, 7, 255, 2**31, 2**53, 2**63, 10**12, 10**100, -(2**63), 0.5, 1e300]
STRINGS = ["", "a", "F32", "F64", "I64", "BOOL", "../../etc/passwd", "os:system", "MVAE", "\ud800"]
VALUES = [None, True, False, [], {}, [[]], *NUMBERS, *STRINGS]
TAGS = (
    "tuple dict float array tensor numpy objects slice range device interval timestamp labels "
    "category dtype again object import"
).split()


def seeds(folder):
    """Small files of four kinds: exact, with an optimiser, of mixed columns, a checkpoint."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(12, 2)), rng.normal(size=(12, 1))]
    frame = pd.DataFrame(
        {
            "dose": rng.normal(size=12),
            "sick": rng.random(12) > 0.5,
            "town": pd.Categorical(np.array(["oslo", "rome"])[np.arange(12) % 2]),
            "grade": pd.Categorical(np.array(["a", "b", "c"])[np.arange(12) % 3], ordered=True),
        }
    )
    small = {"latent_dim": 1, "random_state": 0}
    plain = {**small, "hidden_layer_sizes": (), "max_iter": 1}
    made = [
        (skpoe.MultimodalFactorAnalysis(**small), X),
        (skpoe.MVAE(**plain, warm_start=True), dict(zip("ab", X, strict=True))),
        (skpoe.PoEVAE(**plain, modalities={"x": ["dose", "sick"], "y": ["town", "grade"]}), frame),
    ]
    files = []
    for number, (est, X) in enumerate(made):
        path = est.fit(X).save(folder / f"seed{number}.skpoe")
        files.append((path.read_bytes(), *read(path), X))
    path = folder / "checkpoint.skpoe"
    with mock.patch("skpoe.estimators.course.train", side_effect=ZeroDivisionError):
        with contextlib.suppress(ZeroDivisionError):
            skpoe.PoEVAE(**plain, checkpoint=path).fit(made[1][1])
    return [*files, (path.read_bytes(), *read(path), made[1][1])]


def mutate(rng, files):
    """One mutated file, and what its seed was fitted on."""
    data, document, tensors, X = rng.choices(files, [4, 3, 2, 1])[0]
    kind = rng.choice([raw, raw, header, header, said, said, said, numbers])
    if kind is raw:
        return raw(rng, data, rng.choice(files)[0]), X
    if kind is header:
        return header(rng, data), X
    document, tensors = copy.deepcopy(document), dict(tensors)
    kind(rng, document, tensors)
    return signed(document, tensors), X


def signed(document, tensors):
    """As if ``save`` had written it: digests are right, so that what is behind them is tried."""
    try:
        return to_bytes(document, tensors)
    except ValueError:  # no JSON says it, or text is no text
        return b""


def raw(rng, data, other):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        how = rng.randrange(7)
        if how <= 1 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif how == 2:
            data = data[:at]
        elif how == 3:
            data[at:to] = other[at:to]
        elif how == 4:
            data[at:at] = rng.randbytes(rng.randrange(16))
        elif how == 5:
            del data[at : at + rng.randrange(64)]
        else:
            data[:8] = rng.choice([0, 1, 2, 255, 10**8, 10**11, 2**63, 2**64 - 1]).to_bytes(
                8, "little"
            )
    return bytes(data)


def split(data):
    n = int.from_bytes(data[:8], "little")
    return data[8 : 8 + n].decode(), data[8 + n :]


def join(text, body):
    header = text.encode(errors="replace")
    return len(header).to_bytes(8, "little") + header + body


def header(rng, data):
    """Edit the table of tensors: places, dtypes, shapes, names; also a name twice."""
    text, body = split(data)
    table = json.loads(text)
    for _ in range(rng.choice([1, 1, 2, 4])):
        name = rng.choice(list(table))
        entry = table[name]
        how = rng.randrange(7)
        is_entry = name != "__metadata__" and isinstance(entry, dict)
        if how == 0:
            table[rng.choice([*STRINGS, *table])] = table.pop(name)
        elif how == 1:
            del table[name]
        elif how == 2:
            table[name] = copy.deepcopy(table[rng.choice(list(table))] if table else {})
        elif how == 3:
            table[name] = vary(rng, entry)
        elif how == 4 and is_entry:
            place = rng.choice([[0, 10**11], [-8, 0], [8, 0], [0, 0], [2**63, 2**64], [0]])
            entry["data_offsets"] = place
        elif how == 5 and is_entry:
            entry["dtype"] = rng.choice(["F32", "F64", "I64", "U8", "BOOL", "F4", "C64", "BF16"])
        elif is_entry:
            entry["shape"] = rng.choice([[], [0], [-1], [2**40, 2**40], [1] * 40, [3, 3], ["a"]])
        if not table:
            break
    text = json.dumps(table, separators=(",", ":"))
    if rng.random() < 0.1:
        name = rng.choice(list(table) or ["a"])
        text = text[:-1] + f",{json.dumps(name)}:{json.dumps(table.get(name))}}}"
    if rng.random() < 0.05:
        text = rng.choice(["[" * 100_000, text.replace("0", "NaN"), text.replace("0", "1e999", 1)])
    return join(text, body)


def vary(rng, value):
    """Change one thing somewhere inside a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        how = rng.randrange(12)
        if how == 0:
            return {k: v for k, v in value.items() if k != key}
        if how == 1:
            return {(rng.choice(TAGS + STRINGS) if k == key else k): v for k, v in value.items()}
        return {k: vary(rng, v) if k == key else v for k, v in value.items()}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        how = rng.randrange(12)
        if how == 0:
            return value[:at] + value[at + 1 :]
        if how == 1:
            return [*value[:at], value[at], *value[at:]]
        if how == 2:
            return value * rng.choice([0, 2, 1000])
        return [vary(rng, v) if i == at else v for i, v in enumerate(value)]
    if rng.random() < 0.3:
        return {rng.choice(TAGS): rng.choice([value, [value], [value] * 2, [value] * 3])}
    if isinstance(value, (int, float)) and rng.random() < 0.5:
        return rng.choice(NUMBERS)
    if isinstance(value, str) and value and rng.random() < 0.3:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice("aZ09 ._:[]") + value[at + 1 :]
    return rng.choice(VALUES)


def said(rng, document, tensors):
    """Edit the document, and sign it."""
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        # all of it, or something inside a part
        part = rng.choice(
            [*document, *4 * ["parameters", "layout", "likelihoods", "kept"], "checkpoint", None]
        )
        if part is None:
            new = vary(rng, document)
        else:
            new = {**document, part: vary(rng, document.get(part))}
        new = new if isinstance(new, dict) else {"kept": new}
        document.clear()
        document.update(new)


def numbers(rng, document, tensors):
    """Edit tensors, and sign them."""
    for _ in range(rng.choice([1, 1, 3])):
        name = rng.choice(list(tensors))
        tensor = tensors[name]
        how = rng.randrange(7)
        if how == 0:
            del tensors[name]
        elif how == 1:
            tensors[rng.choice([*STRINGS[:8], *tensors, name + ".a"])] = tensors.pop(name)
        elif how == 2:
            tensors[name] = tensor.to(rng.choice([torch.float32, torch.float64, torch.int64]))
        elif how == 3:
            tensors[name] = torch.zeros(rng.choice([(), (0,), (1,), (2, 3), (1, *tensor.shape)]))
        elif how == 4:
            tensors[name] = tensors[rng.choice(list(tensors))].clone()
        else:
            wild = rng.choice([0, 1, -1, 10**6]) if how == 5 else float("nan")
            tensors[name] = torch.full_like(tensor, 0 if wild != wild else wild)
            if tensor.dtype.is_floating_point:
                tensors[name] = torch.full_like(tensor, wild)
        if not tensors:
            break


def run(n, first=0, stop_at=5):
    """Try files number ``first`` to ``first + n``; give counts, and failures by number."""
    counts, reasons, failures = collections.Counter(), collections.Counter(), {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").exists() else None) as to:
        files = seeds(Path(to))
        path = Path(to) / "mutated.skpoe"
        for number in range(first, first + n):
            rng = random.Random(number)
            data, X = mutate(rng, files)
            path.write_bytes(data)
            try:
                est = skpoe.load(path)
            except FileFormatError as error:
                counts["FileFormatError"] += 1
                reason = str(error).split("cannot be loaded: ", 1)[-1]
                reasons[re.sub(r"'.*'|\[.*\]|\d[\d,.]*", "_", reason)[:50]] += 1
            except BaseException as error:
                counts[type(error).__name__] += 1
                failures[number] = error
                if len(failures) >= stop_at:
                    break
            else:
                counts["loaded"] += 1
                if number % 10 == 0:  # what is forged may be wrong, but must not crash
                    try:
                        est.transform(X)
                    except Exception as error:
                        counts[f"loaded, then {type(error).__name__} of transform"] += 1
    return counts, reasons, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    began = time.perf_counter()
    seeds_only = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, reasons, failures = run(arguments.n, arguments.first)
    print(f"files {arguments.first} to {arguments.first + arguments.n - 1}")
    for what, times in counts.most_common():
        print(f"{times:9,}  {what}")
    print("most frequent reasons:")
    for reason, times in reasons.most_common(25):
        print(f"{times:9,}  {reason}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1024:.0f} MB, {seeds_only / 1024:.0f} MB before the first file")
    print(f"{time.perf_counter() - began:.0f} seconds")
    for number, error in failures.items():
        print(f"FAILED {number}: {type(error).__name__}: {error}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
