"""The floors of the house: a floor imports only from lower ones, or from its own."""

import ast
from pathlib import Path

import pytest

import skpoe

PACKAGE = Path(skpoe.__file__).parent
FLOORS = [
    "device distributions random shortcuts slots subsets threads nn _compat".split(),
    ["data", "likelihoods", "posteriors", "priors"],
    ["factor_analysis", "private"],
    ["strategies"],
    ["model"],
    ["objectives", "metrics"],
    ["compiling", "recording", "optimizer", "stopping", "drawing", "distributed"],
    ["training", "stepping"],
    ["acquisition", "io"],
    ["estimators", "preprocessing", "datasets", "model_selection", "evaluation", "inspection"],
    ["scorers", "imputation", "pooling", "annotation"],
    ["demo", "cli", "__main__", "__init__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# the torch core serves any training loop; only these rooms below the estimators know scikit-learn
SCIKIT_LEARN = {"_compat.py", "data/validation.py"}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room(file):
    return file.split("/")[0].removesuffix(".py")


def imports(file):
    """Rooms of skpoe, and other packages, that a file imports at any depth of its code."""
    ours, others = set(), set()
    here = file.split("/")[:-1]
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            ours |= {".".join([*base, name]).split(".")[0] for name in names}
    return ours, others


@pytest.mark.parametrize("file", FILES)
def test_a_floor_imports_only_from_lower_ones(file):
    ours, others = imports(file)
    higher = {other for other in ours if FLOOR.get(other, 0) > FLOOR[room(file)]}
    assert not higher
    assert "skpoe" not in others, "use relative imports"
    if FLOOR[room(file)] < FLOOR["estimators"] and file not in SCIKIT_LEARN:
        assert "sklearn" not in others


def test_the_core_runs_without_scikit_learn():
    """What the imports say, tried: no module of the core pulls scikit-learn in."""
    import subprocess
    import sys

    code = (
        "import sys, types; p = types.ModuleType('skpoe'); p.__path__ = [sys.argv[1]]; "
        "sys.modules['skpoe'] = p; import skpoe.training, skpoe.metrics; "
        "assert 'sklearn' not in sys.modules, 'scikit-learn was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code, str(PACKAGE)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_files_are_small():
    sizes = {file: len((PACKAGE / file).read_text().splitlines()) for file in FILES}
    assert max(sizes.values()) <= 400, sizes
