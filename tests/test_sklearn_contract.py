"""scikit-learn's own checks, for every estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skpoe import all_estimators


@parametrize_with_checks([cls(max_iter=3, n_importance_samples=10) for _, cls in all_estimators()])
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("name", "cls"), all_estimators())
def test_public_name_is_the_class_name(name, cls):
    assert cls.__name__ == name
