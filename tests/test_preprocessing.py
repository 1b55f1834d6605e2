"""PerModality: a clone of a transformer for each modality, over the rows that show it."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from skpoe import MVAE, Modalities
from skpoe.preprocessing import PerModality

FAST = {"max_iter": 2, "n_importance_samples": 8, "latent_dim": 2, "random_state": 0}
SEEN = {"rna": np.arange(30) != 7, "adt": ~np.isin(np.arange(30), [5, 6, 7])}


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    rna, adt = rng.normal(3, 2, size=(30, 4)), rng.normal(-1, 5, size=(30, 3))
    rna[7] = adt[5:8] = np.nan  # row 7 shows nothing
    rna[2, 1] = np.nan
    return {"rna": rna, "adt": adt}


def frames(tables):
    index = [f"cell{i // 2}" for i in range(30)]  # labels may repeat
    return {
        name: pd.DataFrame(x, index=index, columns=[f"{name}_{j}" for j in range(x.shape[1])])
        for name, x in tables.items()
    }


def exactly(message):
    return f"^{re.escape(message)}$"


def by_hand(transformer, x, seen):
    """What stock scikit-learn gives for the observed rows."""
    new = clone(transformer).fit_transform(x[seen])
    full = np.full((len(x), new.shape[1]), np.nan)
    full[seen] = new
    return full


FORMS = {
    "list": lambda t: list(t.values()),
    "tuple": lambda t: tuple(t.values()),
    "dict": dict,
    "Modalities": Modalities,
    "list of frames": lambda t: list(frames(t).values()),
    "Modalities of frames": lambda t: Modalities(frames(t)),
}


def parts(X):
    return [x for _, x in X.items()] if isinstance(X, (dict, Modalities)) else list(X)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_is_scaled_as_by_hand_and_comes_back_as_it_came(tables, form):
    X = FORMS[form](tables)
    per = PerModality(StandardScaler()).fit(X)
    for Y in (per.transform(X), per.fit_transform(X)):
        assert type(Y) is type(X)
        for name, y in zip(tables, parts(Y), strict=True):
            expected = by_hand(StandardScaler(), tables[name], SEEN[name])
            # sums over the columns of a frame run in another order
            np.testing.assert_allclose(y, expected, rtol=1e-12)
    back = per.inverse_transform(per.transform(X))
    assert type(back) is type(X)
    for x, y in zip(tables.values(), parts(back), strict=True):
        np.testing.assert_allclose(y, x)
    names = ["rna", "adt"] if form[0] in "dM" else ["modality_0", "modality_1"]
    assert per.modality_names_ == names == list(per.transformers_)
    assert per.n_features_in_ == 7


def test_named_ones_get_theirs_and_the_rest_the_default(tables):
    X = {**tables, "atac": tables["rna"] + 1.0}
    pca = make_pipeline(SimpleImputer(), PCA(2, svd_solver="full"))
    per = PerModality({"rna": pca, "atac": "passthrough"}, default=StandardScaler())
    Y = per.fit_transform(X)
    np.testing.assert_array_equal(Y["rna"], by_hand(pca, X["rna"], SEEN["rna"]))
    np.testing.assert_array_equal(Y["adt"], by_hand(StandardScaler(), X["adt"], SEEN["adt"]))
    np.testing.assert_array_equal(Y["atac"], X["atac"])
    assert per.transformers_["atac"] == "passthrough"
    assert not hasattr(pca[-1], "components_")  # clones are fitted, never what was given
    passing = PerModality({"rna": StandardScaler()}).fit_transform(X)
    np.testing.assert_array_equal(passing["adt"], X["adt"])
    np.testing.assert_array_equal(PerModality("passthrough").fit_transform(X)["adt"], X["adt"])


def test_rows_that_are_missing_teach_nothing(tables):
    some = {name: x[SEEN["adt"]] for name, x in tables.items()}
    a = PerModality(StandardScaler()).fit(tables).transformers_["adt"]
    b = PerModality(StandardScaler()).fit(some).transformers_["adt"]
    np.testing.assert_array_equal(a.mean_, b.mean_)
    np.testing.assert_array_equal(a.scale_, b.scale_)


class Leaky(TransformerMixin, BaseEstimator):
    """Its fit_transform is not fit and transform, as that of TargetEncoder is not."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.zeros((len(X), 1))

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X) + len(y)


