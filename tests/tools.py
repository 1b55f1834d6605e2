"""Every tool of scikit-learn that takes an estimator, as a function of (estimator, X, y).

A tool is one line in TOOLS and returns numbers. What cannot work stands in EXCEPTIONS, and with
what to do instead in docs/scikit-learn.md.
"""

import re

import numpy as np
import pytest
from containers import CONTAINERS, FORMS, GROUPS, HOLES, INDEX, TABLES, TARGET
from containers import LABELS as Y
from sklearn import ensemble
from sklearn import model_selection as ms
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, SequentialFeatureSelector
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import resample, shuffle

from skpoe import PerModality
from skpoe.model_selection import MissingnessSplit
from skpoe.scorers import ConditionalLogLikelihood, CrossModal, LatentProbe, LogLikelihood

GRID = {"activation": ["relu", "tanh"]}
TARGETS = np.column_stack([TARGET, Y])
SCORERS = {
    "LogLikelihood": LogLikelihood(),
    "ConditionalLogLikelihood": ConditionalLogLikelihood(1),
    "CrossModal": CrossModal(1),
    "LatentProbe": LatentProbe(),
}
SPLITTERS = {
    "KFold": ms.KFold(2),
    "StratifiedKFold": ms.StratifiedKFold(2),
    "GroupKFold": ms.GroupKFold(2),
    "StratifiedGroupKFold": ms.StratifiedGroupKFold(2),
    "ShuffleSplit": ms.ShuffleSplit(2, random_state=0),
    "RepeatedKFold": ms.RepeatedKFold(n_splits=2, n_repeats=2, random_state=0),
    "TimeSeriesSplit": ms.TimeSeriesSplit(2),
    "LeaveOneGroupOut": ms.LeaveOneGroupOut(),
    "PredefinedSplit": ms.PredefinedSplit(np.arange(len(Y)) % 3 - 1),
    "MissingnessSplit": MissingnessSplit(2, random_state=0),
}


def itself(vae):
    return vae


def classifier(vae):
    return make_pipeline(vae, LogisticRegression())


def regressor(vae):
    return make_pipeline(vae, Ridge())


def two(make, vae):
    return [("a", make(vae)), ("b", make(clone(vae).set_params(activation="tanh")))]


def splits(name):
    groups = GROUPS if "Group" in name else None
    return lambda vae, X, y: ms.cross_val_score(
        vae, X, y, groups=groups, cv=SPLITTERS[name], error_score="raise"
    )


def evaluates(tool, make=itself, **how):
    """A function of scikit-learn that fits on folds and returns one array, or several."""

    def run(vae, X, y):
        out = tool(make(vae), X, y, cv=2, **how)
        return np.hstack([np.ravel(part) for part in out]) if isinstance(out, tuple) else out

    return run


def several_scorers(vae, X, y):
    out = ms.cross_validate(vae, X, y, cv=2, scoring=SCORERS, error_score="raise")
    return [out[f"test_{name}"] for name in SCORERS]


def out_of_fold(vae, X, y):
    """What the docs offer in the place of cross_val_predict(method="transform")."""
    out = ms.cross_validate(vae, X, cv=2, return_estimator=True, return_indices=True)
    tests = out["indices"]["test"]
    rows = [X.iloc[test] if hasattr(X, "iloc") else X[test] for test in tests]
    return [est.score_samples(part) for est, part in zip(out["estimator"], rows, strict=True)]


def searches(Search, **how):
    grid = {"param_distributions" if "Random" in Search.__name__ else "param_grid": GRID}

    def run(vae, X, y):
        found = Search(vae, **grid, cv=2, error_score="raise", **how).fit(X)
        return np.hstack([split_scores(found).ravel(), found.score_samples(X)])

    return run


def split_scores(found):
    results = found.cv_results_
    return np.stack([results[key] for key in sorted(results) if re.match(r"split\d+_test", key)])


def predicts(make, y=Y):
    return lambda vae, X, _: make(vae).fit(X, y).predict(X)


def halves(vae, X, y):
    train, test = ms.train_test_split(X, stratify=y, random_state=0)
    return vae.fit(train).score_samples(test)


