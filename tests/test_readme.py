"""The README's promises that a doctest cannot hold."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skpoe import all_estimators, demo
from skpoe.cli import main
from skpoe.cli.parameters import option_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ORIGINAL_OPTIONS = (
    "dataset variational_strategy variational_posterior prior likelihood objective "
    "unstructured_encoder lr K ebm_samples latent_dim m_dim vmf_dim n_vmfs theta_dim embed_dim "
    "batch_size epochs kl_anneal_epochs no_improvement ar_step_size obs_std_dev pre_trained "
    "mll_freq test_freq no_cuda seed grad_clip train_m test_m data_dir save_model"
).split()


def commands_of(page):
    """The lines of all shell blocks of a page."""
    blocks = re.findall(r"```sh\n(.*?)\n```", page, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_two_commands_each_one_line_from_nothing():
    commands = [c for c in commands_of(README) if c.startswith("python3")]
    assert len(commands) == 2
    assert all(c.startswith("python3 -m venv") for c in commands)
    assert commands[0].endswith("-m skpoe demo")
    assert commands[1].endswith("-m pytest")


@pytest.mark.parametrize("page", ["README.md", "docs/command-line.md"])
def test_commands_on_files_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    cells = pd.Index([f"cell{i}" for i in range(40)], name="cell")
    z = rng.normal(size=(40, 1))
    for name, rows in (("rna", slice(30)), ("adt", slice(15, None))):
        pd.DataFrame(z + rng.normal(size=(40, 3)), index=cells)[rows].to_csv(f"{name}.csv")
    commands = [c for c in commands_of((ROOT / page).read_text()) if c.startswith("skpoe")]
    assert len(commands) >= 3
    for command in commands:
        words = shlex.split(command)[1:]
        assert main([*words, *(["--max-iter", "3"] if words[0] == "fit" else [])]) == 0
    assert "</html>" in (tmp_path / "report.html").read_text()
    for name in ("rna", "adt"):
        filled = pd.read_csv(f"filled/{name}.csv", index_col=0)
        assert set(filled.index) == set(cells)
        assert filled.notna().all(axis=None)


def test_every_option_of_the_original_has_its_row():
    page = (ROOT / "docs" / "original.md").read_text().partition("## Its command line")[2]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", page, flags=re.MULTILINE)
    theirs = re.findall(r"`(\w+)`", " ".join(left for left, _ in rows))
    assert sorted(theirs) == sorted(ORIGINAL_OPTIONS)
    parameters = inspect.signature(dict(all_estimators())["ModularVAE"]).parameters
    ours = {"--modality", "--data", "--out", "--start-from", "--hide", "--rate"}
    ours |= {option_of(name) for name in parameters}
    assert set(re.findall(r"`(--[\w-]+)", " ".join(right for _, right in rows))) <= ours


def test_every_estimator_stands_in_the_table():
    rows = set(re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE))
    assert rows == {name for name, _ in all_estimators()}


EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
# an example as it stands, but for fewer digits, and for training of few epochs, in one process
SHORT = """
import functools, runpy, sys, warnings
import sklearn.datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from skpoe.training import Plan
made = GridSearchCV.__init__
@functools.wraps(made)
def alone(self, estimator, grid, **words):
    few = {name: values[:1] for name, values in grid.items()}
    made(self, estimator, few, **{**words, "n_jobs": None, "cv": 2})
GridSearchCV.__init__ = alone
whole = Plan.n_epochs
Plan.n_epochs = lambda plan, n_rows: min(5, whole(plan, n_rows))
digits = sklearn.datasets.load_digits
sklearn.datasets.load_digits = lambda **words: [part[:400] for part in digits(**words)]
warnings.simplefilter("ignore", ConvergenceWarning)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(words, folder):
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        # plt.show() says that there is no window
        env={
            **os.environ,
            "PYTHONWARNINGS": "error,ignore:FigureCanvasAgg",
            "MPLBACKEND": "agg",
        },
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("example", ["plot_quickstart.py"])
def test_examples_run(example, tmp_path):
    path = str(ROOT / "examples" / example)
    run_example(["-c", SHORT, path], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_all_examples_run_whole(example, tmp_path):
    run_example([str(ROOT / "examples" / example)], tmp_path)


def test_demo_beats_linear_models_and_names_its_pictures(tmp_path, monkeypatch):
    def short(estimator, grid, **words):
        few = {name: values[:1] for name, values in grid.items()}
        if "max_iter" in estimator.get_params():  # a score that is shown, and compared with none
            estimator.set_params(max_iter=1, trust=1.0, start_weight=0.0)
        return GridSearchCV(estimator, few, cv=2)

    pixels, digits = load_digits(return_X_y=True)
    monkeypatch.setattr(demo, "GridSearchCV", short)
    monkeypatch.setattr(demo, "load_digits", lambda **words: (pixels[:900], digits[:900]))
    lines = []
    errors = demo.run_demo(tmp_path / "new" / "pictures", max_iter=10, say=lines.append)
    assert errors["PoEVAE"] < min(errors["ridge regression"], errors["factor analysis"])
    assert errors["column mean"] == pytest.approx(1)
    written = [Path(line.removeprefix("Wrote ")) for line in lines if line.startswith("Wrote ")]
    assert sorted(path.name for path in written) == [
        "filled-in.png",
        "latent-map.png",
        "loss-curve.png",
    ]
    assert all(path.stat().st_size > 10_000 for path in written)


def test_demo_without_matplotlib_says_how_to_get_pictures(tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    lines = []
    demo._draw(tmp_path / "none", None, None, None, None, lines.append)
    assert lines == ["For pictures, install matplotlib: pip install 'skpoe[plots]'"]
    assert not (tmp_path / "none").exists()


def test_command_line_tells_its_version(capsys):
    from skpoe import __version__

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skpoe {__version__}\n"
