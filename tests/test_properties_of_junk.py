"""The door for data and files: whatever comes is read, or refused in words.

``python -m pytest tests/test_properties_of_junk.py --hypothesis-profile=thorough -n 0`` looks for
long.
"""

import re
import warnings

import numpy as np
import pytest
from arbitrary import junk, nested, odd_tables, scalars
from hypothesis import given
from hypothesis import strategies as st
from small import FAST, fitted, named, small, usual

from skpoe import MVAE, Modalities, MultimodalFactorAnalysis, load
from skpoe.io import FileFormatError

NAMES_IT = re.compile("[Mm]odalit|^X ")
TINY = FAST | {"max_iter": 1, "hidden_layer_sizes": ()}
MAKE = {
    "factor analysis": lambda **p: MultimodalFactorAnalysis(
        latent_dim=1, shrinkage=0.1, max_iter=1, **p
    ),
    "MVAE": lambda **p: small(MVAE, **TINY | {"likelihood": "auto"} | p),
}
every_make = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def told(call, words):
    """What a call gives; None where it refuses in words. Any other exception goes through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of levels that are new, of few samples
        try:
            return call()
        except (ValueError, TypeError) as error:
            message = str(error)
    assert re.search(words, message), message
    return None


def words_for(X):
    """Several modalities are named; of one table, scikit-learn has words of its own."""
    return NAMES_IT if isinstance(X, (dict, Modalities)) else "."


def assert_answers(est, X, words):
    """Rows that are read have finite answers; some values are beyond what a likelihood knows."""
    Z = told(lambda: est.transform(X), words)
    if Z is None:
        return
    assert Z.shape[1] == est.latent_dim_
    scores = told(lambda: est.score_samples(X), words)
    assert scores.shape == (len(Z),)
    assert np.isfinite(Z).all()
    assert np.isfinite(scores).all()


@every_make
@given(X=junk)
def test_fit_reads_or_refuses(make, X):
    est = told(lambda: make().fit(X), words_for(X))
    if est is not None:
        assert_answers(est, X, "$.")  # what fit reads is read again


@pytest.mark.parametrize("cls", [MVAE, MultimodalFactorAnalysis])
@given(data=st.data())
def test_predictions_read_or_refuse(cls, data):
    est = fitted(cls)
    X = named(usual(4, est._layout.widths))
    X[data.draw(st.sampled_from(list(X)))] = data.draw(odd_tables)
    X = data.draw(st.just(X) | junk)
    assert_answers(est, X, words_for(X))


sizes = nested | st.dictionaries(st.sampled_from(["a", "b"]), nested, max_size=2)
masks = st.none() | junk | st.dictionaries(st.sampled_from(["a", "b"]), nested, max_size=2)


@given(data=junk, n_features=sizes, mask=masks)
def test_modalities_hold_or_refuse(data, n_features, mask):
    X = told(lambda: Modalities(data, n_features, mask), "[Mm]odalit|n_features|mask")
    if X is not None:
        assert repr(X).startswith("Modalities(")
        assert len(X) == X.shape[0] == len(X.observed)
        assert len(X[:1]) == min(1, len(X))


@given(choice=nested | st.dictionaries(st.sampled_from(["a", "b", "c"]), nested, min_size=3))
def test_likelihoods_are_known_or_refused(choice):
    X = named(usual(4, (3, 1, 2)))
    told(lambda: small(MVAE, **TINY, likelihood=choice).fit(X), "likelihood")


columns = st.lists(st.integers(-4, 4) | scalars) | nested
cuts = st.dictionaries(st.sampled_from(["a", "b"]), columns) | st.lists(st.integers(0, 3)) | nested


@given(cut=cuts)
def test_cuts_are_known_or_refused(cut):
    X = usual(4, (3,))[0]
    est = told(lambda: MAKE["factor analysis"](modalities=cut).fit(X), "modalit")
    if est is not None:
        assert est.predict_missing(X).shape == (4, 3)
        assert len(est.modality_names_) == (1 if cut is None else len(cut))


@given(content=st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_files_of_junk_are_refused(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("junk") / "model.skpoe"
    for body in (content, len(content).to_bytes(8, "little") + content):
        path.write_bytes(body)
        with pytest.raises(FileFormatError, match=re.escape(path.name)):
            load(path)