def test_y_goes_along_with_the_rows(tables):
    y = np.arange(30) % 2
    select = make_pipeline(SimpleImputer(), SelectKBest(f_classif, k=2))
    for target in (y, list(y), pd.Series(y, index=np.arange(30)[::-1])):
        per = PerModality({"rna": select}).fit(tables, target)
        expected = clone(select).fit(tables["rna"][SEEN["rna"]], y[SEEN["rna"]])
        np.testing.assert_array_equal(per.transformers_["rna"][-1].scores_, expected[-1].scores_)
    per = PerModality({"adt": Leaky()})
    np.testing.assert_array_equal(per.fit_transform(tables, y)["adt"][SEEN["adt"], 0], 27.0)
    np.testing.assert_array_equal(per.transform(tables)["adt"][SEEN["adt"], 0], 0.0)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[30, 29\]"):
        PerModality(select).fit(tables, y[:29])


def test_a_modality_that_is_none_stays_none_and_keeps_its_new_width(tables):
    pca = make_pipeline(SimpleImputer(), PCA(2))
    per = PerModality({"adt": pca}).fit(tables)
    assert per.transform({"rna": tables["rna"], "adt": None})["adt"] is None
    assert per.transform([tables["rna"], None])[1] is None
    new = per.transform(Modalities({"rna": tables["rna"], "adt": None}))
    assert (new["adt"], new.n_features) == (None, {"rna": 4, "adt": 2})
    assert per.inverse_transform(new).n_features == {"rna": 4, "adt": 3}
    hidden = per.transform({"rna": tables["rna"], "adt": np.full((30, 3), np.nan)})["adt"]
    assert hidden.shape == (30, 2)
    assert np.isnan(hidden).all()


def test_a_modality_without_rows_is_fitted_only_if_it_passes(tables):
    X = Modalities({"rna": tables["rna"], "adt": None}, n_features={"adt": 3})
    message = (
        "Modality 'adt' shows nothing: every row is missing, so StandardScaler cannot be fitted. "
        "Leave the modality out, or let it pass: 'passthrough'."
    )
    for hidden in (X, {"rna": tables["rna"], "adt": np.full((30, 3), np.nan)}):
        with pytest.raises(ValueError, match=exactly(message)):
            PerModality(StandardScaler()).fit(hidden)
        per = PerModality({"rna": StandardScaler()}).fit(hidden)
        assert per.transform(tables)["adt"] is tables["adt"]
    assert PerModality({"rna": StandardScaler()}).fit_transform(X).n_features["adt"] == 3
    with pytest.raises(ValueError, match=r"^Modality 'modality_1' is None, so its number of fea"):
        PerModality({"modality_0": StandardScaler()}).fit([tables["rna"], None])