def redraws(draw):
    def run(vae, X, y):
        X, _ = draw(X, y, random_state=0)
        return vae.fit(X).score_samples(X)

    return run


def scaled_columns(vae, X, y):
    frame = hasattr(X, "columns")
    some, rest = (X.columns[:3], X.columns[3:]) if frame else (slice(0, 3), slice(3, 9))
    scale = [("a", StandardScaler(), some), ("b", StandardScaler(), rest)]
    columns = ColumnTransformer(scale, verbose_feature_names_out=False)
    columns.set_output(transform="pandas" if frame else "default")
    return make_pipeline(columns, vae).fit_transform(X)


def importances(vae, X, y):
    found = permutation_importance(vae.fit(X), X, y, n_repeats=2, random_state=0)
    return found.importances


def frozen(vae, X, y):
    FrozenEstimator = pytest.importorskip("sklearn.frozen").FrozenEstimator
    Z = vae.fit(X).transform(X)
    model = classifier(FrozenEstimator(vae)).fit(X[:30], y[:30])
    np.testing.assert_array_equal(model[:-1].transform(X), Z)
    return model.predict_proba(X)


def frames(vae, X, y):
    Z = vae.set_output(transform="pandas").fit_transform(X)
    assert Z.columns.tolist() == vae.get_feature_names_out().tolist()
    index = getattr(X["rna"] if hasattr(X, "names") else X, "index", None)
    assert index is None or Z.index.equals(INDEX)
    return Z.to_numpy()


def optuna_study(vae, X, y):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        tried = clone(vae).set_params(beta=trial.suggest_float("beta", 0.1, 2.0))
        return ms.cross_val_score(tried, X, cv=2, error_score="raise").mean()

    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=2)
    return [trial.value for trial in study.trials]


