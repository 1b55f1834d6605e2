"""What scripts that fit many models share: lines of JSON, settings, averages, tables of text."""

import ast
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

import skpoe


def arguments(parser):
    """Add what every such script can be told, and read the command line.

    A variant of an estimator is one method under a label of its own, so that no file mixes two
    settings under one name.
    """
    parser.add_argument("--out", nargs="+", default=[], help="lines of JSON; the first grows")
    parser.add_argument("--table-only", action="store_true", help="print what the files hold")
    parser.add_argument("--set", nargs="+", default=[], metavar="PARAM=VALUE", dest="settings")
    parser.add_argument("--label", help="name of the one method that --set changes")
    parser.add_argument("--dev", action="store_true", help="rows or holes that are not reported")
    args = parser.parse_args()
    if bool(args.settings) != bool(args.label):
        parser.error("--set and --label go together.")
    if args.label and len(args.methods) != 1:
        parser.error("--label takes one method: say which with --methods.")
    args.settings = dict(map(setting, args.settings))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    return args


def setting(text):
    """Read PARAM=VALUE; a value that is no Python literal is a string."""
    name, value = text.split("=", 1)
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def configured(name, seed, usual, settings):
    """An estimator of skpoe, None if this version lacks it; so it may lack a usual setting."""
    kind = getattr(skpoe, name, None)
    if kind is None:
        return None
    known = kind().get_params()
    usual = {"random_state": seed, "n_threads": 1} | usual
    return kind(**{key: usual[key] for key in usual if key in known} | settings)


def read(paths):
    """All rows of all files; the half line that a killed run leaves is no row."""
    rows = []
    for path in map(Path, paths):
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def append(paths, row):
    line = json.dumps(row, default=_plain)
    print(line, flush=True)
    if paths:
        with Path(paths[0]).open("a") as file:
            file.write(line + "\n")


def _plain(value):
    """What JSON does not know: numbers and arrays of numpy and torch, else their text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def values(rows, key, repeat, **where):
    """The number under a key, by split or mask; the last of those that were measured twice."""
    return {
        row[repeat]: row[key]
        for row in rows
        if row.get(key) is not None and all(row[name] == value for name, value in where.items())
    }


def difference(ours, theirs):
    """Paired: by what both have."""
    return {repeat: ours[repeat] - theirs[repeat] for repeat in ours if repeat in theirs}


def mean_se(numbers, digits=3):
    """Mean (standard error) of the values of a dict, as text."""
    x = np.array(list(numbers.values()), dtype=float)
    if not len(x):
        return "-"
    mean = f"{x.mean():.{digits}f}"
    return mean if len(x) == 1 else f"{mean} ({x.std(ddof=1) / len(x) ** 0.5:.{digits}f})"


def methods_of(rows, usual):
    """Methods that rows hold: first the usual ones in their order, then labels as they came."""
    found = dict.fromkeys(row["method"] for row in rows)
    return [name for name in usual if name in found] + [
        name for name in found if name not in usual
    ]


def print_table(title, lines, columns, cell):
    """Print cell(line, column) for each pair; lines and columns without a number are left out."""
    texts = {(line, column): cell(line, column) for line in lines for column in columns}
    filled = [at for at, text in texts.items() if text != "-"]
    if not filled:
        return
    lines = [line for line in lines if any(line == at[0] for at in filled)]
    columns = [column for column in columns if any(column == at[1] for at in filled)]
    first = 2 + max(map(len, lines))
    widths = [2 + max(len(c), *(len(texts[line, c]) for line in lines)) for c in columns]
    print(f"\n{title}")
    print(" " * first + "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True)))
    for line in lines:
        cells = (f"{texts[line, c]:>{w}}" for c, w in zip(columns, widths, strict=True))
        print(f"{line:<{first}}" + "".join(cells))
