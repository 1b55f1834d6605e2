"""``save`` and ``load``: the same to the bit, for every estimator and every form of X."""

import importlib
import inspect
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from containers import COLUMNS, CUTS, build
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError
from small import FAST, KINDS, VAES, small
from test_mixed import clinic
from torch import nn

import skpoe
from skpoe import (
    MIWAE,
    MVAE,
    Modalities,
    ModularVAE,
    MultimodalFactorAnalysis,
    PoEVAE,
    all_estimators,
)
from skpoe.io import FileFormatError, structure
from skpoe.io.objects import KNOWN, arguments_of
from skpoe.io.values import Decoder, Encoder
from skpoe.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    CensoredGaussian,
    Gaussian,
    Mixed,
    Poisson,
)
from skpoe.nn import ConvDecoder, ConvEncoder, MLPFactory, Shared
from skpoe.objectives import ELBO, AlignedELBO
from skpoe.posteriors import FullGaussian
from skpoe.priors import GaussianMixture
from skpoe.subsets import Subsets

# few draws are enough to see whether they are the same
pytestmark = pytest.mark.filterwarnings("ignore:In .* rows, fewer than")
ESTIMATORS = [cls for _, cls in all_estimators()]


def images():
    """An image and a table, with holes."""
    rng = np.random.default_rng(1)
    X = {"image": rng.random((20, 1, 2, 3)), "table": rng.normal(size=(20, 2))}
    X["image"][::4] = np.nan
    return Modalities(X)


def as_list(dtype):
    X = build("modalities of arrays", "both")
    return [X[name].astype(dtype) for name in X.names]


FORMS = {
    "list of float64": lambda: (as_list(np.float64), {}),
    "list of float32": lambda: (as_list(np.float32), {}),
    "tuple": lambda: (tuple(as_list(np.float64)), {}),
    "dict of DataFrames": lambda: (
        {
            name: pd.DataFrame(table, columns=COLUMNS[name])
            for name, table in zip(COLUMNS, as_list(np.float64), strict=True)
        },
        {},
    ),
    "Modalities": lambda: (build("modalities of arrays", "both"), {}),
    "one array": lambda: (build("one array", "both"), {"modalities": CUTS["one array"]}),
    "one DataFrame": lambda: (
        build("one DataFrame", "both"),
        {"modalities": CUTS["one DataFrame"]},
    ),
    "images": lambda: (images(), {}),
    "columns of several kinds": lambda: (
        clinic()[0],
        {
            "modalities": {
                "a": ["age", "smokes", "visits", "town"],
                "b": ["grade", "drug", "weight"],
            },
            "likelihood": "auto",
        },
    ),
}


def fitted(cls, form, **params):
    X, more = FORMS[form]()
    if cls is MultimodalFactorAnalysis:
        more["max_iter"] = 500  # it warns where it has not converged
    return small(cls, **{**FAST, **more, **params}).fit(X), X


def through(est, folder, **how):
    return skpoe.load(est.save(folder / "model.skpoe"), **how)


def assert_same(one, other):
    """Compare results of any form, to the bit."""
    assert type(one) is type(other)
    if isinstance(one, Modalities):
        one, other = dict(one.items()), dict(other.items())
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype


def assert_predict_the_same(est, again, X):
    for predict in (
        lambda e: e.transform(X),
        lambda e: e.predict_missing(X),
        lambda e: e.reconstruct(X),
        lambda e: e.score_samples(X),
        lambda e: e.impute(X, n_imputations=2),
        lambda e: e.sample(3),
    ):
        assert_same(predict(est), predict(again))


@pytest.mark.parametrize(
    ("cls", "form"),
    [
        (cls, form)
        for cls in ESTIMATORS
        # what X was is for the base class to keep
        for form in (FORMS if cls is PoEVAE else ("list of float64", "columns of several kinds"))
        # factor analysis reads numbers
        if (cls, form) != (MultimodalFactorAnalysis, "columns of several kinds")
    ],
)
def test_what_is_loaded_predicts_the_same_to_the_bit(cls, form, tmp_path):
    est, X = fitted(cls, form)
    again = through(est, tmp_path)
    assert type(again) is cls
    assert_predict_the_same(est, again, X)
    assert repr(again.get_params()) == repr(est.get_params())
    assert set(vars(again)) == set(vars(est))
    for name, value in vars(est).items():
        if name.endswith("_") and name != "model_":
            assert repr(getattr(again, name)) == repr(value), name
    assert structure(vars(again)["_layout"]) == structure(est._layout)


