"""Fill in files by commands alone
===============================

Two CSV files with different rows, filled in by the command line alone.

Run it with ``python examples/command_line.py``; it works in a folder of its own, and takes about
ten seconds. Of 178 wines, 120 were analysed for seven things, 118 for six others, and 60 for both.
"""

import shlex
import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_wine

from skpoe.cli import main

folder = Path(tempfile.mkdtemp())
wines = load_wine(as_frame=True).data.sample(frac=1, random_state=0)
wines.index = pd.Index([f"wine{i:03d}" for i in range(len(wines))], name="wine")
wines.iloc[:120, :7].to_csv(folder / "chemistry.csv")
wines.iloc[60:, 7:].to_csv(folder / "colour.csv")

data = f"--modality chemistry={folder}/chemistry.csv --modality colour={folder}/colour.csv"
for command in (
    f"fit PoEVAE {data} --out {folder}/wine.skpoe --max-iter 40 --random-state 0",
    f"impute {folder}/wine.skpoe {data} --out {folder}/filled --interval 0.9",
    f"evaluate {folder}/wine.skpoe {data}",
    f"report {folder}/wine.skpoe {data} --out {folder}/report.html",
):
    print(f"\n$ skpoe {command.replace(f'{folder}/', '')}")
    if status := main(shlex.split(command)):
        sys.exit(status)

filled = pd.read_csv(folder / "filled" / "colour.csv", index_col=0)
truth, mean = wines.iloc[:60, 7:], wines.iloc[60:, 7:].mean()
error = ((filled.loc[truth.index] - truth) ** 2).mean() / ((truth - mean) ** 2).mean()
print("\nWines without a colour table, error of each column (the column's mean has 1):")
print(error.round(2).to_string())
