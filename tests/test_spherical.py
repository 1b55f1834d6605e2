"""What is peculiar to the sphere; the common laws are in the other files."""

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from skpoe import MVAE, Modalities, SphericalVAE
from skpoe.estimators import spherical_vae
from skpoe.random import RowNoise

FAST = {"max_iter": 3, "hidden_layer_sizes": (8,), "n_importance_samples": 8, "random_state": 0}


def circle(n=300):
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(n, 1))
    return angle, [np.cos(angle + np.arange(3)), np.hstack([np.cos(angle), np.sin(angle)])]


@pytest.fixture(scope="module")
def round_model():
    """One circle, fitted on data that live on one: it must not be changed."""
    return SphericalVAE(n_spheres=1, sphere_dim=1, max_iter=60, random_state=0).fit(circle()[1])


def test_latents_are_unit_vectors_and_zeros_where_nothing_is_shown():
    _, X = circle(40)
    X[0][:10] = X[1][5:15] = np.nan
    est = SphericalVAE(n_spheres=3, sphere_dim=2, **FAST).fit(X)
    Z = est.transform(X)
    assert Z.shape == (40, 9)
    lengths = np.linalg.norm(Z.reshape(40, 3, 3), axis=-1)
    np.testing.assert_allclose(np.delete(lengths, range(5, 10), axis=0), 1.0)
    assert (Z[5:10] == 0).all()
    assert (est.score_samples(X)[5:10] == 0).all()
    drawn = est.model_.prior.sample(RowNoise(0, torch.arange(6))).view(6, 3, 3)
    np.testing.assert_allclose(drawn.norm(dim=-1), 1.0, rtol=1e-6)


def test_a_circle_is_found(round_model):
    """Data on a circle: the latent angle turns with the true one, from either modality alone."""
    angle, X = circle()
    est = round_model
    for shown in (X, [X[0], None], [None, X[1]]):
        Z = est.transform(shown)
        found = np.arctan2(Z[:, 1], Z[:, 0])
        turns = [np.abs(np.exp(1j * (found - s * angle[:, 0])).mean()) for s in (1, -1)]
        assert max(turns) > 0.95
    filled = est.predict_missing([X[0], None])[1]
    assert np.mean((filled - X[1]) ** 2) < 0.1 * X[1].var()


@pytest.mark.parametrize("objective", sorted(spherical_vae._OBJECTIVES))
@pytest.mark.parametrize("n_modalities", [1, 3])
def test_every_objective_trains_on_spheres(objective, n_modalities):
    _, X = circle(60)
    X = [X[m % 2].copy() for m in range(n_modalities)]
    X[0][::4] = np.nan
    X = Modalities(X)
    est = SphericalVAE(objective=objective, n_samples=2, n_subsets=1, **{**FAST, "max_iter": 48})
    est.fit(X)
    assert np.mean(est.loss_curve_[-8:]) < np.mean(est.loss_curve_[:8])
    assert np.isfinite(est.score(X))
    assert np.isfinite(est.predict_missing(X).to_numpy()).all()


def test_power_spherical_takes_one_modality():
    _, X = circle(60)
    est = SphericalVAE(posterior="power_spherical", **FAST)
    with pytest.raises(ValueError, match="takes one modality, but X has 2: a product of Power"):
        est.fit(X)
    assert not hasattr(est, "model_")
    assert np.isfinite(est.fit(X[0]).score(X[0]))


@parametrize_with_checks([SphericalVAE(posterior="power_spherical", **FAST)])
def test_check_power_spherical(estimator, check):
    check(estimator)


def test_aligned_is_the_elbo_with_one_modality():
    _, (x, _) = circle(60)
    one, other = (SphericalVAE(objective=name, **FAST).fit(x) for name in ("elbo", "aligned_elbo"))
    assert one.loss_curve_ == other.loss_curve_


def test_a_sphere_beats_a_line_on_a_circle(round_model):
    """Two latent variables that live on a circle against one that lives on a line."""
    _, X = circle()
    line = MVAE(latent_dim=1, max_iter=60, random_state=0).fit(X).score(X)
    assert round_model.score(X) > line + 1.0
