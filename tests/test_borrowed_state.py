"""What belongs to others is as it was after fit, whatever became of it."""

import os
import random
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from small import KINDS, small
from test_fitting import QUICK, data
from torch import nn

from skpoe import MIWAE, MVAE, MoPoE, PoEVAE, SphericalVAE

SHORT = {**QUICK, "max_iter": 3, "n_threads": 2}


class Ends(nn.Linear):
    """Draws from torch's own generator; its second pass of training may raise."""

    error = None
    passes = 0

    def forward(self, z):
        type(self).passes += self.training
        if self.error is not None and self.passes == 2:
            raise self.error
        return super().forward(nn.functional.dropout(z, 0.1, self.training))


def state():
    return {
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
        "torch": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "filters": list(warnings.filters),
        "floating-point errors": np.geterr(),
        "environment": dict(os.environ),
        "live threads": threading.active_count(),
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lent(folder):
    """Tables that nobody may write to: an array and a file."""
    X = data()
    X[0].flags.writeable = False
    np.save(folder / "table.npy", X[1])
    return [X[0], np.load(folder / "table.npy", mmap_mode="r")]


@pytest.mark.parametrize("cls", KINDS)
@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.filterwarnings("ignore:Training of .* was interrupted")
def test_fit_leaves_all_as_it_was(cls, error, here, monkeypatch):
    monkeypatch.setattr(Ends, "error", error)
    monkeypatch.setattr(Ends, "passes", 0)
    np.random.seed(3)
    random.seed(4)
    torch.manual_seed(5)
    X, weight = lent(here), np.linspace(0, 1, 60)
    weight.flags.writeable = False
    bits = [x.tobytes() for x in (*X, weight)]
    encoder = nn.Linear if cls is MIWAE else [None, Ends]
    est = small(cls, **SHORT, encoder=encoder, decoder=[None, Ends])
    files, before = sorted(here.iterdir()), state()
    if error is ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            est.fit(X, sample_weight=weight)
    else:
        est.fit(X, sample_weight=weight)
        assert est.n_iter_ < 3 if error else est.n_iter_ == 3
    assert Ends.passes >= 2
    assert state() == before
    assert [x.tobytes() for x in (*X, weight)] == bits
    assert sorted(here.iterdir()) == files


FRESH = """
import os, sys, warnings
import numpy as np
import skpoe
before = dict(os.environ), list(warnings.filters)
skpoe.MVAE(max_iter=1).fit(np.eye(9))
assert dict(os.environ) == before[0], set(os.environ) - set(before[0])
assert list(warnings.filters) == before[1]
late = {"torch._dynamo", "sympy"} & set(sys.modules)  # seconds, which a small fit would wait for
assert not late, late
"""


def test_the_first_fit_of_a_process_leaves_environment_and_filters_as_they_were():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FRESH], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def dropping(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 4), nn.Dropout(), nn.Linear(4, n_out))


def test_fits_in_threads_give_what_they_give_one_after_another(tmp_path):
    makes = [
        lambda: small(PoEVAE, **SHORT),
        lambda: small(MVAE, **SHORT, encoder=dropping),
        lambda: small(MoPoE, **SHORT, encoder=dropping),
        lambda: small(SphericalVAE, **SHORT),
        lambda: small(MVAE, **SHORT, early_stopping=True, checkpoint=tmp_path / "fit"),
    ]

    def fit(make):
        return make().fit(data()).transform(data())

    expected, before = [fit(make) for make in makes], state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fit, makes * 2))
    for number, z in enumerate(found):
        np.testing.assert_array_equal(z, expected[number % len(makes)])
    assert state() == before
