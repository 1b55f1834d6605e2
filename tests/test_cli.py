"""The command line says what Python says: the same numbers, in files, and errors as exit codes."""

import inspect
import json
import re
import runpy
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpydoc.docscrape import ClassDoc

import skpoe
from skpoe import Modalities, MultimodalFactorAnalysis, all_estimators
from skpoe.cli import console, main
from skpoe.cli.console import Console
from skpoe.cli.parameters import option_of
from skpoe.estimators import predicting
from skpoe.evaluation import evaluate_imputation


def cells():
    """Two tables of the same cells, each of which lacks some rows and some entries."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 2))
    labels = pd.Index([f"{i:03d}" for i in range(60)], name="cell")
    rna, adt = (
        pd.DataFrame(
            z @ rng.normal(size=(2, width)) + 0.3 * rng.normal(size=(60, width)),
            index=labels,
            columns=[f"{letter}{i}" for i in range(width)],
        )
        for letter, width in (("g", 4), ("p", 3))
    )
    rna.iloc[3, 1] = adt.iloc[50, 0] = np.nan
    return rna.iloc[:45], adt.iloc[20:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of the cells in every format, and a model of them."""
    folder = tmp_path_factory.mktemp("cells")
    rna, adt = cells()
    rna.to_csv(folder / "rna.csv")
    adt.to_csv(folder / "adt.csv.gz")
    for name, frame in (("rna", rna), ("adt", adt)):
        np.savez(folder / f"{name}.npz", X=frame.to_numpy(), index=frame.index.to_numpy(str))
    rna.join(adt, how="outer").to_csv(folder / "all.csv")
    words = ["--latent-dim", "2", *both(folder), "--out", str(folder / "model.skpoe")]
    assert main(["fit", "MultimodalFactorAnalysis", *words]) == 0
    return folder


def both(folder, suffixes=(".csv", ".csv.gz")):
    files = (f"{n}={folder / n}{s}" for n, s in zip(("rna", "adt"), suffixes, strict=True))
    return [word for file in files for word in ("--modality", file)]


@pytest.fixture(scope="module")
def X():
    rna, adt = cells()
    labels = rna.index.union(adt.index, sort=False)
    return {"rna": rna.reindex(labels), "adt": adt.reindex(labels)}


@pytest.fixture(scope="module")
def est(X):
    return MultimodalFactorAnalysis(latent_dim=2).fit(X)


