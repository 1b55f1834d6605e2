"""Displays: what they hold against closed forms, and laws of every display and estimator."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from linear_gaussian import LinearGaussian
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small import FAST, KINDS, small

import skpoe.inspection
from skpoe import MIWAE, MVAE, Modalities, MultimodalFactorAnalysis, SphericalVAE, all_estimators
from skpoe.evaluation import imputation_scores
from skpoe.inspection import (
    CoverageDisplay,
    ImputationDisplay,
    LatentDisplay,
    LossCurveDisplay,
    MissingnessDisplay,
    ModalityContributionDisplay,
    PosteriorDisplay,
)
from skpoe.inspection.canvas import classes_of
from skpoe.inspection.projections import log_map, on_sphere
from skpoe.posteriors import DiagonalGaussian, SubsetPosterior
from skpoe.priors import StandardGaussian
from skpoe.random import RowNoise

pytestmark = pytest.mark.filterwarnings("ignore:In .* rows, fewer than:UserWarning")
rng = np.random.default_rng(0)
TRUTH = {"<rna>": rng.normal(size=(24, 4)), "protein": rng.normal(size=(24, 3))}
HOLED = {name: x.copy() for name, x in TRUTH.items()}
HOLED["protein"][:9] = np.nan
HOLED["<rna>"][9:12] = np.nan
HOLED["<rna>"][12:20, 1] = np.nan

# every display, as it is asked of an estimator, rows with holes, and what was hidden
DISPLAYS = {
    "loss": lambda est, X, truth, ax: LossCurveDisplay.from_estimator(est, ax=ax),
    "missingness": lambda est, X, truth, ax: MissingnessDisplay.from_estimator(est, X, ax=ax),
    "latent": lambda est, X, truth, ax: LatentDisplay.from_estimator(est, X, ax=ax),
    "imputation": lambda est, X, truth, ax: ImputationDisplay.from_estimator(est, X, truth, ax=ax),
    "coverage": lambda est, X, truth, ax: CoverageDisplay.from_estimator(
        est, X, truth, n_draws=20, ax=ax
    ),
    "contribution": lambda est, X, truth, ax: ModalityContributionDisplay.from_estimator(
        est, X, n_draws=8, ax=ax
    ),
    "posterior": lambda est, X, truth, ax: PosteriorDisplay.from_estimator(
        est, X, row=-1, n_draws=50, ax=ax
    ),
}
WORDS = {
    "loss": ("epoch", "loss (nats a row)"),
    "missingness": ("rows", "shown"),
    "coverage": ("nominal probability of the interval", "share of hidden cells inside"),
    "contribution": ("information about z (nats a row)", "modality"),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def new_axes():
    return Figure().add_subplot()


def check_all(est, X, truth, is_rendered=True):
    """Every display draws on the axes that it is given, and moves nothing else."""
    mine, _ = plt.subplots()
    before, settings, backend = plt.get_fignums(), dict(mpl.rcParams), mpl.get_backend()
    for name, display_of in DISPLAYS.items():
        ax = new_axes()
        display = display_of(est, X, truth, ax)
        assert display.ax_ is ax, name
        assert display.figure_ is ax.figure, name
        assert ax.has_data(), name
        labels = ax.get_xlabel(), ax.get_ylabel()
        if name in WORDS and hasattr(est, "history_"):
            assert labels == WORDS[name]
        assert labels[0], name
        again = new_axes()
        assert display.plot(again) is display
        assert display.ax_ is again
        assert len(again.get_children()) == len(ax.get_children()), name
        if is_rendered:
            ax.figure.draw_without_rendering()
    assert plt.get_fignums() == before
    assert plt.gcf() is mine
    assert dict(mpl.rcParams) == settings
    assert mpl.get_backend() == backend


@pytest.mark.parametrize("cls", [cls for _, cls in all_estimators()])
def test_every_display_of_every_estimator(cls):
    quick = {**FAST, "max_iter": 500} if cls is MultimodalFactorAnalysis else FAST
    est = small(cls, **quick).fit(HOLED)
    before = {name: x.copy() for name, x in HOLED.items()}
    check_all(est, HOLED, TRUTH, is_rendered=cls in KINDS)  # which takes longest, of what is alike
    for name, x in HOLED.items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize(("n_spheres", "sphere_dim"), [(2, 1), (1, 2), (1, 3)])
def test_every_display_of_spheres(n_spheres, sphere_dim):
    est = SphericalVAE(
        n_spheres=n_spheres, sphere_dim=sphere_dim, max_iter=1, hidden_layer_sizes=(4,)
    )
    est.fit(HOLED)
    check_all(est, HOLED, TRUTH)
    display = LatentDisplay.from_estimator(est, HOLED, ax=new_axes())
    radius = np.linalg.norm(display.embedding, axis=1)
    assert (radius <= display.projection.boundary * (1 + 1e-6)).all()
    if sphere_dim == 1:  # the mean inside the circle has the direction of the mean on it
        unit = display.embedding / radius[:, None]
        np.testing.assert_allclose(unit, est.transform(HOLED)[:, :2], atol=1e-6)


def test_every_display_of_one_table_and_of_columns_of_every_kind():
    frame = pd.DataFrame(np.hstack(list(TRUTH.values())), columns=list("abcdefg"))
    frame["flag"] = pd.array(frame["a"] > 0, dtype="boolean")
    frame["kind"] = pd.Categorical(np.where(frame["b"] > 0, "x", "y"))
    frame["count"] = pd.array(np.arange(24) % 4, dtype="Int64")
    holed = frame.mask(np.random.default_rng(1).uniform(size=frame.shape) < 0.2)
    holed = holed.astype(frame.dtypes)
    est = small(MIWAE, **FAST, likelihood="auto").fit(holed)
    check_all(est, holed, frame)
    display = ImputationDisplay.from_estimator(est, holed, frame, target=("X", "c"), ax=new_axes())
    hidden = holed["c"].isna().to_numpy()
    np.testing.assert_allclose(display.y_true, frame["c"][hidden])
    np.testing.assert_allclose(display.y_pred, est.predict_missing(holed)["c"][hidden])
    with pytest.raises(ValueError, match="No hidden cell of the target has an interval"):
        ImputationDisplay.from_estimator(est, holed, frame, target=("X", "kind"), ax=new_axes())


def test_images_are_cut_out_as_they_came():
    truth = {"photo": rng.uniform(size=(12, 3, 4, 5)), "mask": rng.uniform(size=(12, 2, 3))}
    truth["mask"] = np.hstack([truth["mask"].reshape(12, 6)] * 2)
    holed = {"photo": truth["photo"].copy(), "mask": truth["mask"]}
    holed["photo"][::2, :, 2:] = np.nan
    est = small(MVAE, **FAST).fit(holed)
    check_all(est, holed, truth)
    display = ImputationDisplay.from_estimator(est, holed, truth, n_images=4, ax=new_axes())
    pictures, shown, filled = display.images
    wanted = np.moveaxis(truth["photo"], 1, -1)
    assert pictures.shape == (4, 4, 5, 3)
    assert all((picture == wanted[::2]).all((1, 2, 3)).any() for picture in pictures)
    assert np.isnan(shown[:, 2:]).all()
    assert np.isfinite(filled).all()
    for images in (shown, filled):
        np.testing.assert_array_equal(images[:, :2], pictures[:, :2])
    flat = {"photo": truth["photo"], "mask": None}
    display = ImputationDisplay.from_estimator(
        est, flat, truth, image_shape=(3, 4), n_images=12, ax=new_axes()
    )
    np.testing.assert_array_equal(display.images[0], truth["mask"].reshape(12, 3, 4))
    filled = est.predict_missing(flat)["mask"]
    np.testing.assert_array_equal(display.images[2], filled.reshape(12, 3, 4))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["truth", "shown", "filled in"]
    with pytest.raises(ValueError, match=r"image_shape=\(2, 3\) has 6 numbers, .* has 12"):
        ImputationDisplay.from_estimator(est, flat, truth, image_shape=(2, 3), ax=new_axes())


@pytest.fixture(scope="module")
def world():
    """A linear-Gaussian world, an exact model of it, and its parameters."""
    world = LinearGaussian(widths=(4, 5, 3), latent_dim=2, n=60)
    est = MultimodalFactorAnalysis(latent_dim=2, random_state=0).fit(world.x)
    cuts = np.cumsum(world.widths)[:-1]
    world.W = np.split(est.components_.T, cuts)
    world.b, world.s2 = np.split(est.mean_, cuts), np.split(est.noise_variance_, cuts)
    return world, est


def test_contributions_of_an_exact_model_are_exact(world):
    world, est = world
    X = [x.copy() for x in world.x]
    X[2][:20] = np.nan
    X[1][10:30] = np.nan
    display = ModalityContributionDisplay.from_estimator(est, X, ax=new_axes())
    shown = np.array([~np.isnan(x).all(axis=1) for x in X]).T
    alone, beside = np.full((60, 3), np.nan), np.full((60, 3), np.nan)
    for n in range(60):
        every = tuple(np.flatnonzero(shown[n]))
        for m in every:
            rest = tuple(k for k in every if k != m)
            alone[n, m] = world.kl_posteriors((m,), ())[n]
            beside[n, m] = world.kl_posteriors(every, rest)[n]
    np.testing.assert_allclose(display.alone, alone, rtol=1e-5)
    np.testing.assert_allclose(display.beside, beside, rtol=1e-5)
    # given z, modalities are independent: in the mean, one tells no more after the others
    full = ModalityContributionDisplay.from_estimator(est, world.x, ax=new_axes())
    assert (full.beside.mean(0) < full.alone.mean(0)).all()
    bars = [bar.get_width() for bar in display.bars_[1]]
    np.testing.assert_allclose(bars, np.nanmean(beside, axis=0), rtol=1e-5)


def test_information_of_mixtures_is_averaged_to_the_integral():
    def mixture(means, precisions):
        params = {
            "mean": torch.tensor(means)[:, None, None],
            "precision": torch.tensor(precisions)[:, None, None],
        }
        weights = torch.full((len(means), 1), 1 / len(means)).log()
        return SubsetPosterior(DiagonalGaussian(), params, weights, StandardGaussian(1))

    ours, other = mixture([-1.0, 2.0], [4.0, 9.0]), mixture([0.0], [1.0])
    z = torch.linspace(-8, 8, 20_001)[:, None, None, None]
    p, q = (m.mixture_log_prob(z.expand(-1, 1, 1, 1))[:, 0, 0] for m in (ours, other))
    wanted = torch.trapezoid(p.exp() * (p - q), z.flatten())
    noise = RowNoise(0, torch.zeros(1, dtype=torch.long))
    told = ours.divergence_from(other, noise, 20_000)
    assert told.item() == pytest.approx(wanted.item(), rel=0.02)


def test_draws_and_density_of_a_row_are_those_of_its_exact_posteriors(world):
    world, est = world
    X = [world.x[0], world.x[1], np.full_like(world.x[2], np.nan)]
    n_draws = 4000
    display = PosteriorDisplay.from_estimator(est, X, row=7, n_draws=n_draws, ax=new_axes())
    subsets = {"prior": (), "modality_0": (0,), "modality_1": (1,), "together": (0, 1)}
    assert list(display.draws) == list(subsets)
    for name, subset in subsets.items():
        mean, covariance = world.posterior(subset)
        error = np.sqrt(np.diag(covariance) / n_draws)
        draws = display.draws[name]
        assert (np.abs(draws.mean(0) - mean[7]) < 5 * error).all(), name
        np.testing.assert_allclose(
            np.cov(draws.T), covariance, atol=0.1 * np.diag(covariance).max()
        )
    x, y, density = display.density
    density = density / density.sum()
    at = np.array([density.sum(0) @ x, density.sum(1) @ y])
    mean, covariance = world.posterior((0, 1))
    np.testing.assert_allclose(at, mean[7], atol=0.02 * np.sqrt(np.diag(covariance)).min())
    across = density.sum(0) @ (x - at[0]) ** 2
    assert across == pytest.approx(covariance[0, 0], rel=0.02)
    turned = PosteriorDisplay.from_estimator(est, X, row=7, components=(1, 0), ax=new_axes())
    x, _, density = turned.density
    assert density.sum(0) @ x / density.sum() == pytest.approx(at[1], abs=0.02)


def test_intervals_are_those_of_the_estimator_and_cover_as_the_scores_say(world):
    world, est = world
    X = [world.x[0], None, np.full_like(world.x[2], np.nan)]
    est.fit(world.x)
    display = ImputationDisplay.from_estimator(
        est, X, world.x, target=[1], coverage=0.8, subsample=None, ax=new_axes()
    )
    filled, (low, high) = est.predict_missing(X), est.predict_interval(X, coverage=0.8)
    truth = world.x[1]
    for told, wanted in {"y_true": truth, "y_pred": filled[1], "low": low[1]}.items():
        unit = (wanted - truth.mean(0)) / truth.std(0)
        np.testing.assert_allclose(getattr(display, told), unit.ravel(), rtol=1e-9, atol=1e-9)
    assert display.name == "modality_1"
    coverage = CoverageDisplay.from_estimator(
        est, X, world.x, levels=[0.5, 0.8], n_draws=100, ax=new_axes()
    )
    assert coverage.n_hidden.to_dict() == {"modality_1": 300, "modality_2": 180}
    for level in (0.5, 0.8):
        scores = imputation_scores(est, X, world.x, coverage=level, n_draws=100)["coverage"]
        wanted = scores.groupby("modality").mean()
        np.testing.assert_allclose(coverage.shares[level], wanted)
    assert (low[1] <= high[1]).all()


def test_missingness_counts_patterns():
    X = Modalities({name: x[rng.integers(24, size=50)] for name, x in HOLED.items()})
    display = MissingnessDisplay.from_data(X, ax=new_axes())
    shown = [tuple(~np.isnan(x).all(axis=1)) for _, x in X.items()]
    wanted = Counter(zip(*shown, strict=True))
    ours = dict(zip(map(tuple, display.patterns), display.counts, strict=True))
    assert ours == wanted
    assert list(display.counts) == sorted(display.counts, reverse=True)
    table = pd.DataFrame({"a": [1, np.nan, 1, 1], "b": [1.0, 2, np.nan, 3], "c": [1.0] * 4})
    display = MissingnessDisplay.from_data(table, max_patterns=2, ax=new_axes())
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels[0] == "all"
    assert labels[1] in ("all but a", "all but b")
    assert labels[2] == "1 other patterns"
    assert [bar.get_width() for bar in display.bars_] == [2, 1, 1]


def test_maps_of_spheres_keep_angles_from_their_centre():
    z = rng.normal(size=(40, 2 * 3))
    z /= np.repeat(np.linalg.norm(z.reshape(40, 2, 3), axis=2), 3, axis=1)
    projection = on_sphere(z, 2, 3, sphere=1)
    centre = z[:, 3:].mean(0) / np.linalg.norm(z[:, 3:].mean(0))
    angles = np.degrees(np.arccos(z[:, 3:] @ centre))
    np.testing.assert_allclose(np.linalg.norm(projection.transform(z), axis=1), angles)
    tangents = log_map(z[:, 3:], centre)
    np.testing.assert_allclose(tangents @ centre, 0, atol=1e-12)
    angle = np.linalg.norm(tangents, axis=1, keepdims=True)
    back = np.cos(angle) * centre + np.sin(angle) * tangents / angle
    np.testing.assert_allclose(back, z[:, 3:])
    assert np.isnan(projection.transform(np.zeros((1, 6)))).all()


def test_loss_curves_are_those_of_the_fit():
    est = small(MVAE, **{**FAST, "max_iter": 4}, early_stopping=True).fit(HOLED)
    display = LossCurveDisplay.from_estimator(est, ax=new_axes())
    np.testing.assert_array_equal(display.loss, est.loss_curve_)
    np.testing.assert_array_equal(-display.validation, est.validation_scores_)
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), display.validation)
    fa = MultimodalFactorAnalysis(latent_dim=1).fit(TRUTH)
    display = LossCurveDisplay.from_estimator(fa, ax=new_axes())
    np.testing.assert_array_equal(-display.loss, fa.loglike_)
    assert display.ax_.get_xlabel() == "step of EM"


def test_colours_are_by_y_or_by_what_is_shown():
    est = small(MVAE, **FAST).fit(HOLED)
    display = LatentDisplay.from_estimator(est, HOLED, ax=new_axes())
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["all", "only <rna>", "only protein"]
    y = pd.Series(np.linspace(0, 1, 24), name="dose")
    display = LatentDisplay.from_estimator(est, HOLED, y, subsample=10, ax=new_axes())
    assert display.embedding.shape == (10, 2)
    np.testing.assert_array_equal(display.hue, y.to_numpy()[display.rows])
    np.testing.assert_allclose(display.embedding, est.transform(HOLED)[display.rows])
    assert display.figure_.axes[1].get_ylabel() == "dose"
    same = LatentDisplay.from_estimator(
        est, TRUTH, y, projection=display.projection, ax=new_axes()
    )
    assert same.projection is display.projection
    names, which = classes_of(pd.Series([2.0, 1.0, np.nan, 1.0]))
    assert names == ["1", "2", "unknown"]
    assert which.tolist() == [1, 0, 2, 0]
    many = pd.Series([letter for k, letter in enumerate("abcdefghijkl") for _ in range(20 - k)])
    names, which = classes_of(many)
    assert names == [*"abcdefgh", "other"]
    assert (which == 8).sum() == sum(20 - k for k in range(8, 12))


def test_pipelines_are_asked_as_they_read():
    X = np.hstack([TRUTH["<rna>"], TRUTH["protein"]]) * 5
    pipe = make_pipeline(StandardScaler(), small(MVAE, **FAST, modalities=[4, 3])).fit(X)
    display = LatentDisplay.from_estimator(pipe, X, ax=new_axes())
    np.testing.assert_allclose(display.embedding, pipe.transform(X))
    assert LossCurveDisplay.from_estimator(pipe, ax=new_axes()).loss.shape == (2,)


def test_without_axes_there_is_a_new_figure():
    est = small(MVAE, **FAST).fit(HOLED)
    display = LossCurveDisplay.from_estimator(est)
    assert display.figure_ is plt.gcf()


def test_dark_styles_have_light_text():
    est = small(MVAE, **FAST).fit(HOLED)
    for style, is_light in (("default", False), ("dark_background", True)):
        with plt.style.context(style):
            ax = new_axes()
        LatentDisplay.from_estimator(est, HOLED, ax=ax)  # also where the style has ended
        ink = [ax.xaxis.label, ax.get_legend().get_title(), *ax.get_legend().get_texts()]
        for text in ink:
            assert (np.mean(mpl.colors.to_rgb(text.get_color())) > 0.5) == is_light
        paper = mpl.colors.to_rgb(ax.get_legend().get_frame().get_facecolor())
        assert (np.mean(paper) < 0.5) == is_light


def refusals():
    est = small(MVAE, **FAST).fit(HOLED)
    one = small(MVAE, **{**FAST, "latent_dim": 1}).fit(HOLED)
    ball = SphericalVAE(n_spheres=1, sphere_dim=2, max_iter=1, hidden_layer_sizes=(4,)).fit(HOLED)
    latent, posterior = LatentDisplay.from_estimator, PosteriorDisplay.from_estimator
    imputation, coverage = ImputationDisplay.from_estimator, CoverageDisplay.from_estimator
    return [
        (lambda: latent(est, HOLED, [1, 2]), "y has 2 values, but X has 24 rows."),
        (lambda: latent(est, HOLED, subsample=-1), "subsample must be a positive integer, a sha"),
        (lambda: latent(ball, HOLED, sphere=1), "sphere must be from 0 to 0; got 1."),
        (lambda: posterior(est, HOLED, row=24), "row must be a row of X, which has 24; got 24."),
        (lambda: posterior(est, HOLED, row="p3"), "row must be the position of a row, a whole n"),
        (lambda: posterior(est, HOLED, components=(0, 2)), "components must be two of the latent"),
        (lambda: posterior(one, HOLED), "A model with one latent variable has no such picture."),
        (lambda: imputation(est, TRUTH, TRUTH), "No entry of the target is missing in X and kno"),
        (lambda: imputation(est, HOLED, TRUTH, target="dna"), "There is no modality 'dna'"),
        (lambda: imputation(est, HOLED, TRUTH, coverage=2), "coverage must lie between 0 and 1"),
        (lambda: imputation(est, HOLED, TRUTH, kind="pie"), "kind must be 'auto', 'scatter' or"),
        (lambda: imputation(est, HOLED, TRUTH, kind="images"), "kind='images' needs a target tha"),
        (lambda: coverage(est, HOLED, TRUTH, levels=[1]), "levels must lie between 0 and 1"),
        (lambda: coverage(est, HOLED, TRUTH, n_draws=1), "n_draws must be an integer of at leas"),
        (lambda: coverage(est, TRUTH, TRUTH), "Nothing that has an interval is missing in X an"),
    ]


def test_bad_input_is_told_and_draws_nothing():
    for ask, message in refusals():
        with pytest.raises(ValueError, match=re.escape(message)):
            ask()
    assert plt.get_fignums() == []
    with pytest.raises(TypeError, match="LatentDisplay maps the latents of an estimator of skpo"):
        LatentDisplay.from_estimator(StandardScaler(), HOLED)
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(MVAE())


def test_matplotlib_is_imported_when_something_is_drawn(monkeypatch, tmp_path):
    files = sorted(Path(skpoe.inspection.__file__).parent.glob("*.py"))
    tops = [node for file in files for node in ast.parse(file.read_text()).body]
    assert "canvas.py" in [file.name for file in files]
    for node in tops:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert not re.match(r"(import|from) matplotlib", ast.unparse(node))
    est = small(MVAE, **FAST).fit(HOLED)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    wanted = re.escape("draws with the package matplotlib: pip install 'skpoe[plots]'")
    for ask in (LossCurveDisplay.from_estimator, lambda est: est.report(HOLED, tmp_path / "x")):
        with pytest.raises(ImportError, match=wanted):
            ask(est)
    assert list(tmp_path.iterdir()) == []
