"""What a joint Gaussian says of rows with holes, by numpy and scipy alone; and holes."""

import numpy as np
from scipy.stats import multivariate_normal

KINDS = ["entries", "modalities", "both", "mixed"]


def punch(X, kind, seed=0, share=0.4):
    """Hide entries, whole modalities, both, or entries of the first modality and all of others.

    The first row shows nothing, the second all.
    """
    rng = np.random.default_rng(seed)
    holed = [x.copy() for x in X]
    for m, x in enumerate(holed):
        if kind in ("entries", "both") or (kind == "mixed" and m == 0):
            x[rng.uniform(size=x.shape) < share] = np.nan
        if kind in ("modalities", "both") or (kind == "mixed" and m > 0):
            x[rng.uniform(size=len(x)) < share] = np.nan
        x[0], x[1] = np.nan, X[m][1]
    return holed


def log_prob(x, mean, covariance):
    """Log-density of what each row shows, by scipy."""
    scores = np.zeros(len(x))
    for n, row in enumerate(x):
        o = ~np.isnan(row)
        if o.any():
            scores[n] = multivariate_normal(mean[o], covariance[np.ix_(o, o)]).logpdf(row[o])
    return scores


def conditional(row, mean, covariance):
    """Mean and covariance of what a row lacks given what it shows, by the block formula."""
    o = ~np.isnan(row)
    gain = covariance[np.ix_(~o, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
    spread = covariance[np.ix_(~o, ~o)] - gain @ covariance[np.ix_(o, ~o)]
    return mean[~o] + gain @ (row[o] - mean[o]), spread


def divergence(truth, estimate):
    """KL between centred Gaussians of these covariances, nats."""
    trace = np.trace(np.linalg.solve(estimate, truth))
    logs = np.linalg.slogdet(estimate)[1] - np.linalg.slogdet(truth)[1]
    return 0.5 * (trace - len(truth) + logs)
