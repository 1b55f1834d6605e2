"""Stock scikit-learn model selection on the container."""

import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from small import KINDS, small

from skpoe import MVAE, Modalities

FAST = {"max_iter": 4, "n_importance_samples": 8, "random_state": 0, "n_threads": 1}


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 2))
    X = [z @ rng.normal(size=(2, w)) + 0.3 * rng.normal(size=(60, w)) for w in (5, 4)]
    X[0][::5] = np.nan
    X[1][1::4] = np.nan
    return X


@pytest.mark.parametrize("cls", KINDS)
def test_grid_search_with_missing_modalities(cls, X):
    search = GridSearchCV(small(cls, **FAST), {"hidden_layer_sizes": [(4,), (8,)]}, cv=3, n_jobs=2)
    search.fit(Modalities(X))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_params_["hidden_layer_sizes"]
    assert search.best_estimator_.hidden_layer_sizes == best
    filled = search.best_estimator_.predict_missing(X)
    assert all(np.isfinite(x).all() for x in filled)


def test_grid_search_in_a_pipeline(X):
    pipeline = Pipeline([("vae", MVAE(**FAST))])
    search = GridSearchCV(pipeline, {"vae__latent_dim": [2, 8]}, cv=3, n_jobs=2)
    search.fit(Modalities(X))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_latents_go_into_a_classifier(X):
    y = np.arange(60) % 2
    pipeline = make_pipeline(
        MVAE(**FAST, latent_dim=4), SelectKBest(f_classif, k=2), LogisticRegression()
    )
    scores = cross_val_score(pipeline, Modalities(X), y, cv=3)
    assert scores.shape == (3,)


def test_container_and_stacked_table_score_alike(X):
    stacked = np.hstack(X)
    a = cross_validate(MVAE(**FAST), Modalities(X), cv=3)["test_score"]
    b = cross_validate(MVAE(**FAST, modalities=[5, 4]), stacked, cv=3)["test_score"]
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_modalities", [2, 6])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_plain_lists_are_refused_by_name(X, n_modalities, n_jobs):
    lists = [X[m % 2] for m in range(n_modalities)]
    search = GridSearchCV(MVAE(**FAST), {"latent_dim": [2, 8]}, cv=2, n_jobs=n_jobs)
    with pytest.raises(ValueError, match=r"Pass skpoe.Modalities\(X\), which is split into rows"):
        search.fit(lists)
