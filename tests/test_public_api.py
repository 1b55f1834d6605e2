"""Every public name is documented by words and by an example that runs."""

import doctest
import inspect

import pytest
from numpydoc.docscrape import ClassDoc
from small import VAES

import skpoe
import skpoe.datasets
import skpoe.inspection
import skpoe.model_selection
import skpoe.nn
import skpoe.scorers
from skpoe import all_estimators
from skpoe.estimators.base import BaseVAE

MODULES = (
    skpoe,
    skpoe.datasets,
    skpoe.inspection,
    skpoe.model_selection,
    skpoe.nn,
    skpoe.scorers,
)
PUBLIC = [
    (name, getattr(module, name))
    for module in MODULES
    for name in module.__all__
    if not isinstance(getattr(module, name), dict)  # a registry can hold no docstring
]
METHODS = [
    pytest.param(cls, name, id=f"{cls.__name__}.{name}")
    for _, cls in all_estimators()
    for name, _ in inspect.getmembers(cls, inspect.isfunction)
    if not name.startswith("_") and getattr(cls, name).__module__.startswith("skpoe")
]


@pytest.mark.parametrize(("name", "thing"), PUBLIC)
def test_public_names_have_a_docstring_with_an_example(name, thing):
    examples = doctest.DocTestFinder(recurse=False).find(thing, name)
    assert any(test.examples for test in examples), f"{name} has no doctest"


@pytest.mark.parametrize(("cls", "name"), METHODS)
def test_public_methods_describe_what_they_take_and_give(cls, name):
    method = getattr(cls, name)
    text = inspect.getdoc(method)
    assert text
    takes = [p for p in inspect.signature(method).parameters if p != "self"]
    assert all(f"\n{p} : " in text for p in takes), f"a parameter of {name} is not described"
    assert "\nReturns\n" in text


def parameters():
    """(class, parameter, default, type in the docstring, text) of every estimator."""
    rows = []
    for _, cls in all_estimators():
        documented = {p.name: p for p in ClassDoc(cls)["Parameters"]}
        signature = inspect.signature(cls).parameters
        assert set(documented) == set(signature), cls
        for name, parameter in signature.items():
            assert parameter.kind is parameter.KEYWORD_ONLY
            rows.append(
                (cls, name, parameter.default, documented[name].type, documented[name].desc)
            )
    return rows


def test_documented_defaults_are_those_of_the_signature():
    for cls, name, default, kind, _ in parameters():
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        assert kind.endswith(f"default={shown}"), f"{name} of {cls} documents another default"


def test_shared_parameters_have_one_text_and_one_constraint():
    first, constraints = {}, {}
    shared = inspect.signature(BaseVAE).parameters
    for cls, name, _, kind, text in parameters():
        constraint = constraints.setdefault(name, cls._parameter_constraints[name])
        if name in shared and cls in VAES:  # factor analysis has other steps and tolerances
            kind = kind.split(", default=")[0]
            assert first.setdefault(name, (kind, text)) == (kind, text), (name, cls)
            assert cls._parameter_constraints[name] == constraint, (name, cls)


# what papers say, or what a method needs; every other default is the library's
OWN_DEFAULTS = {
    "MIWAE": {
        "activation",
        "hidden_layer_sizes",
        "learning_rate_init",
        "likelihood",
        "n_samples",
        "n_importance_samples",
        "imputation",
        "weight_decay",
    },
    "MMVAE": {"n_samples"},
    "MMVAEPlus": {"n_samples"},
    "PartialVAE": {"hidden_layer_sizes"},
    "PoEVAE": {
        "activation",
        "learning_rate_init",
        "likelihood",
        "imputation",
        "weight_decay",
        "start_weight",
    },
}


def test_estimators_that_follow_a_paper_say_where_their_defaults_differ():
    shared = inspect.signature(BaseVAE).parameters
    for cls in VAES:
        mine = inspect.signature(cls).parameters
        differ = {name for name in shared if mine[name].default != shared[name].default}
        assert differ == OWN_DEFAULTS.get(cls.__name__, set())


@pytest.mark.parametrize("cls", [cls for _, cls in all_estimators()])
def test_fitted_attributes_are_documented(cls):
    import numpy as np
    import pandas as pd

    X = pd.DataFrame(np.eye(4, 3), columns=["a", "b", "c"])
    est = (cls(max_iter=2) if cls in VAES else cls()).fit(X)
    fitted = {name for name in vars(est) if name.endswith("_") and not name.startswith("_")}
    assert fitted == {attribute.name for attribute in ClassDoc(cls)["Attributes"]}
