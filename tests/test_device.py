"""What a training step asks of the device that it runs on: nothing, so that a GPU never waits.

The device "meta" stands in for one: its tensors have no numbers, so that to look at one is an
error.
"""

import copy
import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from likelihood_oracles import started
from small import KINDS, VAES, small
from torch.utils._python_dispatch import TorchDispatchMode

import skpoe
from skpoe import MIWAE, MVAE, ModularVAE, PoEVAE
from skpoe.data.batch import Batch
from skpoe.data.rows import Rows
from skpoe.estimators.choices import OBJECTIVES, POSTERIORS, STRATEGIES
from skpoe.likelihoods import LIKELIHOODS
from skpoe.random import RowNoise

# whether the C library asks the system for a block of 8 MB of its own, before and after
FREED = """
import ctypes
import torch
from skpoe.device import keep_freed_memory

class Told(ctypes.Structure):
    _fields_ = [(f"field_{n}", ctypes.c_size_t) for n in range(10)]

ask = ctypes.CDLL(None).mallinfo2
ask.restype = Told

def n_mapped():
    without = ask().field_3
    block = torch.empty(2**23, dtype=torch.uint8)
    return ask().field_3 - without

before = n_mapped()
keep_freed_memory()
print(before, n_mapped())
"""
QUICK = {"latent_dim": 2, "max_iter": 1, "hidden_layer_sizes": (4,), "random_state": 0}


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="glibc 2.33 can be asked",
)
def test_what_a_step_frees_is_kept_for_the_next_one():
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    code = [sys.executable, "-W", "ignore", "-c", FREED]
    done = subprocess.run(code, capture_output=True, env=plain, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


class Watch(TorchDispatchMode):
    """Notes tensors that are moved from one device to another."""

    def __init__(self):
        super().__init__()
        self.moved = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.name() in ("aten::_to_copy", "aten::copy_"):
            source = args[0] if function.name() == "aten::_to_copy" else args[1]
            if source.device != out.device:
                self.moved.append((source.device, out.device))
        return out


def parts(est, X):
    """Fit, and give model, objective and the rows as the model reads them."""
    model, objective = copy.deepcopy((est.fit(X).model_, est._objective))
    batch = model.read([np.asarray(x, dtype=np.float32) for x in X])
    keys = torch.arange(len(batch))
    return model.train(), objective, batch, keys


def step_without_numbers(est, X, has_gradient=True):
    """Take the gradient of the objective where there are no numbers; give what was moved."""
    model, objective, batch, keys = parts(est, X)
    model, objective = model.to("meta"), objective.to("meta")
    batch, keys = batch.to(torch.device("meta")), keys.to("meta")
    number = torch.zeros((), dtype=torch.int64, device="meta")
    moved = []
    for _ in range(2):  # what belongs to the model is sent once, in the first step
        with Watch() as watch:
            noise = RowNoise(0, keys).fold(number)
            value = objective(model, batch, noise)
            if has_gradient:
                value.sum().backward()
        moved.append(watch.moved)
    assert value.device.type == "meta"
    assert value.shape == (len(keys),)
    return moved[1]


def rows(widths, *, with_holes, n_rows=12):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n_rows, width)).astype(np.float32) for width in widths]
    if with_holes:
        X[0][::3] = np.nan
        X[-1][1::5, 0] = np.nan
    return X


@pytest.mark.parametrize(
    ("cls", "with_holes"), [*((cls, True) for cls in VAES), *((cls, False) for cls in KINDS)]
)
def test_a_step_asks_the_device_for_nothing(cls, with_holes):
    est = small(cls, **QUICK)
    assert not step_without_numbers(est, rows((3, 2, 2), with_holes=with_holes))


