"""Files of every estimator, written under one version of scikit-learn and read under another.

    OLD/bin/python tests/cross_version.py write FOLDER
    NEW/bin/python tests/cross_version.py read FOLDER

"read" loads each file and compares latents, scores and imputations with those that "write" noted;
it ends with 1 if any differs by more than rounding.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from small import FAST, small

import skpoe


def table():
    """Columns of several kinds, with holes, made without scikit-learn."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 1))
    rna = pd.DataFrame(z + rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    rna["flag"] = z[:, 0] > 0
    rna["kind"] = pd.Categorical(np.array(["x", "y", "z"])[rng.integers(3, size=60)])
    rna.iloc[::7, 1] = np.nan
    adt = pd.DataFrame(z + rng.normal(size=(60, 2))).add_prefix("p")
    adt.iloc[::4] = np.nan
    return {"rna": rna, "adt": adt}


def told(est, X):
    filled = est.predict_missing(X)
    columns = [frame.select_dtypes("number").to_numpy(float) for frame in filled.values()]
    return {
        "latents": np.asarray(est.transform(X)),
        "scores": est.score_samples(X),
        **{f"filled {m}": x for m, x in enumerate(columns)},
    }


def main(command, folder):
    folder, X, failed = Path(folder), table(), 0
    folder.mkdir(exist_ok=True)
    numbers = {name: frame.select_dtypes("number") for name, frame in X.items()}
    for name, cls in skpoe.all_estimators():
        path = folder / f"{name}.skpoe"
        shown = numbers if cls is skpoe.MultimodalFactorAnalysis else X
        if command == "write":
            est = small(cls, **FAST, likelihood="auto").fit(shown)
            est.save(path)
            np.savez(folder / f"{name}.npz", **told(est, shown))
            continue
        now, then = told(skpoe.load(path), shown), np.load(folder / f"{name}.npz")
        far = max(np.abs(now[key] - then[key]).max() for key in now)
        failed += not far < 1e-5
        print(f"{name}: differs by {far:.1e}")
    print(f"scikit-learn {sklearn.__version__}: {command}, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(*sys.argv[1:]))
