"""Fits that are cut short go on from their checkpoint to the same bits, or say why not."""

import fcntl
import functools
import os
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from small import KINDS, small
from test_fitting import QUICK, Exploding, assert_same_model, data
from torch import nn

import skpoe
from skpoe import MVAE, MultimodalFactorAnalysis, PoEVAE
from skpoe.estimators import reading
from skpoe.estimators.checkpoints import Checkpoint
from skpoe.io import FileFormatError
from skpoe.io.container import read, to_bytes, write
from skpoe.objectives import ELBO

every_kind = pytest.mark.parametrize("cls", KINDS)
SHORT = {**QUICK, "max_iter": 5}


class CutError(Exception):
    """The end of a process, as far as its file is concerned."""


def cut(n_writings, est, *args, **kwargs):
    """Fit, and stop dead after so many writings during training."""
    keep, left = Checkpoint.keep, [n_writings]

    def keep_and_stop(self, state):
        keep(self, state)
        left[0] -= 1
        if not left[0]:
            raise CutError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(CutError):
            est.fit(*args, **kwargs)
    assert not hasattr(est, "model_")


@functools.cache
def uncut():
    """A fit that is as short as others here: it must not be changed."""
    return small(MVAE, **SHORT).fit(data())


@pytest.fixture
def untrained(monkeypatch):
    """Make sure that nothing is trained."""

    def fails(*args, **kwargs):
        raise AssertionError("this trains")

    monkeypatch.setattr("skpoe.estimators.course.train", fails)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.skpoe"


def assert_same_fit(a, b):
    for p, q in zip(a.model_.state_dict().values(), b.model_.state_dict().values(), strict=True):
        assert torch.equal(p, q)
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_
    assert a.auto_ == b.auto_


@every_kind
def test_a_fit_that_was_cut_short_ends_with_the_same_bits(cls, path):
    X = data()
    make = {**SHORT, "learning_rate": "constant"}
    whole = small(cls, **make).fit(X)
    cut(2, small(cls, **make, checkpoint=path), X)
    loaded, two = skpoe.load(path), small(cls, **{**make, "max_iter": 2}).fit(X)
    assert_same_model(loaded, two)
    assert loaded.loss_curve_ == two.loss_curve_
    est = small(cls, **make, checkpoint=path, resume=True).fit(X)
    assert_same_fit(est, whole)
    assert_same_fit(skpoe.load(path), whole)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def dropping(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, n_out))


STARTED = {"init": "auto", "start_weight": "auto"}
GIVEN = {"shrinkage": 0.1}  # one choice less of those that a fit makes before it trains
# training goes on in a fit whose first two lines say what it begins with
WAYS = {
    "one cycle": (MVAE, {}),
    "a rehearsal": (PoEVAE, {**STARTED, **GIVEN, "dtype": "float32", "max_iter": 3, "trust": 0.5}),
    "a rehearsal of MIWAE": (skpoe.MIWAE, {**STARTED, **GIVEN, "max_iter": 2}),
    "a start and held-out rows": (PoEVAE, {**STARTED, "early_stopping": True, "max_iter": 3}),
    "early stopping": (
        MVAE,
        {
            "early_stopping": True,
            "learning_rate": "constant",
            "learning_rate_init": 0.1,
            "n_iter_no_change": 1,
            "max_iter": 30,
        },
    ),
    "warm-up": (MVAE, {"kl_warmup": 4, "weight_decay": 0.1}),
    "dropout and batch norm": (MVAE, {"encoder": dropping}),
    "every second epoch": (MVAE, {"checkpoint_every": 2}),
}


