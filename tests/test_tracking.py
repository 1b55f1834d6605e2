"""The callback of docs/training.md tells a tracker of experiments what training knows."""

import doctest
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from small import FAST

from skpoe import MVAE

PAGE = Path(__file__).parent.parent / "docs" / "training.md"


def documented_callback():
    """The class, as it stands on the page."""
    examples = doctest.DocTestParser().get_examples(PAGE.read_text())
    (source,) = [e.source for e in examples if e.source.startswith("class LogToMLflow")]
    names = {}
    exec(source, names)
    return names["LogToMLflow"]


def test_parameters_and_epochs_are_logged(monkeypatch):
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    parameters, metrics = {}, []
    mlflow = types.SimpleNamespace(
        log_params=parameters.update,
        log_metrics=lambda values, step: metrics.append((step, values)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    X = np.random.default_rng(0).normal(size=(30, 3))
    est = MVAE(**FAST | {"max_iter": 3, "early_stopping": True})
    est.set_callbacks(documented_callback()()).fit(X)
    assert parameters["max_iter"] == "3"
    assert [step for step, _ in metrics] == [record["epoch"] for record in est.history_]
    assert [values["loss"] for _, values in metrics] == est.loss_curve_
    assert [values["validation"] for _, values in metrics] == est.validation_scores_


def test_a_real_tracker(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    with mlflow.start_run() as run:
        X = np.random.default_rng(0).normal(size=(30, 3))
        est = MVAE(**FAST).set_callbacks(documented_callback()()).fit(X)
    history = mlflow.tracking.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [one.value for one in history] == est.loss_curve_
