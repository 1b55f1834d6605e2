"""What is shipped: a wheel that runs with the dependencies that it names, and no others."""

import importlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import skpoe

ROOT = Path(__file__).parent.parent
DEPENDENCIES = {"torch", "scikit-learn", "numpy", "pandas", "joblib"}
EXTRAS = {"matplotlib", "safetensors", "pyarrow", "mudata", "rich", "h5py", "pytest"}


def test_the_script_is_the_command_line():
    tomllib = pytest.importorskip("tomllib", reason="came with Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["skpoe"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert {d.split(">")[0] for d in project["dependencies"]} == DEPENDENCIES


def test_types_are_shipped():
    assert (Path(skpoe.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_a_wheel_needs_its_dependencies_alone(tmp_path):
    """From an empty environment to the README's example; run with -m slow, it installs torch."""

    def run(*words, **how):
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, **how)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    source = tmp_path / "source"  # a build leaves files behind, which a later one would ship
    shutil.copytree(ROOT / "skpoe", source / "skpoe")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", str(source))
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as file:
        assert "skpoe/py.typed" in file.namelist()
        assert not [name for name in file.namelist() if name.startswith("tests")]
    run(sys.executable, "-m", "venv", "empty")
    python = tmp_path / "empty" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "-q", "-c", str(constraints), str(wheel))
    listed = run(python, "-m", "pip", "list", "--format=freeze").lower()
    installed = {line.split("==")[0] for line in listed.split()}
    assert installed >= DEPENDENCIES
    assert not installed & EXTRAS
    options = [word for o in ("NORMALIZE_WHITESPACE", "ELLIPSIS") for word in ("-o", o)]
    assert run(python, "-m", "doctest", *options, str(ROOT / "README.md")) == ""
    script = tmp_path / "empty" / "bin" / "skpoe"
    assert run(script, "--version") == f"skpoe {skpoe.__version__}\n"
    (tmp_path / "a.csv").write_text("id,x,y\n" + "".join(f"r{i},{i},{i % 3}\n" for i in range(9)))
    words = [script, "fit", "MVAE", "--modality", "a=a.csv", "--out", "m"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("need the package safetensors: pip install 'skpoe[io]'\n")
