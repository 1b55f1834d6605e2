"""Several processes that train together: what one would give, or an error in all of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fit_together import FITS, data, parameters

# a launch that hangs is a failure; a whole one takes about 20 s
LIMIT = 240


def launch(out, *case, limit=LIMIT):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += [str(Path(__file__).with_name("fit_together.py")), str(out), *case]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=limit,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    out = tmp_path_factory.mktemp("together") / "fits"
    done = launch(out)
    assert done.returncode == 0, done.stderr[-3000:]
    return [np.load(f"{out}-{rank}.npz") for rank in range(2)]


@pytest.mark.parametrize("name", FITS)
def test_two_processes_give_what_one_gives(name, together):
    first, second = (made[name] for made in together)
    np.testing.assert_array_equal(first, second)
    alone = parameters(FITS[name].fit(data()))
    limit = 1e-6 if "single" in name else 1e-12
    np.testing.assert_allclose(first, alone, rtol=limit, atol=limit)


def test_without_a_seed_they_agree_on_one(together):
    np.testing.assert_array_equal(*(made["no seed"] for made in together))


def test_other_data_in_one_of_them_is_an_error_in_all(together):
    for made in together:
        assert str(made["rows"]) == (
            "Processes that train together need the same data and parameters, but their n_rows is "
            "[61, 60] by rank. Pass the same X, parameters and random_state everywhere."
        )


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("values", "values"),
        ("scales", "scales"),
        ("settings", "settings"),
        ("rate", "settings"),
        ("objective", "settings"),
        ("noise", "settings"),
        ("on disk", "scales"),
    ],
)
def test_what_differs_is_named_in_all_of_them(what, told, together):
    for made in together:
        assert f"but their {told} is [" in str(made[what])


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others(tmp_path):
    done = launch(tmp_path / "fits", "killed", limit=60 + LIMIT)
    assert done.returncode
    assert "SIGKILL" in done.stderr or "Signal 9" in done.stderr