@pytest.mark.parametrize("way", WAYS)
def test_wherever_it_was_cut(way, path, untouched_warnings):
    cls, params = WAYS[way]
    X, weight = data(), np.linspace(0, 2, 60)
    make = {**SHORT, **params}
    whole = small(cls, **make).fit(X, sample_weight=weight)
    n_writings = 0
    while True:
        n_writings += 1
        path.unlink(missing_ok=True)
        try:
            cut(n_writings, small(cls, **make, checkpoint=path), X, sample_weight=weight)
        except pytest.fail.Exception:  # it came to its end
            break
        est = small(cls, **make, checkpoint=path, resume=True).fit(X, sample_weight=weight)
        assert_same_fit(est, whole)
    every = params.get("checkpoint_every", 1)
    trainings = [make["max_iter"]]
    if "early" in way:
        trainings = [whole.n_iter_ + 1]
    elif "rehearsal" in way and whole.auto_["start_weight"] < 1:
        trainings *= 2
    # and one of the end
    assert n_writings - 2 == sum(max(0, n_epochs - 1) // every for n_epochs in trainings)


@pytest.fixture
def untouched_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_without_a_seed_it_goes_on_with_that_it_drew(path):
    X, make = data(), {**SHORT, "random_state": None}
    cut(2, small(MVAE, **make, checkpoint=path), X)
    begun = skpoe.load(path)
    est = small(MVAE, **make, checkpoint=path, resume=True).fit(X)
    assert est.loss_curve_[:2] == begun.loss_curve_
    assert est._seed == begun._seed
    again = small(MVAE, **make, checkpoint=path).fit(X)
    assert again._seed != begun._seed


def test_going_on_from_a_fitted_model(path):
    X, more = data(), data(seed=1)
    make = {**SHORT, "learning_rate": "constant", "warm_start": True}
    whole = small(MVAE, **make).fit(X).fit(more)
    keep, first = Checkpoint.keep, small(MVAE, **make).fit(X)
    twin = small(MVAE, **make).fit(X)
    first.set_params(checkpoint=path)
    with pytest.MonkeyPatch.context() as patch:

        def keep_and_stop(self, state):
            keep(self, state)
            if len(state.run.history) == 8:
                raise CutError

        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(CutError):
            first.fit(more)
    assert_same_fit(first, twin)
    assert_same_fit(twin.set_params(checkpoint=path, resume=True).fit(more), whole)
    other = small(MVAE, **{**make, "max_iter": 4}).fit(X).set_params(max_iter=5)
    with pytest.raises(ValueError, match="what differs is the model that it goes on from"):
        other.set_params(checkpoint=path, resume=True).fit(more)


def test_a_fit_at_its_end_is_not_trained_again(path, untrained, monkeypatch):
    monkeypatch.undo()
    X, make = data(), {**SHORT, **STARTED, "checkpoint": path}
    whole = small(PoEVAE, **make).fit(X)
    before = path.read_bytes()
    monkeypatch.setattr("skpoe.estimators.course.train", None)
    assert_same_fit(small(PoEVAE, **make, resume=True).fit(X), whole)
    assert path.read_bytes() == before


def test_a_fit_that_diverges_after_it_was_cut(path):
    X, make = data(), {**SHORT, "max_iter": 50, "learning_rate": "constant"}
    make |= {"learning_rate_init": 0.02, "decoder": [None, Exploding], "checkpoint": path}
    warns = pytest.warns(ConvergenceWarning, match="diverged; .* not finite in epoch 7")
    Exploding.after, Exploding.passes = 10**6, 0
    small(MVAE, **{**make, "max_iter": 1, "checkpoint": None}).fit(X)
    Exploding.after, Exploding.passes = 6 * Exploding.passes, 0
    with warns:
        whole = small(MVAE, **make).fit(X)
    Exploding.passes = 0
    cut(5, small(MVAE, **make), X)
    with warns:
        est = small(MVAE, **make, resume=True).fit(X)
    assert_same_fit(est, whole)
    with warns:  # at its end, it says so again
        assert_same_fit(small(MVAE, **make, resume=True).fit(X), whole)


def moved(X):
    X[1][3, 1] += 1e-9
    return X


ANOTHER = {
    "beta": ({"beta": 2.0}, {}, r"parameter 'beta' \(it was 1.0\)\. "),
    "max_iter": ({"max_iter": 9}, {}, r"parameter 'max_iter' \(it was 5\)\. "),
    "two": ({"beta": 2.0, "tol": 0.1}, {}, r"parameter 'beta' .*, parameter 'tol' "),
    "sizes": ({"hidden_layer_sizes": (9,)}, {}, r"parameter 'hidden_layer_sizes'\. "),
    "seed": ({"random_state": 1}, {}, r"parameter 'random_state' \(it was 0\)\. "),
    "networks": ({"encoder": dropping}, {}, r"parameter 'encoder'\. "),
    "a number": ({}, {"X": moved(data())}, r"what differs is the values of X\. "),
    "rows": ({}, {"X": data(59)}, "the values of X, sample_weight"),
    "names": ({}, {"X": dict(zip("ab", data(), strict=True))}, r"differs is the form of X\. "),
    "weights": ({}, {"sample_weight": np.full(60, 2.0)}, r"what differs is sample_weight\. "),
}


@pytest.mark.parametrize("what", ANOTHER)
def test_another_fit_is_refused(what, path):
    params, given, message = ANOTHER[what]
    cut(1, small(MVAE, **SHORT, checkpoint=path), data())
    before = path.read_bytes()
    est = small(MVAE, **{**SHORT, **params}, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match=f"is of another fit, and cannot be .*{message}") as info:
        est.fit(**{"X": data(), **given})
    assert "resume=False" in str(info.value)
    assert path.read_bytes() == before
    est.set_params(resume=False).fit(**{"X": data(), **given})
    assert path.read_bytes() != before


def test_another_estimator_is_refused(path):
    cut(1, small(MVAE, **SHORT, checkpoint=path), data())
    with pytest.raises(ValueError, match="what differs is the estimator"):
        small(skpoe.JMVAE, **SHORT, checkpoint=path, resume=True).fit(data())


def test_what_training_does_not_depend_on_may_change(path, capsys):
    X, whole = data(), small(MVAE, **SHORT).fit(data())
    cut(1, small(MVAE, **SHORT, checkpoint=path), X)
    kept = path.rename(path.with_name("elsewhere"))
    params = {"n_importance_samples": 3, "imputation": "importance", "verbose": 1, "n_threads": 1}
    est = small(MVAE, **{**SHORT, **params}, checkpoint=os.fspath(kept), resume=True)
    assert_same_fit(est.set_params(checkpoint_every=3).fit([x.copy() for x in X]), whole)
    assert "epoch 5/5" in capsys.readouterr().out


def test_how_the_data_are_stored_does_not_matter(path):
    X = data()
    cut(1, small(MVAE, **SHORT, checkpoint=path), X)
    mapped = []
    for m, x in enumerate(X):
        np.save(path.with_name(f"{m}.npy"), np.asfortranarray(x))
        mapped.append(np.load(path.with_name(f"{m}.npy"), mmap_mode="r"))
    est = small(MVAE, **SHORT, checkpoint=path, resume=True).fit(mapped)
    assert_same_fit(est, small(MVAE, **SHORT).fit(X))


def test_without_a_file_it_begins(path):
    est = small(MVAE, **SHORT, checkpoint=path, resume=True).fit(data())
    assert_same_fit(est, small(MVAE, **SHORT).fit(data()))
    assert_same_fit(skpoe.load(path), est)


def test_resuming_needs_a_path():
    with pytest.raises(ValueError, match="resume=True .* but checkpoint is None. Give its path"):
        small(MVAE, **SHORT, resume=True).fit(data())


def test_only_fit_writes(path):
    est = small(MVAE, **QUICK, checkpoint=path).partial_fit(data())
    est.transform(data())
    est.score(data())
    assert not path.exists()


def test_a_saved_estimator_is_no_checkpoint(path):
    small(MVAE, **SHORT).fit(data()).save(path)
    with pytest.raises(ValueError, match="est.save wrote it"):
        small(MVAE, **SHORT, checkpoint=path, resume=True).fit(data())


def test_where_files_go_is_not_in_a_file(path):
    est = small(MVAE, **SHORT, checkpoint=path).fit(data())
    for file in (path, est.save(path.with_name("model"))):
        assert path.name.encode() not in file.read_bytes()
        loaded = skpoe.load(file)
        assert (loaded.checkpoint, loaded.resume) == (None, False)
    document, tensors = read(path)
    document["parameters"]["checkpoint"] = "/etc/passwd"
    path.write_bytes(to_bytes(document, tensors))
    with pytest.raises(FileFormatError, match=r"has no parameters \['checkpoint'\]"):
        skpoe.load(path)


def _set(key, value):
    def change(section):
        section[key] = value(section[key]) if callable(value) else value

    return change


FORGED = {
    "no stage": (_set("stage", "sleep"), "in no stage of a fit: 'sleep'"),
    "no path": (lambda section: section.pop("of"), "checkpoint should have"),
    "began late": (_set("began", {"tuple": [9, 0]}), "it began after it ended"),
    "began in words": (_set("began", {"tuple": ["a", "b"]}), "it began after it ended"),
    "much of the start": (_set("start_weight", 7.0), "start_weight is out of range"),
    "no start": (_set("begun", None), "holds out no rows"),
    "rows that are none": (_set("held", {"tensor": "model.strategy.trust"}), "holds out no rows"),
    "no weights": (_set("fresh", None), "start of training should be dict"),
    "weights of another": (_set("fresh", lambda said: {"dict": said["dict"][1:]}), "lacks the te"),
    "words for weights": (_set("begun", {"dict": [["a", 1]]}), "start should be tensors"),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The bytes of a checkpoint in a fit that started at a factor analysis."""
    file = tmp_path_factory.mktemp("begun") / "fit.skpoe"
    cut(1, small(PoEVAE, **{**SHORT, **STARTED}, checkpoint=file), data())
    return file.read_bytes()


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_checkpoint_is_refused(what, begun, path):
    change, message = FORGED[what]
    make = {**SHORT, **STARTED, "checkpoint": path}
    path.write_bytes(begun)
    document, tensors = read(path)
    section = dict(document["checkpoint"]["dict"])
    change(section)
    document["checkpoint"] = {"dict": [list(pair) for pair in section.items()]}
    # what is not asked for any more
    used = set(re.findall(r"values\.\d+", str(document)))
    tensors = {k: v for k, v in tensors.items() if not k.startswith("values.") or k in used}
    path.write_bytes(to_bytes(document, tensors))
    with pytest.raises(FileFormatError, match=message):
        small(PoEVAE, **make, resume=True).fit(data())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="cut short"):
        small(PoEVAE, **make, resume=True).fit(data())


def test_in_a_folder_each_fit_of_a_search_has_its_file(tmp_path, monkeypatch):
    X = skpoe.Modalities(data())
    est = small(MVAE, **SHORT, checkpoint=tmp_path, resume=True)
    first = GridSearchCV(est, {"beta": [0.5, 1.0]}, cv=2).fit(X)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 5
    assert all(re.fullmatch(r"MVAE-[0-9a-f]{16}\.skpoe", file.name) for file in files)
    files[2].unlink()
    monkeypatch.setattr(Checkpoint, "begin", lambda self, state: fresh.append(self.path))
    fresh = []
    again = GridSearchCV(est, {"beta": [0.5, 1.0]}, cv=2, error_score="raise").fit(X)
    assert fresh == [files[2]]
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], first.cv_results_["mean_test_score"]
    )


def test_one_file_for_a_search_is_refused_not_mixed_up(path):
    X = skpoe.Modalities(data())
    est = small(MVAE, **SHORT, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="in a folder each fit has a file of its own"):
        GridSearchCV(est, {"beta": [0.5, 1.0]}, cv=2, error_score="raise").fit(X)


def test_what_cannot_be_written_is_told_before_training(tmp_path, untrained):
    (tmp_path / "file").touch()
    for place, error in (("none/fit", FileNotFoundError), ("file/fit", NotADirectoryError)):
        est = small(MVAE, **SHORT, checkpoint=tmp_path / place)
        with pytest.raises(error, match="The checkpoint cannot be written: .*fit'"):
            est.fit(data())
        assert not hasattr(est, "model_")
    est = small(MVAE, **SHORT, checkpoint=tmp_path / "fit", encoder=lambda n, m: nn.Linear(n, m))
    with pytest.raises(TypeError, match="A file cannot hold parameter 'encoder'"):
        est.fit(data())
    est = small(MVAE, **{**SHORT, "random_state": np.random.RandomState(0)}, checkpoint=tmp_path)
    with pytest.raises(TypeError, match=r"set_params\(random_state=0\)"):
        est.fit(data())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_full_later_does_not_end_training(path, monkeypatch):
    whole, synchronise, n_calls = small(MVAE, **SHORT).fit(data()), os.fsync, [0]

    def fill(descriptor):
        n_calls[0] += 1
        if n_calls[0] in (5, 6, 9):  # where it succeeds, a file takes two
            raise OSError(28, "No space left on device")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    est = small(MVAE, **SHORT, checkpoint=path)
    message = "could not be written after epoch {}: .*No space left on device. Training goes on"
    with pytest.warns(RuntimeWarning) as warned:
        est.fit(data())
    said = [str(warning.message) for warning in warned if warning.category is RuntimeWarning]
    assert_same_fit(est, whole)
    assert [re.search(r"after epoch (\d)", text)[1] for text in said] == ["2", "5"]
    assert re.search(message.format(2), said[0])
    # the write of the end failed too: what is there is whole, and of the epoch before
    assert skpoe.load(path).n_iter_ == 4
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    monkeypatch.undo()
    assert_same_fit(est.set_params(resume=True).fit(data()), whole)


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "close"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_interrupt_in_a_write_leaves_the_old_file_or_the_new(call, number, path, monkeypatch):
    whole, real, n_calls = uncut(), getattr(os, call), []
    begin = Checkpoint.begin

    def count_from_here(self, state):
        begin(self, state)
        n_calls.append(0)

    def interrupt(*args, **kwargs):
        if n_calls:
            n_calls[0] += 1
            if n_calls[0] == number:
                raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "begin", count_from_here)
        patch.setattr(os, call, interrupt)
        est = small(MVAE, **SHORT, checkpoint=path)
        with pytest.warns(UserWarning, match="interrupted after . epochs; it can be used"):
            est.fit(data())
    assert np.isfinite(est.score(data()))
    assert skpoe.load(path).n_iter_ in (est.n_iter_ - 1, est.n_iter_)
    assert_same_fit(est.set_params(resume=True).fit(data()), whole)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_interrupt_in_a_rehearsal_leaves_the_start(path, monkeypatch):
    X, make = data(), {**SHORT, **STARTED}
    whole = small(PoEVAE, **make).fit(X)
    forward, n_calls = ELBO.__bases__[0].__call__, [0]

    def interrupt(self, *args, **kwargs):
        n_calls[0] += 1
        if n_calls[0] == 3:
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(ELBO.__bases__[0], "__call__", interrupt)
    est = small(PoEVAE, **make, checkpoint=path)
    with pytest.warns(UserWarning, match="interrupted after 0 epochs"):
        est.fit(X)
    monkeypatch.undo()
    start = small(PoEVAE, **{**make, "max_iter": 0}).fit(X)
    assert_same_model(est, start)
    assert_same_fit(est.set_params(resume=True).fit(X), whole)


def leftovers(path):
    """What writers of a path leave behind, that are killed: names as the next one has them."""
    names = []
    replace = os.replace

    def note(source, target):
        names.append(Path(source))
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", note)
        for _ in range(2):
            write(path, {}, {})
    return names


def test_what_dead_writers_left_is_removed_and_what_others_write_stays(tmp_path):
    dead, living = leftovers(tmp_path / "a")
    (foreign,) = leftovers(tmp_path / "b")[:1]
    for file in (dead, living, foreign):
        file.write_bytes(b"half a file")
    strange = tmp_path / f"{dead.name}.txt"
    strange.touch()
    with living.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write(tmp_path / "a", {}, {})
        assert {entry.name for entry in tmp_path.iterdir()} == {
            "a",
            "b",
            living.name,
            foreign.name,
            strange.name,
        }
    write(tmp_path / "a", {}, {})
    assert not living.exists()


def test_writers_of_one_path_do_not_harm_each_other(path):
    """Two write, one reads: each time a whole file, of one of them, and nothing is left."""
    tensors = {name: {"x": torch.full((20_000,), float(name))} for name in "12"}
    write(path, {"of": "1"}, tensors["1"])
    wrong = []

    def keep_writing(name):
        try:
            for _ in range(60):
                write(path, {"of": name}, tensors[name])
        except Exception as error:
            wrong.append(error)

    writers = [threading.Thread(target=keep_writing, args=name) for name in "12"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        document, read_tensors = read(path)
        assert bool((read_tensors["x"] == float(document["of"])).all())
        seen.add(document["of"])
    assert not wrong
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("cls", KINDS)
def test_parameters_are_checked(cls):
    for name, value in (("checkpoint", 3), ("checkpoint_every", 0), ("resume", "yes")):
        with pytest.raises(ValueError, match=f"The '{name}' parameter of {cls.__name__} must be"):
            small(cls, **SHORT, **{name: value}).fit(data())


def test_factor_analysis_has_nothing_to_resume():
    assert "checkpoint" not in MultimodalFactorAnalysis().get_params()


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_killed_fits_resume_to_the_same_bits():
    script = Path(__file__).parent / "kill_fit.py"
    command = [sys.executable, os.fspath(script), "--kills", "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0  failures" in done.stdout


def test_large_rows_from_elsewhere_come_in_another_order(tmp_path, monkeypatch):
    """So a fit of rows in memory does not go on from a file, unless its rows are few."""
    paths = [tmp_path / f"{m}.npy" for m in range(2)]
    for path, x in zip(paths, data(), strict=True):
        np.save(path, x)
    stored = [np.load(path, mmap_mode="r") for path in paths]
    est = small(MVAE, **SHORT, checkpoint=tmp_path / "fit.skpoe", resume=True)
    cut(2, est, data())
    monkeypatch.setattr(reading, "_HELD_FROM_ELSEWHERE", 0)
    with pytest.raises(ValueError, match="what differs is the files that X is in"):
        est.fit(stored)
    monkeypatch.undo()
    assert_same_model(est.fit(stored), uncut())