@pytest.mark.parametrize("cls", [PoEVAE, MIWAE])
def test_nor_does_a_model_that_started_at_a_factor_analysis(cls):
    est = cls(max_iter=0, latent_dim=2, hidden_layer_sizes=(4,), random_state=0)
    assert not step_without_numbers(est, rows((3, 2), with_holes=True, n_rows=30))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nor_does_any_objective(objective):
    mixtures = {"mmvae_elbo", "mmvm"}
    strategy = "mixture_of_experts" if objective in mixtures else "product_of_experts"
    est = ModularVAE(
        objective=objective,
        variational_strategy=strategy,
        n_subsets=1,
        n_samples=3,
        **QUICK,
    )
    assert not step_without_numbers(est, rows((3, 2, 2), with_holes=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nor_does_any_strategy(strategy):
    est = ModularVAE(variational_strategy=strategy, **QUICK)
    assert not step_without_numbers(est, rows((3, 2), with_holes=True))


@pytest.mark.parametrize("family", POSTERIORS)
def test_nor_does_any_posterior(family):
    priors = {"laplace": "laplace"} | dict.fromkeys(
        ("vmf_product", "power_spherical_product"), "uniform_hyperspherical"
    )
    strategies = {"student_t": "product_of_experts"}
    est = ModularVAE(
        variational_posterior=family,
        prior=priors.get(family, "standard_gaussian"),
        variational_strategy=strategies.get(family, "mixture_of_experts"),
        n_spheres=1,
        sphere_dim=1,
        **QUICK,
    )
    # torch has no gradient of gamma draws on "meta"
    has_gradient = family != "power_spherical_product"
    assert not step_without_numbers(est, rows((3, 2), with_holes=True), has_gradient)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_nor_does_any_likelihood(name):
    _, x, mask = started(name)
    x = np.where(mask, x, np.nan)
    est = ModularVAE(likelihood=name, **QUICK)
    assert not step_without_numbers(est, [x, x[:, :2]])


def test_rows_are_named_on_the_processor_and_their_numbers_sent_once():
    """Tensors on two devices cannot be used together; "meta" would not say so."""
    arrays = [np.ones((6, width), dtype=np.float32) for width in (2, 3)]
    held = Rows.alike(Batch.from_arrays(arrays).to(torch.device("meta")))
    for rows in (held, held.take(torch.arange(4))):
        with Watch() as watch:
            batch, keys, weights = rows[torch.arange(3)]
        assert [part.device.type for part in (batch.observed, keys, weights)] == ["meta"] * 3
        assert watch.moved == [(torch.device("cpu"), torch.device("meta"))]


def test_noise_named_by_a_tensor_is_that_named_by_its_number():
    keys = torch.arange(5)
    for number in (0, 3, 2**40):
        by_int = RowNoise(7, keys).fold(number).fold("latent")
        by_tensor = RowNoise(7, keys).fold(torch.tensor(number)).fold("latent")
        assert torch.equal(by_int.normal(2, event=3), by_tensor.normal(2, event=3))
        assert torch.equal(by_int.uniform(event=4), by_tensor.uniform(event=4))
    inside = RowNoise(7, keys).fold("latent")
    by_int, by_tensor = (inside.fold(nine).fold(2) for nine in (9, torch.tensor(9)))
    assert torch.equal(by_int.normal(event=3), by_tensor.normal(event=3))


def without_asking(monkeypatch):
    """Let every module believe that its tensors cannot be asked."""
    for name, module in list(sys.modules.items()):
        if name.startswith("skpoe") and hasattr(module, "can_ask"):
            monkeypatch.setattr(module, "can_ask", lambda tensor: False)


@pytest.mark.parametrize("cls", VAES)
def test_what_is_not_asked_does_not_change_the_objective(cls, monkeypatch):
    """Work that could have been left out changes nothing: the same value, and gradient."""
    est = small(cls, **QUICK, dtype="float64")
    model, objective, batch, keys = parts(est, rows((3, 2, 2), with_holes=True))

    def value_and_gradient():
        noise = RowNoise(0, keys).fold(1)
        value = objective(model, batch, noise)
        wrt = [p for p in model.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(value.sum(), wrt, allow_unused=True)
        return value, [torch.zeros(()) if g is None else g for g in gradients]

    value, gradients = value_and_gradient()
    without_asking(monkeypatch)
    again, others = value_and_gradient()
    torch.testing.assert_close(again, value)
    for ours, theirs in zip(others, gradients, strict=True):
        torch.testing.assert_close(ours.sum(), theirs.sum())
        torch.testing.assert_close(ours, theirs.expand_as(ours))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler about its own parts
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("cls", [MVAE, PoEVAE])
def test_compiled_steps_are_those_of_torch(cls, device, tmp_path):
    """Run by ``pytest -m slow tests/test_device.py``: compiling takes a minute."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    losses = []
    for compiled in (False, True):
        est = small(
            cls,
            latent_dim=2,
            max_iter=4,
            batch_size=15,
            dtype="float64",
            random_state=0,
            compile=compiled,
            device=device,
        )
        X = rows((4, 3), with_holes=True, n_rows=44)
        losses.append(est.fit(X).loss_curve_)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-7)
    again = skpoe.load(est.save(tmp_path / "model.skpoe"))
    np.testing.assert_array_equal(again.transform(X), est.transform(X))
