"""scikit-learn's own checks, for every estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from small import VAES, small

from skpoe import MultimodalFactorAnalysis, PoEVAE, SphericalVAE, all_estimators
from skpoe.datasets import DropEntries, DropModalities

QUICK = {"max_iter": 3, "n_importance_samples": 10}
# float32 is a matter of the base class, so few estimators try it
ESTIMATORS = [MultimodalFactorAnalysis(), *(small(cls, **QUICK, init="auto") for cls in VAES)]
ESTIMATORS += [small(cls, **QUICK, dtype="float32") for cls in (PoEVAE, SphericalVAE)]


def rounding(estimator):
    """A weighted sum and the sum of repeated rows agree to 1e-6 in float32, 1e-7 is asked for."""
    if getattr(estimator, "dtype", "auto") == "auto":  # the default
        return {}
    return {
        f"check_sample_weight_equivalence_on_{kind}_data": rounding.__doc__
        for kind in ("dense", "sparse")
    }


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=rounding)
def test_check_estimator(estimator, check):
    check(estimator)


@parametrize_with_checks([DropEntries(), DropModalities(keep_one=False)])
def test_check_simulators(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("name", "cls"), all_estimators())
def test_public_name_is_the_class_name(name, cls):
    assert cls.__name__ == name