@pytest.fixture
def tell(folder, capsys):
    """Run a command on the model and its data, and give its document."""

    def run(command, *words, data=None):
        data = both(folder) if data is None else data
        assert main([command, str(folder / "model.skpoe"), *words, *data, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def frame(path):
    table = pd.read_csv(path, dtype={"cell": str})
    return table.set_index(table.columns[0])


def test_imputed_files_hold_what_python_imputes(tell, est, X, tmp_path):
    out = tmp_path / "new" / "filled"
    told = tell("impute", "--out", str(out), "--interval", "0.8", "--draws", "2")
    names = ["", ".lower", ".upper", ".draw1", ".draw2"]
    files = [
        out / f"{m}{name}{s}" for name in names for m, s in (("rna", ".csv"), ("adt", ".csv.gz"))
    ]
    assert told == {"files": [str(file) for file in files]}
    assert set(out.iterdir()) == set(files)
    expected = [est.predict_missing(X), *est.predict_interval(X, 0.8), *est.impute(X, 2)]
    for file, table in zip(files, [t for x in expected for t in x.values()], strict=True):
        pd.testing.assert_frame_equal(frame(file), table, check_index_type=False, rtol=1e-12)


def test_latents_and_scores_go_by_label(tell, est, X, tmp_path, capsys, folder):
    Z = est.transform(X)
    told = tell("transform")
    assert told["index"] == X["rna"].index.tolist()
    np.testing.assert_allclose(told["data"], Z, rtol=1e-12)
    for suffix in (".csv", ".npz"):
        out = tmp_path / f"latents{suffix}"
        assert tell("transform", "--out", str(out)) == {
            "out": str(out),
            "n_samples": 60,
            "latent_dim": 2,
        }
    np.testing.assert_allclose(frame(tmp_path / "latents.csv"), Z, rtol=1e-12)
    with np.load(tmp_path / "latents.npz") as file:
        np.testing.assert_allclose(file["X"], Z, rtol=1e-12)
        assert file["index"].tolist() == X["rna"].index.tolist()
    np.testing.assert_allclose(
        tell("transform", "--given", "adt")["data"], est.transform(X, given="adt"), rtol=1e-12
    )
    told = tell("score", "--out", str(tmp_path / "rows.csv"))
    assert told["log_likelihood"] == pytest.approx(est.score(X))
    rows = frame(tmp_path / "rows.csv")
    np.testing.assert_allclose(rows["log_likelihood"], est.score_samples(X), rtol=1e-12)


def test_formats_agree(tell, folder, X, est, tmp_path):
    """Arrays have no names of columns, and Parquet has an index; the numbers are the same."""
    data = both(folder, (".npz", ".csv.gz"))
    tell("impute", "--out", str(tmp_path), data=data)
    with np.load(tmp_path / "rna.npz") as file:
        np.testing.assert_allclose(file["X"], est.predict_missing(X)["rna"], rtol=1e-12)
        assert file["index"].tolist() == X["rna"].index.tolist()
    pytest.importorskip("pyarrow")
    for name, table in zip(("rna", "adt"), cells(), strict=True):
        table.to_parquet(folder / f"{name}.parquet")
    tell("impute", "--out", str(tmp_path), data=both(folder, (".parquet", ".parquet")))
    for name, expected in est.predict_missing(X).items():
        filled = pd.read_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(filled, expected, check_index_type=False, rtol=1e-12)


def test_a_modality_without_a_file_is_missing(tell, folder, est, X, tmp_path):
    tell("impute", "--out", str(tmp_path), data=both(folder)[:2])
    rna = X["rna"].loc[cells()[0].index]
    expected = est.predict_missing({"rna": rna, "adt": None})["adt"]
    pd.testing.assert_frame_equal(
        frame(tmp_path / "adt.csv"), expected, check_index_type=False, rtol=1e-12
    )


def test_columns_go_by_name(tell, folder, est, X, tmp_path):
    """In another order, and beside others, they are found."""
    rna, _ = cells()
    rna[["g3", "g1", "g0", "g2"]].assign(batch="A").to_csv(tmp_path / "rna.csv")
    told = tell("transform", data=["--modality", f"rna={tmp_path / 'rna.csv'}"])
    expected = est.transform({"rna": rna, "adt": None})
    np.testing.assert_allclose(told["data"], expected, rtol=1e-12)


@pytest.mark.parametrize("hide", ["modalities", "entries"])
def test_evaluation_is_that_of_python(hide, tell, est, X, tmp_path):
    out = tmp_path / "columns.csv"
    told = tell("evaluate", "--hide", hide, "--coverage", "0.8", "--out", str(out))
    scores = evaluate_imputation(est, X, hide=hide, coverage=0.8, random_state=0)
    means = scores.groupby(level="modality")["relative_error"].mean()
    assert {n: row["relative_error"] for n, row in told["modalities"].items()} == pytest.approx(
        means.to_dict()
    )
    assert len(told["columns"]) == len(pd.read_csv(out)) == 7
    assert told["columns"][0]["accuracy"] is None  # no NaN in JSON


def test_samples(tell, folder, est, tmp_path, capsys):
    for name in ("one", "two"):
        words = ["--out", str(tmp_path / name), "--random-state", "3", "--json"]
        assert main(["sample", str(folder / "model.skpoe"), "5", *words]) == 0
    one, two = (frame(tmp_path / name / "adt.csv") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    drawn = est.set_params(random_state=3).sample(5)["adt"]
    np.testing.assert_allclose(one, drawn, rtol=1e-12)
    assert list(one) == list(drawn)


def test_modalities_may_be_columns_of_one_file(folder, tmp_path, capsys, X):
    model, data = str(tmp_path / "m.skpoe"), ["--data", str(folder / "all.csv")]
    words = ["--modality", "rna=g*", "--modality", "adt=p0,p2", "--latent-dim", "2"]
    assert main(["fit", "MultimodalFactorAnalysis", *words, *data, "--out", model]) == 0
    table = pd.concat([X["rna"], X["adt"][["p0", "p2"]]], axis=1).sort_index()
    assert main(["impute", model, *data, "--out", str(tmp_path / "out")]) == 0
    cuts = {"rna": ["g0", "g1", "g2", "g3"], "adt": ["p0", "p2"]}
    est = MultimodalFactorAnalysis(latent_dim=2, modalities=cuts).fit(table)
    pd.testing.assert_frame_equal(
        frame(tmp_path / "out" / "all.csv"),
        est.predict_missing(table),
        check_index_type=False,
        rtol=1e-9,
    )
    capsys.readouterr()
    assert main(["impute", model, *both(folder), "--out", str(tmp_path / "out")]) == 1
    assert "fitted on one table: give --data FILE" in capsys.readouterr().err


def test_images_in_one_file_of_arrays(tmp_path, capsys):
    rng = np.random.default_rng(0)
    arrays = {"image": rng.normal(size=(12, 1, 2, 2)), "a": rng.normal(size=(12, 2))}
    arrays["a"][:3] = np.nan
    np.savez(tmp_path / "x.npz", **arrays)
    data, model = ["--data", str(tmp_path / "x.npz")], str(tmp_path / "m.skpoe")
    assert main(["fit", "MultimodalFactorAnalysis", *data, "--out", model]) == 0
    assert main(["impute", model, *data, "--out", str(tmp_path / "out")]) == 0
    filled = MultimodalFactorAnalysis().fit(arrays).predict_missing(arrays)
    for name, array in filled.items():
        with np.load(tmp_path / "out" / f"{name}.npz") as file:
            assert file.files == ["X"]
            np.testing.assert_allclose(file["X"], array)
    assert main(["sample", model, "2", "--out", str(tmp_path / "sample")]) == 1
    assert "has more than two axes, which only .npz files hold" in capsys.readouterr().err
    assert not (tmp_path / "sample").exists()


def test_kinds_of_columns_come_back(tmp_path, capsys):
    """Strings, flags and whole numbers; also from a file whose columns are empty."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=80)
    table = pd.DataFrame(
        {
            "age": 50 + 10 * z,
            "town": np.where(z > 0, "Oslo", "Rome"),
            "smokes": z > 0.5,
            "visits": rng.poisson(np.exp(z)),
        },
        index=[f"p{i}" for i in range(80)],
    )
    table.iloc[:60].to_csv(tmp_path / "patients.csv")
    rna = pd.DataFrame(z[:, None] * [1.0, 2, 3], index=table.index, columns=list("abc"))
    rna.to_csv(tmp_path / "rna.csv")
    clinic = ["--modality", f"clinic={tmp_path / 'patients.csv'}"]
    rna = ["--modality", f"rna={tmp_path / 'rna.csv'}"]
    model, out = str(tmp_path / "m.skpoe"), tmp_path / "out"
    fit = ["fit", "MVAE", "--likelihood", "auto", "--max-iter", "5", "--hidden-layer-sizes", "8"]
    assert main([*fit, *clinic, *rna, "--out", model, "--random-state", "0", "--json"]) == 0
    kinds = json.loads(capsys.readouterr().out)["auto"]["likelihood"][0]
    assert kinds == {
        "age": "student_t",
        "town": "categorical",
        "smokes": "bernoulli",
        "visits": "negative_binomial",
    }
    assert main(["impute", model, *clinic, *rna, "--out", str(out)]) == 0
    filled = pd.read_csv(out / "clinic.csv", index_col=0)
    pd.testing.assert_frame_equal(filled.iloc[:60], table.iloc[:60].astype({"visits": float}))
    assert set(filled["town"]) == {"Oslo", "Rome"}
    assert filled["smokes"].dtype == bool
    assert (filled["visits"].iloc[60:] % 1 != 0).all()
    empty = table.iloc[:3].assign(town=None, smokes=None)
    empty.to_csv(tmp_path / "patients.csv")
    assert main(["impute", model, *clinic, "--out", str(out), "--force"]) == 0
    filled = pd.read_csv(out / "clinic.csv", index_col=0)
    assert set(filled["town"]) <= {"Oslo", "Rome"}
    assert filled["smokes"].dtype == bool


def test_every_parameter_is_an_option_with_its_text(capsys):
    for name, cls in all_estimators():
        with pytest.raises(SystemExit, match="0"):
            main(["fit", name, "--help"])
        text = "".join(capsys.readouterr().out.split())
        for parameter in ClassDoc(cls)["Parameters"]:
            absent = parameter.name in ("modalities", "joint_encoder")
            assert (f"{option_of(parameter.name)}VALUE" in text) != absent
            words = "".join("".join(parameter.desc).replace("``", "").split())
            assert absent or words in text, (name, parameter.name)


VALUES = [
    ("latent_dim", "7", 7),
    ("latent_dim", "auto", "auto"),
    ("hidden_layer_sizes", "64,32", [64, 32]),
    ("hidden_layer_sizes", "64", [64]),
    ("hidden_layer_sizes", "[]", []),
    ("beta", "1e-2", 0.01),
    ("beta", "2", 2),
    ("early_stopping", "false", False),
    ("early_stopping", "auto", "auto"),
    ("n_threads", "none", None),
    ("random_state", "none", None),
    ("random_state", "3", 3),
    ("likelihood", "bernoulli", "bernoulli"),
    ("likelihood", "gaussian,bernoulli", ["gaussian", "bernoulli"]),
    ("likelihood", '{"rna": "poisson"}', {"rna": "poisson"}),
    ("likelihood_weights", "1,0.5", [1, 0.5]),
    ("verbose", "true", True),
    ("device", "0", "0"),
    ("subsets", "2", 2),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_values_are_read_as_the_parameter_takes_them(name, text, value):
    from skpoe.cli.parameters import _reader

    read = _reader(skpoe.ModularVAE._parameter_constraints[name])(text)
    assert read == value
    assert type(read) is type(value)


def test_defaults_can_be_said():
    from skpoe.cli.parameters import _reader

    for _, cls in all_estimators():
        for name, parameter in inspect.signature(cls).parameters.items():
            default = parameter.default
            text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
            read = _reader(cls._parameter_constraints[name])(text)
            assert (tuple(read) if isinstance(default, tuple) else read) == default, (cls, name)


WRONG_WORDS = {
    "fit PoEVEA": "'PoEVEA' is none of CRMVAE, DMVAE, ",
    "ft": "'ft' is none of fit, transform, ",
    "fit MVAE --out x --modality a=b.csv --latent-dims 3": "Did you mean --latent-dim",
    "fit MVAE --out x --modality a=b.csv --latent-dim 0": "The 'latent_dim' parameter of MVAE",
    "fit MVAE --out x --modality a=b.csv --latent-dim two": "Got 'two' instead",
    "fit MVAE --out x --modality a=b.csv --likelihood {": "'{' is no JSON",
    "fit MVAE --out x": "Give data: --modality NAME=FILE",
    "fit MVAE --out x --modality a=a.csv --layer a=raw": "--layer is for MuData",
    "fit MVAE --out x --modality rna.csv": "write NAME=..., for example rna=rna.csv",
    "fit MVAE --out x --modality a=1.csv --modality a=2.csv": "--modality a=... is given twice",
    "impute": "the following arguments are required: MODEL, --out",
    "impute m --out x --modality a=a.csv --interval 90": "'90' does not lie between 0 and 1",
    "sample m 0 --out x": "'0' is no positive integer",
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_words_that_there_are_not_end_with_2(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    said = capsys.readouterr()
    assert WRONG_WORDS[words] in said.err
    assert said.err.splitlines()[-1].startswith("skpoe")
    assert not said.out


def test_near_matches(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fit", "poevae"])
    assert "Did you mean PoEVAE" in capsys.readouterr().err


FAILING = {
    "fit MVAE --out x.skpoe --modality a=none.csv": "none.csv: No such file or directory",
    "fit MVAE --out old.skpoe --modality a=none.csv": "old.skpoe is there already; --force",
    "fit MVAE --out no/x.skpoe --modality a=none.csv": "no/x.skpoe: there is no folder no.",
    "fit MVAE --out x.skpoe --modality a=bad.xlsx": "bad.xlsx: tables are files that end in",
    "fit MVAE --out x.skpoe --data all.csv --modality a=q*": "no column is called 'q*'; there are",
    "fit MVAE --out x.skpoe --modality a=inf.csv": "Modality 'a': Input contains infinity",
    "impute old.skpoe --out f --modality a=all.csv": "old.skpoe",
    "score model.skpoe --modality atac=all.csv": "has no modality ['atac']; it has ['rna', 'adt']",
    "score model.skpoe --modality rna=all.csv --modality adt=rna.csv": "lacks columns that the mo",
    "score model.skpoe --data all.csv": "fitted on several modalities: give --modality rna=FILE",
    "transform model.skpoe --modality rna=rna.csv --out z.txt": "z.txt: tables are files that end",
    "sample model.skpoe 3 --out old.skpoe": "old.skpoe is a file, and a folder is to be there.",
}


@pytest.mark.parametrize("words", FAILING)
def test_what_users_can_mend_is_one_line_and_1(words, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "old.skpoe").write_text("old")
    (folder / "inf.csv").write_text("id,x\na,1\nb,inf\n")
    before = sorted(folder.iterdir())
    assert main(words.split()) == 1
    said = capsys.readouterr()
    assert not said.out
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("skpoe: error: ")
    assert FAILING[words] in said.err
    assert sorted(folder.iterdir()) == before
    assert (folder / "old.skpoe").read_text() == "old"
    with pytest.raises((OSError, ValueError)):
        main([*words.split(), "--debug"])


def test_old_files_are_replaced_by_force_alone(folder, tmp_path, capsys):
    words = ["impute", str(folder / "model.skpoe"), *both(folder), "--out", str(tmp_path)]
    (tmp_path / "adt.csv.gz").write_text("old")
    assert main(words) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["adt.csv.gz"]
    assert main([*words, "--force"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adt.csv.gz", "rna.csv"]
    assert len(frame(tmp_path / "adt.csv.gz")) == 60


def test_training_goes_on_where_it_stopped(folder, tmp_path, capsys):
    first, second = str(tmp_path / "1.skpoe"), str(tmp_path / "2.skpoe")
    words = ["fit", "MVAE", *both(folder), "--max-iter", "2", "--hidden_layer_sizes=8", "--json"]
    words += ["--learning-rate", "constant", "--random-state", "0"]
    assert main([*words, "--out", first]) == 0
    assert main([*words, "--out", second, "--start-from", first]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["n_iter"] for one in told] == [2, 4]
    assert told[1]["modalities"] == {"rna": 4, "adt": 3}
    assert (
        main(["fit", "MoPoE", *both(folder), "--start-from", first, "--out", str(tmp_path / "3")])
        == 1
    )
    assert "is a model of MVAE" in capsys.readouterr().err
    another = [*words, "--latent-dim", "5", "--out", str(tmp_path / "4"), "--start-from", first]
    assert main(another) == 1
    assert "made with latent_dim='auto', and now latent_dim=5" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../rna", "a/b", "/tmp/rna", "a\\b"])
def test_names_of_modalities_lead_nowhere(name, tmp_path, capsys):
    """A model of a stranger must not choose where files are written."""
    X = {name: np.eye(4, 2), "b": np.eye(4)}
    model = MultimodalFactorAnalysis(latent_dim=1).fit(X).save(tmp_path / "m.skpoe")
    (tmp_path / "b.csv").write_text("id,0,1,2,3\nr,1,0,0,0\n")
    words = ["--modality", f"b={tmp_path / 'b.csv'}", "--out", str(tmp_path / "in" / "out")]
    for command in (["sample", str(model), "2", *words[2:]], ["impute", str(model), *words]):
        assert main(command) == 1
        assert f"The modality {name!r} cannot name a file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "m.skpoe"]


def test_two_results_do_not_share_a_file(tmp_path, capsys):
    X = {name: pd.DataFrame(np.eye(4, 2), list("abcd")) for name in ("a", "a.lower")}
    model = MultimodalFactorAnalysis(latent_dim=1).fit(X).save(tmp_path / "m.skpoe")
    X["a"].to_csv(tmp_path / "a.csv")
    words = ["--modality", f"a={tmp_path / 'a.csv'}", "--out", str(tmp_path / "out")]
    assert main(["impute", str(model), *words, "--interval", "0.9"]) == 1
    assert "Several results would be written to" in capsys.readouterr().err


class Terminal:
    """A stream that a person looks at."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_shown_to_people_on_stderr(quiet, folder, tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    words = ["fit", "MVAE", *both(folder), "--max-iter", "3", "--hidden-layer-sizes", "8"]
    words += ["--out", str(tmp_path / "m"), "--verbose", "1", *(["--quiet"] if quiet else [])]
    assert main(words) == 0
    assert ("epoch 3 of 3, 0 s left" in terminal.text) != quiet
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "MVAE of 2 modalities (rna: 4, adt: 3), 4 latent variables, 3 iterations",
        f"Wrote {tmp_path / 'm'}",
    ]


@pytest.mark.parametrize("quiet", [False, True])
def test_long_predictions_have_a_bar_of_rows(quiet, folder, capsys, monkeypatch):
    terminal, words = Terminal(), ["score", str(folder / "model.skpoe"), *both(folder)]
    assert main(words) == 0
    score = capsys.readouterr().out
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(predicting, "_CHUNK", 40)  # a few rows at a time
    assert main([*words, *(["--quiet"] if quiet else [])]) == 0
    assert "Scoring" in terminal.text or quiet
    assert "row" not in terminal.text  # it takes no second
    monkeypatch.setattr(console, "_SECONDS", 0.0)
    assert main([*words, *(["--quiet"] if quiet else [])]) == 0
    bars = [line for line in terminal.text.split("\r") if "row" in line]
    assert (len(bars) > 2) != quiet
    if bars:
        done = [int(re.search(r"row (\d+) of", bar)[1]) for bar in bars]
        assert done == sorted(set(done))
        assert re.search(rf"row {done[-1]} of {done[-1]}, 0 s left", bars[-1])
    assert capsys.readouterr().out == score * 2


def test_nobody_looks_at_a_pipe():
    assert not Console(quiet=False).shows


@pytest.mark.filterwarnings("default::UserWarning")
def test_an_interrupted_fit_leaves_a_model_and_130(folder, tmp_path, capsys, monkeypatch):
    told, out = [], tmp_path / "m.skpoe"

    def interrupt(record, n_epochs):
        told.append(record)
        if len(told) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("skpoe.training._print", interrupt)
    words = ["fit", "MVAE", *both(folder), "--max-iter", "9", "--verbose", "1", "--json"]
    assert main([*words, "--out", str(out)]) == 130
    said = capsys.readouterr()
    assert said.err.startswith("skpoe: warning: Training of MVAE was interrupted after 3 epochs")
    document = json.loads(said.out)
    assert document["n_iter"] == 3
    assert document["interrupted"]
    assert skpoe.load(out).n_iter_ == 3


def test_an_interrupt_elsewhere_leaves_nothing_and_130(folder, tmp_path, capsys, monkeypatch):
    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("skpoe.cli.fit.read_data", interrupt)
    assert main(["fit", "MVAE", *both(folder), "--out", str(tmp_path / "m")]) == 130
    assert capsys.readouterr().err == "skpoe: interrupted\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("default::UserWarning")
def test_warnings_are_lines_on_stderr(folder, tmp_path, capsys):
    (tmp_path / "b.csv").write_text("id,x\nnew1,1\nnew2,2\n")
    words = ["--modality", f"rna={folder / 'rna.csv'}", "--modality", f"b={tmp_path / 'b.csv'}"]
    fit = ["fit", "MultimodalFactorAnalysis", *words, "--out", str(tmp_path / "m"), "--json"]
    assert main(fit) == 0
    said = capsys.readouterr()
    assert said.err.startswith("skpoe: warning: No two modalities have a row in common")
    assert json.loads(said.out)["modalities"] == {"rna": 4, "b": 1}


def test_the_module_gives_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["skpoe", "score", "none.skpoe", "--modality", "a=none.csv"])
    with pytest.raises(SystemExit, match="1"):
        runpy.run_module("skpoe", run_name="__main__")
    assert capsys.readouterr().err == "skpoe: error: none.skpoe: No such file or directory\n"


def test_a_pipe_that_closes_does_no_harm(folder):
    words = [sys.executable, "-m", "skpoe", "transform", str(folder / "model.skpoe")]
    with subprocess.Popen(
        [*words, *both(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_mudata_comes_back_with_layers(tmp_path, capsys):
    mudata = pytest.importorskip("mudata")
    anndata = pytest.importorskip("anndata")
    with mudata.set_options(pull_on_update=False):
        parts = {
            name: anndata.AnnData(table)
            for name, table in zip(("rna", "adt"), cells(), strict=True)
        }
        mdata = mudata.MuData(parts)
        mdata.write(tmp_path / "cells.h5mu")
        data, model = ["--data", str(tmp_path / "cells.h5mu")], str(tmp_path / "m.skpoe")
        fit = ["fit", "MultimodalFactorAnalysis", "--latent-dim", "2", *data, "--out", model]
        assert main(fit) == 0
        assert main(["impute", model, *data, "--out", str(tmp_path / "out"), "--draws", "1"]) == 0
        assert main(["transform", model, *data, "--out", str(tmp_path / "z.h5mu")]) == 0
        X = Modalities.from_mudata(mdata)
        est = MultimodalFactorAnalysis(latent_dim=2).fit(X)
        again = mudata.read_h5mu(tmp_path / "out" / "cells.h5mu")
        latents = mudata.read_h5mu(tmp_path / "z.h5mu").obsm["X_skpoe"]
    np.testing.assert_allclose(latents, est.transform(X), rtol=1e-6)
    filled = est.predict_missing(X)["adt"]
    at = mdata.obs_names.get_indexer(cells()[1].index)
    np.testing.assert_allclose(again["adt"].layers["skpoe_imputed"], filled[at], rtol=1e-6)
    np.testing.assert_allclose(again.obsm["skpoe_imputed_adt"], filled, rtol=1e-6)
    assert set(again["rna"].layers) == {"skpoe_imputed", "skpoe_draw1"}
    np.testing.assert_array_equal(again["adt"].X, cells()[1])
