"""scikit-learn's own checks, for every estimator."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from small import KINDS, VAES, small

from skpoe import MultimodalFactorAnalysis, PoEVAE, SphericalVAE, all_estimators
from skpoe.datasets import DropEntries, DropModalities

QUICK = {"max_iter": 3, "n_importance_samples": 10}
STARTED = PoEVAE(**QUICK)  # at a factor analysis, with all that is chosen about it
# float32 is a matter of the base class, so few estimators try it
IN_DOUBLE = [MultimodalFactorAnalysis(), STARTED]
IN_DOUBLE += [small(cls, **QUICK) for cls in VAES if cls is not PoEVAE]
IN_SINGLE = [small(cls, **QUICK, dtype="float32") for cls in (PoEVAE, SphericalVAE)]
# nor is what X is read from and what comes back of it: one of each kind tries what takes longest
OF_READING = {
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_transformer_data_not_an_array",
    "check_transformer_preserve_dtypes",
    "check_estimators_dtypes",
    "check_array_api_input",
    "check_dtype_object",
}


def rounding(estimator):
    """A weighted sum and the sum of repeated rows agree to 1e-6 in float32, 1e-7 is asked for."""
    if getattr(estimator, "dtype", "auto") == "auto":  # the default
        return {}
    return {
        f"check_sample_weight_equivalence_on_{kind}_data": rounding.__doc__
        for kind in ("dense", "sparse")
    }


def cases():
    """Every check of every estimator, one of each kind where they take long."""
    of_each_kind = {*KINDS, MultimodalFactorAnalysis}
    for estimator in [*IN_DOUBLE, *IN_SINGLE]:
        usual = estimator in IN_DOUBLE and type(estimator) in of_each_kind
        for case in estimator_checks_generator(
            estimator, expected_failed_checks=rounding(estimator), mark="xfail"
        ):
            marks = list(getattr(case, "marks", ()))
            _, check = getattr(case, "values", case)
            if not usual and check.func.__name__ in OF_READING:
                marks.append(pytest.mark.slow)
            name = f"{type(estimator).__name__}-{estimator.get_params().get('dtype')}"
            yield pytest.param(estimator, check, marks=marks, id=f"{name}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(cases()))
def test_check_estimator(estimator, check):
    check(estimator)


@parametrize_with_checks([DropEntries(), DropModalities(keep_one=False)])
def test_check_simulators(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("name", "cls"), all_estimators())
def test_public_name_is_the_class_name(name, cls):
    assert cls.__name__ == name
