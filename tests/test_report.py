"""The report: what it says, that it is whole, and that it needs nothing else."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from small import FAST, small

from skpoe import (
    MIWAE,
    MVAE,
    MMVAEPlus,
    MultimodalFactorAnalysis,
    PerModality,
    PoEVAE,
    SphericalVAE,
)
from skpoe.datasets import make_linear_gaussian

# elements that have no end
VOID = {"meta", "img", "source", "br", "hr", "link", "input"}
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Checks that elements end where they should, and collects what a page has."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.tags = [], [], [], [], []
        self.cells, self.text = [[]], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        assert len(named) == len(attrs)
        self.tags.append(tag)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named["href"]] if "href" in named else []
        self.sources += [named[a] for a in ("src", "srcset") if a in named]
        if tag == "img":
            assert named["alt"]
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1][-1] += data


def table():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 1))
    X = {EVIL: z + rng.normal(size=(60, 3)), "protein": z + rng.normal(size=(60, 2))}
    X["protein"][:20] = np.nan
    return X


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    est = small(MVAE, **FAST, beta=0.5).fit(table())
    y = pd.Series(np.arange(60) % 2, name=EVIL)
    mine, _ = plt.subplots()
    settings = dict(mpl.rcParams)
    assert est.report(table(), path, y=y, max_rows=40) == path
    assert plt.gcf() is mine
    assert dict(mpl.rcParams) == settings
    plt.close(mine)
    return est, y, path, path.read_text()


def test_page_is_whole_and_needs_nothing_else(written):
    text = written[3]
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert page.links == [f"#{name}" for name in page.ids]
    assert len(set(page.ids)) == len(page.ids) >= 7
    without_pictures = re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    assert "http" not in without_pictures
    assert "url(" not in without_pictures
    assert "prefers-color-scheme: dark" in without_pictures
    assert EVIL not in text  # names are text
    assert EVIL in page.text


def test_page_says_what_is_so(written):
    est, _, _, text = written
    page = Page(text)
    cells = [tuple(row) for row in page.cells]
    assert ("beta", "0.5", "") in cells
    assert ("batch_size", "'auto'", str(est.auto_["batch_size"])) in cells
    marked = re.findall(r'<tr class="mark"><td>(\w+)', text)
    given = {
        name for name, value in est.get_params().items() if value != MVAE().get_params()[name]
    }
    assert set(marked) == given
    assert (EVIL, "gaussian", "3", "60", "0.0%") in cells
    assert ("protein", "gaussian", "2", "40", "33.3%") in cells
    n_weights = sum(p.numel() for p in est.model_.parameters())
    assert ("weights", f"{n_weights:,}") in cells
    assert "a random sample of 40 of the 60 rows given as X" in page.text
    assert "this flatters it" in page.text


def test_errors_are_relative_to_the_column_mean(tmp_path):
    data = make_linear_gaussian(n_samples=400, random_state=0)
    X = {name: np.asarray(x) for name, x in data.data.items()}
    train, test = (
        {name: x[part] for name, x in X.items()} for part in (slice(200), slice(200, None))
    )
    est = MultimodalFactorAnalysis(latent_dim=2, random_state=0).fit(train)
    page = Page(est.report(train, tmp_path / "x.html", held_out=test).read_text())
    assert "the 200 rows given as held_out" in page.text
    assert "flatters" not in page.text
    for name in X:
        filled = est.predict_missing({**test, name: np.full_like(test[name], np.nan)})[name]
        base = ((train[name].mean(0) - test[name]) ** 2).mean(0)
        wanted = np.median(((filled - test[name]) ** 2).mean(0) / base)
        # of several tables with the name in front, that of predictions has the cells second
        row = next(r for r in page.cells if r and r[0] == name and r[1] == f"{test[name].size:,}")
        assert float(row[2]) == pytest.approx(wanted, rel=0.01)
    mean, error = re.search(r"(-?[\d.]+) ± ([\d.]+)", page.text).groups()
    scores = est.score_samples(test)
    assert float(mean) == pytest.approx(scores.mean(), abs=0.06)
    assert float(error) == pytest.approx(scores.std(ddof=1) / 200**0.5, abs=0.06)


def test_the_same_call_writes_the_same_file_whole_or_not_at_all(written, tmp_path):
    est, y, _, text = written
    again = tmp_path / "report.html"
    again.write_text("old")
    with pytest.raises(ValueError, match="y has 2 values, but X has 60 rows."):
        est.report(table(), again, y=[1, 2])
    with pytest.raises(ValueError, match="max_rows must be an integer of at least 2; got 1."):
        est.report(table(), again, max_rows=1)
    assert again.read_text() == "old"
    est.report(table(), again, y=y, max_rows=40)
    assert again.read_text() == text
    assert os.listdir(tmp_path) == ["report.html"]
    with pytest.raises(OSError, match="nowhere"):
        est.report(table(), tmp_path / "nowhere" / "report.html", max_rows=4)
    with pytest.raises(NotFittedError):
        MVAE().report(table(), again)


@pytest.mark.parametrize("cls", [PoEVAE, SphericalVAE, MMVAEPlus])
def test_every_kind_of_estimator_has_a_report(cls, tmp_path):
    X = table()
    est = small(cls, **FAST).fit(X)
    Page(est.report(X, tmp_path / "x.html", max_rows=10).read_text())


def test_a_model_that_was_not_trained_has_a_report(tmp_path):
    X = table()
    est = small(PoEVAE, **{**FAST, "max_iter": 0}).fit(X)
    page = Page(est.report(X, tmp_path / "x.html", max_rows=10).read_text())
    assert "No epoch was trained: the model is as it started." in page.text


def test_columns_of_every_kind_have_a_report(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["age", EVIL])
    frame["flag"] = pd.array(frame["age"] > 0, dtype="boolean")
    frame["kind"] = pd.Categorical(np.where(frame["age"] > 0, "x", "y"))
    est = small(MIWAE, **FAST, likelihood="auto").fit(frame)
    page = Page(est.report(frame, tmp_path / "x.html", max_rows=30).read_text())
    assert "30% of the shown entries were hidden at random" in page.text
    header = next(row for row in page.cells if row and row[0] == "hidden")
    assert {"accuracy", "most frequent"} <= set(header)


def test_notebook_view_shows_modalities_and_core():
    est = small(MVAE, **FAST)
    assert "ProductOfExperts" not in est._repr_html_()
    est.fit(table())
    for view in (est._repr_html_(), make_pipeline(PerModality("passthrough"), est)._repr_html_()):
        assert "gaussian, 3" in view
        assert "gaussian, 2" in view
        assert "ProductOfExperts" in view
        assert "DiagonalGaussian" in view
        assert EVIL not in view
    many = small(MVAE, **FAST, modalities=[1] * 14).fit(
        np.random.default_rng(0).normal(size=(9, 14))
    )
    assert "3 more" in many._repr_html_()


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser")
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(written, tmp_path, width, scheme):
    """SHOTS=folder keeps the pictures, to be looked at."""
    picture = os.path.join(os.environ.get("SHOTS", tmp_path), f"report-{width}-{scheme}.png")
    flags = [
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "hide-scrollbars",
        f"user-data-dir={tmp_path / 'profile'}",
        f"screenshot={picture}",
        f"window-size={width},3000",
        *(["force-dark-mode"] if scheme == "dark" else []),
    ]
    subprocess.run(
        [BROWSER, *(f"--{flag}" for flag in flags), written[2].as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = plt.imread(picture)[..., :3]
    assert pixels.shape[:2] == (3000, width)
    assert (pixels[0, 0].mean() > 0.5) == (scheme == "light")  # paper
    assert pixels.std() > 0.05  # and ink