def test_columns_that_go_up_and_down_in_number(tables):
    rows = tables["rna"].copy()
    per = PerModality({"rna": FunctionTransformer(lambda x: np.hstack([x, x]))}).fit(tables)
    assert per.transform(tables)["rna"].shape == (30, 8)
    np.testing.assert_array_equal(tables["rna"], rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_that_the_transformer_gives(tables, dtype):
    X = {name: x.astype(dtype) for name, x in tables.items()}
    per = PerModality(StandardScaler()).fit(X)
    assert {x.dtype for x in per.transform(X).values()} == {np.dtype(dtype)}
    hidden = {**X, "adt": np.full((30, 3), np.nan, dtype)}
    assert per.transform(hidden)["adt"].dtype == dtype


def test_nothing_is_written_to_what_was_given(tables):
    for x in tables.values():
        x.flags.writeable = False
    before = pickle.dumps(tables)
    per = PerModality(StandardScaler(copy=False))  # writes to what it gets
    new = per.fit_transform(tables)
    per.inverse_transform(new)
    framed = frames(tables)
    per.fit(framed).transform(framed)
    assert pickle.dumps(tables) == before
    np.testing.assert_array_equal(framed["rna"], tables["rna"])
    given = {"rna": StandardScaler()}
    PerModality(given).set_params(rna=RobustScaler())
    assert type(given["rna"]) is StandardScaler


def test_sparse_results_become_dense_only_if_rows_are_missing():
    rng = np.random.default_rng(0)
    X = {"a": rng.integers(0, 3, (12, 2)).astype(float), "b": rng.normal(size=(12, 1))}
    X["a"][:3] = [[0], [1], [2]]
    per = PerModality({"a": OneHotEncoder()}).fit(X)
    assert scipy.sparse.issparse(per.transform(X)["a"])
    some = {**X, "a": X["a"].copy()}
    some["a"][5] = np.nan
    dense = per.transform(some)["a"]
    assert isinstance(dense, np.ndarray)
    expected = per.transform(X)["a"].toarray()
    expected[5] = np.nan
    np.testing.assert_array_equal(dense, expected)
    np.testing.assert_array_equal(per.inverse_transform(per.transform(some))["a"], some["a"])


def test_sparse_counts_are_read():
    counts = scipy.sparse.random(20, 9, density=0.4, format="coo", random_state=0)
    X = {"rna": counts, "adt": np.zeros((20, 2))}
    svd = TruncatedSVD(2, random_state=0)
    new = PerModality({"rna": svd}).fit_transform(X)["rna"]
    np.testing.assert_array_equal(new, clone(svd).fit_transform(counts.tocsr()))
    hidden = counts.toarray()
    hidden[4] = np.nan
    X["rna"] = scipy.sparse.csr_array(hidden)
    new = PerModality({"rna": svd}).fit_transform(X)["rna"]
    np.testing.assert_array_equal(np.isnan(new).all(axis=1), np.arange(20) == 4)


def test_frames_come_out_with_names_and_index_if_asked(tables):
    X = frames(tables)
    per = PerModality({"rna": StandardScaler()}, default=PCA(2))
    assert per.set_output(transform="pandas") is per
    for new in (per.fit_transform(X), per.transform(X), clone(per).fit_transform(X)):
        assert list(new["rna"].columns) == ["rna_0", "rna_1", "rna_2", "rna_3"]
        assert list(new["adt"].columns) == ["pca0", "pca1"]
        for name, seen in SEEN.items():
            assert new[name].index.equals(X[name].index)
            np.testing.assert_array_equal(new[name].isna().all(axis=1), ~seen)
    expected = by_hand(StandardScaler(), tables["rna"], SEEN["rna"])
    np.testing.assert_allclose(per.transform(X)["rna"], expected, rtol=1e-12)
    hidden = per.transform({**X, "adt": X["adt"] * np.nan})["adt"]
    assert list(hidden.columns) == ["pca0", "pca1"]
    assert hidden.index.equals(X["adt"].index)
    back = per.inverse_transform(per.transform(X))
    assert list(back["adt"].columns) == ["adt_0", "adt_1", "adt_2"]
    assert back["adt"].index.equals(X["adt"].index)
    pd.testing.assert_frame_equal(back["rna"], X["rna"])
    taken = {"a": pd.DataFrame(np.eye(3), [4, 2, 7]), "b": np.eye(3)}
    assert PerModality(StandardScaler()).set_output(transform="pandas").fit_transform(taken)[
        "b"
    ].index.tolist() == [4, 2, 7]
    per.set_output(transform="default")  # also of those that are fitted already
    assert isinstance(per.transform(X)["rna"], np.ndarray)
    assert per.set_output() is per  # changes nothing
    assert isinstance(per.transform(X)["rna"], np.ndarray)
    assert isinstance(PerModality(StandardScaler()).fit_transform(X)["rna"], np.ndarray)
    with pytest.raises(ValueError, match="^transform must be 'default', 'pandas' or None; got 3"):
        per.set_output(transform=3)


def test_the_global_setting_for_frames(tables):
    with config_context(transform_output="pandas"):
        per = PerModality(StandardScaler()).fit(tables)
        new = per.transform(tables)
        both = make_pipeline(PerModality(StandardScaler()), MVAE(**FAST)).fit_transform(tables)
    assert all(isinstance(x, pd.DataFrame) for x in new.values())
    assert list(new["adt"].index) == list(range(30))
    np.testing.assert_array_equal(new["adt"], per.transform(tables)["adt"])
    assert both.shape == (30, 2)


def test_names_not_order_decide_and_lists_go_by_position(tables):
    per = PerModality({"rna": StandardScaler()}, default=RobustScaler()).fit(tables)
    new = per.transform(tables)
    turned = per.transform({"adt": tables["adt"], "rna": tables["rna"]})
    assert list(turned) == ["rna", "adt"]
    listed = per.transform(list(tables.values()))
    for m, name in enumerate(tables):
        np.testing.assert_array_equal(turned[name], new[name])
        np.testing.assert_array_equal(listed[m], new[name])


MISTAKES = {
    "another number": (
        lambda t: [*t.values(), t["rna"]],
        "X has 3 modalities, but PerModality is expecting 2 ['rna', 'adt']. Pass NaN rows (or "
        "None) for a modality that is not measured.",
    ),
    "other names": (
        lambda t: {"rna": t["rna"], "atac": t["adt"]},
        "X has 2 modalities ['rna', 'atac'], but PerModality is expecting 2 ['rna', 'adt']. Pass "
        "NaN rows (or None) for a modality that is not measured.",
    ),
    "another width": (
        lambda t: {**t, "adt": t["adt"][:, :2]},
        "Modality 'adt' has 2 features, but PerModality is expecting 3 features as input.",
    ),
    "other columns": (
        lambda t: {**t, "adt": t["adt"].rename(columns={"adt_1": "new"})},
        "The columns of modality 'adt' differ from those that PerModality was fitted on: unseen "
        "['new'], missing ['adt_1'].",
    ),
    "columns in another order": (
        lambda t: {**t, "adt": t["adt"].iloc[:, ::-1]},
        "The columns of modality 'adt' differ from those that PerModality was fitted on: another "
        "order.",
    ),
    "different lengths": (
        lambda t: {**t, "adt": t["adt"][:29]},
        "All modalities must have the same number of samples; got 'rna': 30, 'adt': 29. Fill rows "
        "in which a modality is not measured with NaN.",
    ),
    "one table": (
        lambda t: t["rna"],
        "X is one table; PerModality takes a list, tuple or dict of tables, or skpoe.Modalities. "
        "For one table, use the transformer itself.",
    ),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_what_each_mistake_after_fit_is_told(tables, mistake):
    make, message = MISTAKES[mistake]
    X = frames(tables) if "columns" in mistake else tables
    per = PerModality(StandardScaler()).set_output(transform="default").fit(X)
    for method in (per.transform, per.inverse_transform):
        if method == per.inverse_transform and "columns" in mistake:
            continue  # the output is arrays, without names
        with pytest.raises(ValueError, match=exactly(message)):
            method(make(X))


def test_what_each_mistake_in_fit_is_told(tables):
    def told(X, transformer, kind=ValueError):
        with pytest.raises(kind) as caught:
            PerModality(transformer).fit(X)
        return str(caught.value)

    assert told(tables, {"atac": StandardScaler()}) == (
        "PerModality has transformers for ['atac'], but X has 2 modalities ['rna', 'adt']. Name "
        "modalities that X has; default= serves the others."
    )
    assert told(tables["rna"], StandardScaler()).startswith("X is one table; PerModality takes")
    assert told([[1.0, 2.0], [3.0, 4.0]], StandardScaler()).startswith("X is one table;")
    assert told({}, StandardScaler()).startswith("There is no modality.")
    for wrong in (StandardScaler, "drop", None, 3):
        assert told(tables, {"rna": wrong}, TypeError) == (
            "The transformer of modality 'rna' must be a transformer, not its class, or "
            f"'passthrough'; got {wrong!r}."
        )
    assert told(tables, PCA(2)).startswith(
        "Modality 'rna': PCA refuses rows that are observed in part. Put an imputer before it, "
        "for example make_pipeline(SimpleImputer(), PCA(...)). Input X contains NaN."
    )
    assert told({"rna": np.array([[np.inf], [0.0]])}, StandardScaler()).startswith(
        "Modality 'rna': Input X contains infinity"
    )
    assert told(tables, FunctionTransformer(lambda x: x[:, 0])) == (
        "Modality 'rna': the result for 29 rows has the shape (29,)."
    )


def test_a_fit_that_fails_changes_nothing(tables):
    per = PerModality(StandardScaler()).fit(tables)
    before = per.transform(tables)
    with pytest.raises(ValueError, match="shows nothing"):
        per.fit({"x": tables["rna"][:, :1], "y": np.full((30, 2), np.nan)})
    np.testing.assert_array_equal(per.transform(tables)["adt"], before["adt"])


def test_it_knows_whether_it_is_fitted(tables):
    per = PerModality("passthrough")
    for method in (per.transform, per.inverse_transform, check_is_fitted):
        with pytest.raises(NotFittedError):
            method(per if method is check_is_fitted else tables)
    check_is_fitted(per.fit(tables))
    assert get_tags(per).input_tags.allow_nan
    assert "PerModality" in per._repr_html_()


def test_inverse_transform_is_there_if_all_have_it(tables):
    assert hasattr(PerModality(StandardScaler()), "inverse_transform")
    assert hasattr(PerModality({"rna": StandardScaler()}).fit(tables), "inverse_transform")
    for per in (
        PerModality(Normalizer()),
        PerModality({"rna": Normalizer()}),
        PerModality({"rna": "passthrough"}, default=Normalizer()),
    ):
        assert not hasattr(per, "inverse_transform")
        with pytest.raises(AttributeError, match="has no attribute 'inverse_transform'"):
            _ = per.inverse_transform
    # what is not used does not count once that is known
    full = PerModality({"rna": "passthrough", "adt": RobustScaler()}, default=Normalizer())
    assert hasattr(full.fit(tables), "inverse_transform")


def test_a_transformer_without_the_mixin_will_do(tables):
    class Shift(BaseEstimator):
        def fit(self, X, y=None):
            self.shift_ = np.nanmean(X, axis=0)
            return self

        def transform(self, X):
            return X - self.shift_

    new = PerModality(Shift()).fit_transform(tables)
    np.testing.assert_allclose(np.nanmean(new["adt"], axis=0), 0, atol=1e-12)


def test_parameters_of_named_transformers(tables):
    per = PerModality({"rna": make_pipeline(StandardScaler()), "adt": "passthrough"})
    names = set(per.get_params())
    assert {"transformer", "default", "rna", "adt", "rna__standardscaler__with_mean"} <= names
    assert set(per.get_params(deep=False)) == {"transformer", "default"}
    per.set_params(rna__standardscaler__with_mean=False, adt=RobustScaler(), default=PCA())
    per.set_params(adt__with_centering=False, default__n_components=1)
    assert per.transformer["rna"][0].with_mean is False
    assert per.transformer["adt"].with_centering is False
    assert per.default.n_components == 1
    per.set_params(transformer={"rna": StandardScaler()}, rna__with_std=False)
    assert per.transformer["rna"].with_std is False
    for wrong in ({"atac": 1}, {"atac__with_mean": 1}, {"with_mean": 1}):
        with pytest.raises(ValueError, match=r"^Invalid parameter '(atac|with_mean)' for estimat"):
            per.set_params(**wrong)
    with pytest.raises(ValueError, match="^Invalid parameter 'wrong' for estimator StandardScal"):
        per.set_params(rna__wrong=1)


def test_parameters_of_one_transformer():
    per = PerModality(StandardScaler())
    assert per.get_params()["with_mean"] is per.get_params()["transformer__with_mean"] is True
    assert per.set_params(with_mean=False).transformer.with_mean is False
    assert per.set_params(transformer__with_mean=True).get_params()["with_mean"] is True
    per.set_params(transformer=make_pipeline(RobustScaler()), robustscaler__with_scaling=False)
    assert per.transformer[0].with_scaling is False
    with pytest.raises(ValueError, match="^Invalid parameter 'with_mean' for estimator PerModal"):
        per.set_params(with_mean=False)
    with pytest.raises(ValueError, match="^Invalid parameter 'rna' for estimator PerModality"):
        PerModality("passthrough").set_params(rna=StandardScaler())


def test_clones_and_pickles(tables):
    per = PerModality({"rna": StandardScaler(with_mean=False)}, default=RobustScaler()).fit(tables)
    twin = clone(per)
    assert twin.transformer["rna"] is not per.transformer["rna"]
    assert twin.get_params()["rna__with_mean"] is False
    assert not hasattr(twin, "transformers_")
    again = pickle.loads(pickle.dumps(per))
    new = per.transform(tables)
    for name, x in again.transform(tables).items():
        np.testing.assert_array_equal(x, new[name])


def test_a_clone_refuses_lists_and_names_the_remedy(tables):
    X = list(tables.values())
    message = (
        "X is a list of modalities, and this PerModality is a clone, as model selection makes "
        "them: it would split the list into modalities instead of rows. Pass skpoe.Modalities(X), "
        "which is split into rows."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        clone(PerModality(StandardScaler())).fit(X)
    clone(PerModality(StandardScaler())).fit(Modalities(X)).transform(X)
    search = GridSearchCV(
        make_pipeline(PerModality(StandardScaler()), MVAE(**FAST)), {"mvae__beta": [1]}, cv=2
    )
    with pytest.raises(ValueError, match=r"this PerModality is a clone.*skpoe.Modalities\(X\)"):
        search.fit(X)


@pytest.mark.parametrize("named", [False, True])
def test_grid_search_over_nested_names(tables, named):
    transformer = {"rna": StandardScaler()} if named else StandardScaler()
    pipe = Pipeline([("permodality", PerModality(transformer)), ("vae", MVAE(**FAST))])
    if named:
        grid = {"permodality__rna": [StandardScaler(), RobustScaler(), "passthrough"]}
        grid = [grid, {"permodality__rna__with_mean": [True, False]}]
    else:
        grid = {"permodality__with_mean": [True, False]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(Modalities(tables))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # the pieces, put together by hand, score the same
    best = search.best_estimator_
    scaled = best[0].transform(Modalities(tables))
    assert search.score(Modalities(tables)) == best[-1].score(scaled)
    np.testing.assert_array_equal(best.transform(tables), best[-1].transform(scaled))


def test_scaling_on_a_fold_is_that_of_its_training_rows(tables):
    X = Modalities(tables)
    per = PerModality(StandardScaler()).fit(X[:15])
    expected = StandardScaler().fit(tables["adt"][:15]).transform(tables["adt"][15:])
    np.testing.assert_array_equal(per.transform(X[15:])["adt"], expected)
    assert isinstance(per.transform(X[15:]), Modalities)


def test_what_is_predicted_is_read_in_original_units(tables):
    X = {"rna": np.exp(tables["rna"]), "adt": tables["adt"]}
    log = FunctionTransformer(np.log, np.exp, check_inverse=False)  # the check trips over NaN
    pipe = make_pipeline(PerModality({"rna": log}, default=StandardScaler()), MVAE(**FAST)).fit(X)
    for form in (dict, Modalities, lambda t: list(t.values())):
        filled = parts(
            pipe[:-1].inverse_transform(pipe[-1].predict_missing(pipe[:-1].transform(form(X))))
        )
        for x, y in zip(X.values(), filled, strict=True):
            assert np.isfinite(y).all()
            np.testing.assert_allclose(y[~np.isnan(x)], x[~np.isnan(x)])
        assert (filled[0] > 0).all()
    none = pipe[:-1].transform({"rna": X["rna"], "adt": None})
    assert pipe[:-1].inverse_transform(pipe[-1].predict_missing(none))["adt"].shape == (30, 3)


class Flags(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X > 0

    def get_feature_names_out(self, input_features=None):
        return np.array(["a", "b", "c"])


def test_results_that_cannot_hold_nan_are_changed_to_what_can(tables):
    new = PerModality({"adt": Flags()}).fit_transform(tables)["adt"]
    assert new.dtype == float
    expected = np.where(np.isnan(tables["adt"]), np.nan, tables["adt"] > 0)
    np.testing.assert_array_equal(new, expected)
    framed = PerModality({"adt": Flags()}).set_output(transform="pandas").fit_transform(tables)
    np.testing.assert_array_equal(framed["adt"].astype(float), expected)
    words = FunctionTransformer(lambda x: np.where(x > 0, "high", "low"))
    new = PerModality({"adt": words}).fit_transform(tables)["adt"]
    assert new.dtype == object
    assert set(new[SEEN["adt"]].ravel()) == {"high", "low"}
    whole = {name: np.nan_to_num(x) for name, x in tables.items()}
    assert PerModality({"adt": Flags()}).fit_transform(whole)["adt"].dtype == bool


def test_tables_of_words_are_read():
    words = pd.DataFrame({"kind": ["a", "b", None, "a"]}, index=list("wxyz"))
    encoder = OneHotEncoder(sparse_output=False)
    per = PerModality({"kind": encoder}).fit({"kind": words, "x": np.zeros((4, 1))})
    new = per.transform({"kind": words, "x": None})["kind"]
    np.testing.assert_array_equal(new, [[1, 0], [0, 1], [np.nan, np.nan], [1, 0]])