@pytest.mark.parametrize(
    ("cls", "init", "form"),
    [
        *((cls, "random", "list of float64") for cls in VAES),
        *((cls, "random", "columns of several kinds") for cls in KINDS),
        (PoEVAE, "auto", "columns of several kinds"),
        (MIWAE, "auto", "list of float64"),
    ],
)
def test_training_goes_on_to_the_bit(cls, init, form, tmp_path):
    X, more = FORMS[form]()
    est = small(cls, **{**FAST, **more, "init": init})
    est.partial_fit(X)
    again = through(est, tmp_path)
    for _ in range(2):
        assert_same(
            [t.numpy() for t in est.partial_fit(X).model_.state_dict().values()],
            [t.numpy() for t in again.partial_fit(X).model_.state_dict().values()],
        )
    assert again.loss_curve_ == est.loss_curve_
    assert_predict_the_same(est, again, X)


@pytest.mark.parametrize("covariance", ["diag", "full"])
@pytest.mark.parametrize("cls", [PoEVAE, MIWAE, MVAE])
def test_starts_at_factor_analysis_and_warm_starts(cls, covariance, tmp_path):
    est, X = fitted(
        cls, "dict of DataFrames", init="factor_analysis", covariance=covariance, warm_start=True
    )
    again = through(est, tmp_path)
    assert_predict_the_same(est, again, X)
    assert_predict_the_same(est.fit(X), again.fit(X), X)


def test_an_estimator_can_be_saved_again_from_what_was_loaded(tmp_path):
    est, _ = fitted(PoEVAE, "columns of several kinds", warm_start=True)
    path = est.save(tmp_path / "one.skpoe")
    again = skpoe.load(path).save(tmp_path / "two.skpoe")
    assert path.read_bytes() == again.read_bytes()


def data_of(likelihood):
    """Data that a likelihood knows, two columns."""
    rng = np.random.default_rng(0)
    if likelihood.has_levels or "binomial" in likelihood.name or likelihood.name == "poisson":
        return rng.integers(0, 2, size=(20, 2)).astype(float)
    return 0.1 + 0.8 * rng.random((20, 2))


@pytest.mark.parametrize(
    ("name", "linear"),
    [(name, linear) for name in LIKELIHOODS for linear in {False, LIKELIHOODS[name]().can_start}],
)
def test_every_likelihood(name, linear, tmp_path):
    X = data_of(LIKELIHOODS[name]())
    init = "factor_analysis" if linear else "random"
    est = MVAE(**{**FAST, "likelihood": name, "init": init}).fit(X)
    again = through(est, tmp_path)
    assert_predict_the_same(est, again, X)


INSTANCES = {
    "one for two columns": {"likelihood": {0: (noise := Gaussian(reach=3.0)), 1: noise}},
    "limits": {"likelihood": CensoredGaussian(low=0.0, high=[1.0, 2.0])},
    "mixed": {"likelihood": Mixed([([1], Gaussian()), ([0], Gaussian(reach=None))])},
    "library": {"likelihood": Poisson(library=True)},
    "levels": {"likelihood": {0: Categorical(n_levels=[3]), 1: Bernoulli()}},
}


@pytest.mark.parametrize("params", INSTANCES.values(), ids=INSTANCES)
def test_likelihoods_that_users_made(params, tmp_path):
    X = np.random.default_rng(0).integers(0, 2, size=(20, 2)).astype(float)
    est = MVAE(**FAST, **params).fit(X)
    again = through(est, tmp_path)
    assert_predict_the_same(est, again, X)
    assert_predict_the_same(est.fit(X), again.fit(X), X)


OBJECTS = {
    "architecture": (MVAE, {"encoder": "svae", "decoder": MLPFactory((3,), "crelu")}),
    "shared": (
        MVAE,
        {"encoder": Shared(embedding_dim=3, tied=True), "decoder": Shared(None, 3, True)},
    ),
    "one a modality": (MVAE, {"encoder": {"modality_0": MLPFactory((2,)), "modality_1": None}}),
    "widths as an array": (MVAE, {"hidden_layer_sizes": np.array([3, 2])}),
    "numpy numbers": (MVAE, {"beta": np.float32(0.3), "n_samples": np.int64(2)}),
    "weights": (PoEVAE, {"likelihood_weights": {"modality_0": 0.1, "modality_1": 2}}),
    "a device": (MVAE, {"device": torch.device("cpu")}),
    "prior": (ModularVAE, {"prior": GaussianMixture(2, 3, seed=5)}),
    "vamp": (ModularVAE, {"prior": "vamp"}),
    "family": (ModularVAE, {"variational_posterior": FullGaussian()}),
    "objective": (ModularVAE, {"objective": AlignedELBO(prediction_weight=2.0, n_modalities=2)}),
    "plain objective": (ModularVAE, {"objective": ELBO(0.5, likelihood_weights=[0.1, 2.0])}),
    "subsets": (ModularVAE, {"subsets": Subsets(torch.eye(2), torch.tensor([0.1, 0.9]))}),
    "a matrix": (ModularVAE, {"subsets": [[1, 1], [0, 1]]}),
    "private": (ModularVAE, {"private_dim": 1}),
}