TOOLS = {
    **{name: splits(name) for name in SPLITTERS},
    "cross_val_score": evaluates(ms.cross_val_score, error_score="raise"),
    "cross_validate": several_scorers,
    "cross_validate(return_estimator=True)": out_of_fold,
    "cross_val_predict": evaluates(ms.cross_val_predict, classifier, method="predict_proba"),
    "cross_val_predict(method='transform')": evaluates(ms.cross_val_predict, method="transform"),
    "GridSearchCV": searches(ms.GridSearchCV),
    "RandomizedSearchCV": searches(ms.RandomizedSearchCV, n_iter=2, random_state=0),
    "HalvingGridSearchCV": searches(ms.HalvingGridSearchCV, random_state=0, min_resources=20),
    "HalvingRandomSearchCV": searches(
        ms.HalvingRandomSearchCV,
        n_candidates=2,
        resource="max_iter",
        max_resources=3,
        random_state=0,
    ),
    "learning_curve": evaluates(ms.learning_curve, train_sizes=[0.5, 1.0], error_score="raise"),
    "validation_curve": evaluates(
        ms.validation_curve,
        param_name="activation",
        param_range=GRID["activation"],
        error_score="raise",
    ),
    "permutation_test_score": evaluates(
        ms.permutation_test_score, classifier, n_permutations=2, random_state=0
    ),
    "train_test_split": halves,
    "resample": redraws(resample),
    "shuffle": redraws(shuffle),
    "clone": lambda vae, X, y: clone(vae.fit(X)).fit(X).transform(X),
    "set_output": frames,
    "Pipeline": lambda vae, X, y: classifier(vae).fit(X, y).predict_proba(X),
    "PerModality": lambda vae, X, y: make_pipeline(
        PerModality(StandardScaler()), vae
    ).fit_transform(X),
    "ColumnTransformer": scaled_columns,
    "FeatureUnion": lambda vae, X, y: FeatureUnion(two(itself, vae)).fit_transform(X),
    "FrozenEstimator": frozen,
    "TransformedTargetRegressor": predicts(
        lambda vae: TransformedTargetRegressor(regressor(vae), func=np.exp, inverse_func=np.log),
        TARGET,
    ),
    "MultiOutputRegressor": predicts(lambda vae: MultiOutputRegressor(regressor(vae)), TARGETS),
    "StackingClassifier": predicts(
        lambda vae: ensemble.StackingClassifier(two(classifier, vae), cv=2)
    ),
    "StackingRegressor": predicts(
        lambda vae: ensemble.StackingRegressor(two(regressor, vae), Ridge(), cv=2), TARGET
    ),
    "VotingClassifier": predicts(lambda vae: ensemble.VotingClassifier(two(classifier, vae))),
    "CalibratedClassifierCV": predicts(lambda vae: CalibratedClassifierCV(classifier(vae), cv=2)),
    "TunedThresholdClassifierCV": predicts(
        lambda vae: ms.TunedThresholdClassifierCV(classifier(vae), cv=2, thresholds=5)
    ),
    "OneVsRestClassifier": predicts(
        lambda vae: OneVsRestClassifier(classifier(vae)), np.arange(len(Y)) % 3
    ),
    "BaggingClassifier": predicts(
        lambda vae: ensemble.BaggingClassifier(classifier(vae), 2, random_state=0)
    ),
    "BaggingRegressor": predicts(
        lambda vae: ensemble.BaggingRegressor(regressor(vae), 2, random_state=0), TARGET
    ),
    "SelfTrainingClassifier": predicts(
        lambda vae: SelfTrainingClassifier(classifier(vae), max_iter=1),
        np.where(np.arange(len(Y)) % 4, Y, -1),
    ),
    "AdaBoostClassifier": predicts(
        lambda vae: ensemble.AdaBoostClassifier(classifier(vae), n_estimators=2)
    ),
    "AdaBoostRegressor": predicts(
        lambda vae: ensemble.AdaBoostRegressor(regressor(vae), n_estimators=2, random_state=0),
        TARGET,
    ),
    "SequentialFeatureSelector": predicts(
        lambda vae: SequentialFeatureSelector(classifier(vae), n_features_to_select=8, cv=2)
    ),
    "SequentialFeatureSelector of latents": predicts(
        lambda vae: make_pipeline(
            vae, SequentialFeatureSelector(Ridge(), n_features_to_select=1, cv=2), Ridge()
        )
    ),
    "RFE": predicts(lambda vae: RFE(classifier(vae), importance_getter=lambda m: m[-1].coef_)),
    "RFE of latents": predicts(lambda vae: make_pipeline(vae, RFE(Ridge()), Ridge())),
    "permutation_importance": importances,
    "Optuna": optuna_study,
}
FLATTENS = "turns X into one array, which a container refuses"
NAMELESS = "hands on an array without the names that modalities= looks up"
SELECTS = "drops columns that modalities= counts or names"
HANDS_ARRAYS_ON = ["BaggingClassifier", "BaggingRegressor", "SelfTrainingClassifier"]


def excuse(reason, tools, forms):
    return {(tool, form): reason for tool in tools for form in forms}


# (tool, form) or (tool, form, holes) -> why it cannot work
EXCEPTIONS = {
    **excuse("wants an estimator with predict", ["cross_val_predict(method='transform')"], FORMS),
    **excuse("StandardScaler cannot centre", ["PerModality"], ["a sparse matrix and a tensor"]),
    **excuse("is for several tables", ["PerModality"], TABLES),
    **excuse("takes columns", ["ColumnTransformer"], CONTAINERS),
    **excuse("writes columns into a copy", ["permutation_importance"], CONTAINERS),
    **excuse(FLATTENS, [*HANDS_ARRAYS_ON, "AdaBoostRegressor"], CONTAINERS),
    **excuse(NAMELESS, [*HANDS_ARRAYS_ON, "AdaBoostRegressor"], ["one DataFrame"]),
    **{("AdaBoostRegressor", "one array", holes): "refuses NaN" for holes in [*HOLES][1:]},
    **excuse("hands on weights, which a Pipeline refuses", ["AdaBoostClassifier"], FORMS),
    **excuse(SELECTS, ["SequentialFeatureSelector", "RFE"], FORMS),
}
# columns of a DataFrame lie in memory in another order, so sums over rows are rounded otherwise
ROUNDED = ["PerModality", "ColumnTransformer"]
# it deals out patterns of the columns of a table, but of the modalities of a container
BY_KIND = ["MissingnessSplit"]
