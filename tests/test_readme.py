"""The README's promises that a doctest cannot hold."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from skpoe import all_estimators
from skpoe.demo import run_demo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_two_commands_each_one_line_from_nothing():
    commands = re.findall(r"```sh\n(.*?)\n```", README, flags=re.DOTALL)
    assert len(commands) == 2
    assert all(c.startswith("python3 -m venv") and "\n" not in c for c in commands)
    assert commands[0].endswith("-m skpoe demo")
    assert commands[1].endswith("-m pytest")


def test_every_estimator_stands_in_the_table():
    rows = set(re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE))
    assert rows == {name for name, _ in all_estimators()}


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), (page, target)


QUICKER = {"mnist_pixels.py": ["--epochs", "20", "--rows", "300"]}


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_examples_run(example, tmp_path):
    environment = {**os.environ, "PYTHONWARNINGS": "error", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example), *QUICKER.get(example, [])],
        capture_output=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_demo_beats_linear_models_and_names_its_pictures(tmp_path):
    lines = []
    errors = run_demo(tmp_path / "new" / "pictures", max_iter=30, say=lines.append)
    assert errors["PoEVAE"] < min(errors["ridge regression"], errors["factor analysis"])
    assert errors["column mean"] == pytest.approx(1)
    written = [Path(line.removeprefix("Wrote ")) for line in lines if line.startswith("Wrote ")]
    assert sorted(path.name for path in written) == [
        "filled-in.png",
        "latent-map.png",
        "loss-curve.png",
    ]
    assert all(path.stat().st_size > 10_000 for path in written)


def test_demo_without_matplotlib_says_how_to_get_pictures(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['matplotlib.figure'] = None; "
        "from skpoe.cli import main; main(['demo', '--max-iter', '1', '--out', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "none")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("install matplotlib: pip install 'skpoe[plots]'\n")
    assert not (tmp_path / "none").exists()


def test_command_line_tells_its_version(capsys):
    from skpoe import __version__
    from skpoe.cli import main

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skpoe {__version__}\n"
