"""On a GPU: the same numbers as on the CPU, steps that are recorded, rows that are streamed."""

import numpy as np
import pytest
import torch
from small import VAES, small

import skpoe.estimators.reading
from skpoe import MIWAE, MVAE, PoEVAE
from skpoe.estimators import starting
from skpoe.random import RowNoise
from skpoe.recording import Recording

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def rows(n_rows=200, with_holes=True):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n_rows, 2))
    X = [np.tanh(z @ rng.normal(size=(2, d))) + 0.1 * rng.normal(size=(n_rows, d)) for d in (4, 3)]
    if with_holes:
        X[0][::3] = np.nan
        X[1][1::3, 0] = np.nan
    return X


@pytest.fixture
def recordings(monkeypatch):
    """All recordings that are made in a test."""
    made, start = [], Recording.__init__

    def note(self, *args):
        start(self, *args)
        made.append(self)

    monkeypatch.setattr(Recording, "__init__", note)
    return made


def test_noise_is_that_of_the_cpu():
    keys = torch.arange(1000)
    here, there = (RowNoise(3, keys.to(place)).fold("latent") for place in ("cpu", "cuda"))
    assert torch.equal(here.uniform(2, event=3), there.uniform(2, event=3).cpu())
    torch.testing.assert_close(here.normal(2, event=3), there.normal(2, event=3).cpu())


@pytest.mark.parametrize("cls", VAES)
def test_fits_are_those_of_the_cpu_and_steps_are_recorded(cls, recordings):
    """In double precision, where a few steps do not drift apart by rounding."""
    fits = [
        small(cls, max_iter=6, batch_size=40, dtype="float64", random_state=0, device=device).fit(
            rows()
        )
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(fits[1].loss_curve_, fits[0].loss_curve_, rtol=1e-6)
    for ours, theirs in zip(
        fits[1].predict_missing(rows()), fits[0].predict_missing(rows()), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fits[1].transform(rows()), fits[0].transform(rows()), atol=1e-5)
    (recording,) = recordings
    assert recording.refusal == ""
    assert recording.n_recorded == 1


@pytest.mark.parametrize("cls", [PoEVAE, MIWAE])
def test_so_are_fits_that_start_at_a_factor_analysis(cls):
    fits = [
        cls(
            latent_dim=2,
            max_iter=4,
            dtype="float64",
            random_state=0,
            start_weight=0.0,
            device=device,
            n_importance_samples=5,
        ).fit(rows())
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(fits[1].loss_curve_, fits[0].loss_curve_, rtol=1e-5)


def test_a_start_that_reads_some_of_many_rows(monkeypatch):
    monkeypatch.setattr(starting, "_MOST_ROWS", 500)
    monkeypatch.setattr(starting, "_MOST_NUMBERS", 3000)
    fits = [
        PoEVAE(max_iter=2, dtype="float64", random_state=0, device=device).fit(rows(2500))
        for device in ("cpu", "cuda")
    ]
    assert fits[1].auto_ == fits[0].auto_
    np.testing.assert_allclose(fits[1].validation_scores_, fits[0].validation_scores_, rtol=1e-5)


def test_batches_of_two_sizes_and_rows_that_are_streamed(monkeypatch, recordings):
    X = rows(203)
    held, slow = (
        MVAE(
            latent_dim=2, batch_size=50, max_iter=8, dtype="float64", random_state=0, device="cuda"
        )
        for _ in range(2)
    )
    held.fit(X)
    monkeypatch.setattr(skpoe.estimators.reading, "_room", lambda *_: 0)
    slow.fit(X)
    np.testing.assert_allclose(slow.loss_curve_, held.loss_curve_, rtol=1e-9)
    assert recordings[0].n_recorded == 2
    assert not any(recording.refusal for recording in recordings)


class Asks(torch.nn.Module):
    """A network that looks at what it says."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = torch.nn.Linear(n_in, n_out)

    def forward(self, x):
        said = self.linear(x)
        return said if float(said.detach().abs().max()) >= 0 else -said


def test_networks_that_ask_are_trained_all_the_same(recordings):
    fits = [
        MVAE(
            latent_dim=2,
            encoder=Asks,
            batch_size=50,
            max_iter=8,
            dtype="float64",
            random_state=0,
            device=device,
        ).fit(rows())
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(fits[1].loss_curve_, fits[0].loss_curve_, rtol=1e-6)
    (recording,) = recordings
    assert recording.refusal
    assert recording.n_recorded == 0


class Breaks(torch.nn.Module):
    """A network that says infinity from some step on."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = torch.nn.Linear(n_in, n_out)
        self.register_buffer("left", torch.tensor(5.0))

    def forward(self, x):
        if self.training:
            self.left -= 1
        return self.linear(x) / (self.left >= 0)


def test_a_loss_that_is_not_finite_is_told_after_the_epoch():
    with pytest.raises(FloatingPointError, match="epoch 1, in modality '0'"):
        MVAE(
            latent_dim=2,
            encoder={"0": Breaks, "1": None},
            batch_size=10,
            max_iter=3,
            random_state=0,
            device="cuda",
        ).fit(dict(zip("01", rows(), strict=True)))


def test_bfloat16_is_near():
    X = rows(1000, with_holes=False)
    exact, half = (
        MVAE(
            latent_dim=2,
            max_iter=30,
            dtype=dtype,
            random_state=0,
            device="cuda",
            likelihood="gaussian",
        ).fit(X)
        for dtype in ("float32", "bfloat16")
    )
    assert half.score(X) == pytest.approx(exact.score(X), abs=0.3)
    assert next(half.model_.parameters()).dtype == torch.float32