@pytest.mark.parametrize(("cls", "params"), OBJECTS.values(), ids=OBJECTS)
def test_parameters_that_are_objects(cls, params, tmp_path):
    X = [np.random.default_rng(m).normal(size=(20, 3)) for m in range(2)]
    est = small(cls, **{**FAST, **params}).fit(X)
    again = through(est, tmp_path)
    assert_predict_the_same(est, again, X)
    assert_predict_the_same(est.fit(X), again.fit(X), X)


def test_convolutions(tmp_path):
    X = Modalities({"image": np.random.default_rng(0).random((12, 1, 4, 5))})
    shape = {"shape": (1, 4, 5), "channels": (2,), "hidden": 3}
    networks = {"encoder": ConvEncoder(**shape), "decoder": ConvDecoder(**shape)}
    est = MVAE(**FAST, **networks).fit(X)
    assert_predict_the_same(est, through(est, tmp_path), X)


SETTINGS = {
    "reach": 2.5,
    "library": True,
    "n_levels": [2, 3],
    "low": -1.0,
    "parts": [([0], Gaussian(reach=2.0))],
    "beta": 0.3,
    "free_bits": 0.7,
    "likelihood_weights": [0.5, 2.0],
    "alpha": 0.2,
    "prediction_weight": 2.0,
    "n_modalities": 2,
    "gradient": "stl",
    "sphere_dim": 3,
    "df": 4.0,
    "latent_dim": 4,
    "learn_scale": False,
    "n_components": 3,
    "n_features": [2, 3],
    "n_spheres": 2,
    "hidden_layer_sizes": (4,),
    "shape": (1, 4, 5),
    "channels": (3,),
    "embedding_dim": 5,
    "tied": True,
    "members": torch.eye(2),
    "n_sampled": 3,
    "n_samples": 3,
    "order": 0,
    "step": 2,
    "n_subsets": 2,
    "scores": "observed",
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_class_that_files_may_name_is_made_again(name):
    kind = KNOWN[name]
    wanted = {k: v for k, v in SETTINGS.items() if k in inspect.signature(kind).parameters}
    if "gradient" in wanted and name != "objectives.ELBO":
        wanted["gradient"] = "dreg"
    if name == "objectives.AlignedELBO":
        wanted["parts"] = "split"
    made = kind(**wanted)
    encode = Encoder()
    again = Decoder(encode.tensors)(encode(made, "it"))
    assert structure(again) == structure(made)
    if isinstance(made, nn.Module):
        assert_same(*[[t.numpy() for t in m.state_dict().values()] for m in (made, again)])
    assert set(arguments_of(made)) >= set(wanted)


LABELS = {
    "strings": pd.Index(["b", "a"], name="gene"),
    "numbers": pd.Index([3, 1]),
    "floats": pd.Index([0.5, float("nan")]),
    "a range": pd.RangeIndex(2, 8, 3, name="n"),
    "both": pd.Index(["a", 1], dtype=object),
    "several levels": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
    "dates": pd.DatetimeIndex(["2020-01-01", "2021-05-06"]),
    "intervals": pd.IntervalIndex.from_breaks([0.0, 1.0, 2.5]),
    "categories": pd.CategoricalDtype(pd.Index(["x", "y"]), ordered=True),
    "bins": pd.CategoricalDtype(pd.IntervalIndex.from_breaks([0, 1, 2]), ordered=True),
    "none": pd.Index([], dtype=object),
    "truth": pd.Index([True, False]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_come_back(labels):
    encode = Encoder()
    again = Decoder(encode.tensors)(encode(labels, "labels"))
    assert type(again) is type(labels)
    if isinstance(labels, pd.Index):
        pd.testing.assert_index_equal(again, labels, exact=True)
    else:
        assert again == labels


def test_results_come_as_set_output_said(tmp_path):
    est, X = fitted(MVAE, "list of float64")
    again = through(est.set_output(transform="pandas"), tmp_path)
    assert_same(est.transform(X), again.transform(X))


def my_factory(n_in, n_out):
    """A network of a user, with dropout and a buffer."""
    layers = [nn.Linear(n_in, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4, n_out))


class MyNetwork(nn.Module):
    """A class may be a factory too."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.linear(x.tanh())


def numbers_of(frame):
    return [name for name in frame if name != "y"]


def test_networks_of_users_are_loaded_by_those_who_trust_them(tmp_path):
    est, X = fitted(MVAE, "list of float64", encoder=my_factory, decoder=MyNetwork)
    path = est.save(tmp_path / "model.skpoe")
    again = skpoe.load(path, trusted=[MyNetwork, my_factory])
    assert again.encoder is my_factory
    assert again.decoder is MyNetwork
    assert_predict_the_same(est, again, X)
    assert_predict_the_same(est.partial_fit(X), again.partial_fit(X), X)
    with pytest.raises(FileFormatError) as error:
        skpoe.load(path, trusted=[my_factory])
    assert str(error.value) == (
        f"'{path}' cannot be loaded: it names 'test_saving:MyNetwork', which is not of this "
        "library. If you know and trust it, import it and pass it: skpoe.load(path, "
        "trusted=[MyNetwork])"
    )


@dataclass(frozen=True)
class MyFactory:
    """A factory with settings."""

    size: int = 3

    def __call__(self, n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, self.size), nn.Tanh(), nn.Linear(self.size, n_out))


class MyNoise(Gaussian):
    """A likelihood with a setting of its own."""

    def __init__(self, least=0.1):
        super().__init__()
        self.least = least

    def noise_variance(self):
        return super().noise_variance() + self.least


class MyObjective(ELBO):
    """An objective of a user."""


class MyFamily(FullGaussian):
    """A family of a user."""


class Forgets(Gaussian):
    """Its argument cannot be read off it."""

    def __init__(self, least=0.1):
        super().__init__()


def test_pieces_of_users_are_loaded_by_those_who_trust_them(tmp_path):
    own = [MyFactory, MyNoise, MyObjective, MyFamily]
    est, X = fitted(
        ModularVAE,
        "list of float64",
        encoder=MyFactory(5),
        likelihood=MyNoise(least=0.3),
        objective=MyObjective(beta=0.5),
        variational_posterior=MyFamily(),
    )
    path = est.save(tmp_path / "model.skpoe")
    again = skpoe.load(path, trusted=own)
    assert again.encoder == MyFactory(5)
    assert again.likelihood.least == again.model_.likelihoods[1].least == 0.3
    assert again.objective.beta == again._objective.beta == 0.5
    assert_predict_the_same(est, again, X)
    assert_predict_the_same(est.partial_fit(X), again.partial_fit(X), X)
    for kind in own:
        with pytest.raises(FileFormatError, match=f"it names 'test_saving:{kind.__name__}'"):
            skpoe.load(path, trusted=[other for other in own if other is not kind])


def test_a_piece_whose_arguments_are_not_its_attributes_is_refused(tmp_path):
    est, _ = fitted(MVAE, "list of float64", likelihood=Forgets())
    with pytest.raises(TypeError, match=r"'least'\)\. Keep each argument of its class as an attr"):
        est.save(tmp_path / "model.skpoe")


@pytest.mark.parametrize("thing", [my_factory, MyNetwork])
def test_files_make_objects_of_trusted_pieces_alone(thing):
    said = {"object": [f"test_saving:{thing.__name__}", {"n_in": 2, "n_out": 2}, {}]}
    with pytest.raises(FileFormatError, match="is no class that files may name"):
        Decoder({}, [thing])(said)


def test_what_is_not_trusted_is_not_imported(tmp_path, monkeypatch):
    """A file names a module that leaves a mark when it is imported."""
    (tmp_path / "marked.py").write_text(
        "from pathlib import Path\nPath(__file__).with_suffix('.mark').touch()\n"
        "from skpoe.nn import mlp\nimport torch\n"
        "def factory(n_in, n_out):\n    return torch.nn.Linear(n_in, n_out)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mark = tmp_path / "marked.mark"

    def is_imported():
        there = mark.exists()
        mark.unlink(missing_ok=True)
        return there

    factory = importlib.import_module("marked").factory
    assert is_imported()
    est, _ = fitted(MVAE, "list of float64", encoder=factory)
    path = est.save(tmp_path / "model.skpoe")
    del sys.modules["marked"]
    with pytest.raises(FileFormatError, match="names 'marked:factory', which is not of this lib"):
        skpoe.load(path)
    assert not is_imported()
    assert "marked" not in sys.modules


def test_columns_by_a_function(tmp_path):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["x", "y", "z"])
    est = MVAE(**FAST, modalities={"a": numbers_of, "b": ["y"]}).fit(X)
    again = through(est, tmp_path, trusted=[numbers_of])
    assert_predict_the_same(est.fit(X), again.fit(X), X)


REFUSED = {
    "a lambda": (
        {"encoder": lambda n_in, n_out: nn.Linear(n_in, n_out)},
        "A file cannot hold parameter 'encoder': it is <function",
    ),
    "a function inside another": (
        {"decoder": (lambda: MyNetwork.__init__ and (lambda i, o: MyNetwork(i, o)))()},
        "define a function or class at the top of a module and give that",
    ),
    "a stream of numbers": (
        {"random_state": np.random.RandomState(0)},
        "which is used up as it is drawn from. Take an integer: est.set_params(random_state=0).",
    ),
}


@pytest.mark.parametrize(("params", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_file_can_hold_is_refused_with_what_to_do(params, message, tmp_path):
    est, _ = fitted(MVAE, "list of float64", **params)
    with pytest.raises(TypeError) as error:
        est.save(tmp_path / "model.skpoe")
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_selector_of_columns_has_no_name(tmp_path):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["x", "y", "z"])
    est = MVAE(**FAST, modalities={"all": make_column_selector(dtype_include=float)}).fit(X)
    with pytest.raises(TypeError, match="cannot hold parameter 'modalities': it is <sklearn"):
        est.save(tmp_path / "model.skpoe")


def test_estimators_of_users_are_refused(tmp_path):
    class Mine(MVAE):
        pass

    est = Mine(**FAST).fit(as_list(np.float64))
    with pytest.raises(TypeError, match="Mine is no estimator of this library"):
        est.save(tmp_path / "model.skpoe")


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_layer_sizes": (9,)},
        {"activation": "tanh"},
        {"beta": 3.0},
        {"latent_dim": 9},
        {"tol": "x"},
    ],
)
def test_parameters_that_were_changed_since_fit(changed, tmp_path):
    est, _ = fitted(MVAE, "list of float64")
    with pytest.raises(ValueError, match=r"This MVAE cannot be saved: .*changed since fit"):
        est.set_params(**changed).save(tmp_path / "model.skpoe")


def test_parameters_of_predictions_may_change(tmp_path):
    est, X = fitted(MVAE, "list of float64")
    again = through(est.set_params(n_importance_samples=7, imputation="mean"), tmp_path)
    assert_predict_the_same(est, again, X)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_not_fitted(cls, tmp_path):
    with pytest.raises(NotFittedError):
        cls().save(tmp_path / "model.skpoe")


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    est, _ = fitted(MultimodalFactorAnalysis, "list of float64")
    path = est.save(tmp_path / "model.skpoe")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for act in (lambda: est.save(path), lambda: skpoe.load(path)):
        with pytest.raises(ImportError, match=r"pip install 'skpoe\[io\]'"):
            act()


def test_nothing_of_the_library_needs_safetensors():
    code = "import sys; sys.modules['safetensors'] = None; import skpoe, skpoe.imputation"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_no_state_moves(tmp_path):
    est, _ = fitted(PoEVAE, "list of float64", encoder=my_factory, init="random")
    np.random.seed(3)
    torch.manual_seed(4)

    def state():
        return (
            str(np.random.get_state()),
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            dict(os.environ),
            threading.active_count(),
        )

    before = state()
    path = est.save(tmp_path / "model.skpoe")
    skpoe.load(path, trusted=[my_factory])
    with pytest.raises(FileFormatError):
        skpoe.load(path)
    assert state() == before


def test_saving_changes_nothing_in_the_estimator(tmp_path):
    est, X = fitted(PoEVAE, "list of float64", warm_start=True)
    before, optimizer = est.transform(X), est._run.moments
    est.save(tmp_path / "model.skpoe")
    assert_same(est.transform(X), before)
    assert est._run.moments is optimizer


def test_another_default_dtype_changes_nothing(tmp_path):
    est, X = fitted(PoEVAE, "list of float32")
    path = est.save(tmp_path / "model.skpoe")
    torch.set_default_dtype(torch.float64)
    try:
        again = skpoe.load(path)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_predict_the_same(est.partial_fit(X), again.partial_fit(X), X)


def test_a_path_may_be_a_string_and_has_no_set_suffix(tmp_path):
    est, X = fitted(MultimodalFactorAnalysis, "list of float64")
    path = est.save(str(tmp_path / "no suffix"))
    assert path == Path(tmp_path / "no suffix")
    assert_same(skpoe.load(str(path)).transform(X), est.transform(X))
