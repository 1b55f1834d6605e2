"""What a joint Gaussian says of rows with holes, by numpy and scipy; and holes."""

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


def gaussian_of(est):
    """Mean, loadings and noise variances in the data's units, read off decoders and noise."""
    mean, loadings, noise = [], [], []
    for likelihood, decoder in zip(est.model_.likelihoods, est.model_.decoders, strict=True):
        spread = likelihood.spread.numpy()
        mean.append(likelihood.shift.numpy() + spread * decoder.bias.detach().numpy())
        loadings.append(spread[:, None] * decoder.weight.detach().numpy())
        noise.append(spread**2 * likelihood.noise_variance().detach().numpy())
    return tuple(np.concatenate(leaf) for leaf in (mean, loadings, noise))


def covariance_of(loadings, noise):
    return loadings @ loadings.T + np.diag(noise)


def posterior_mean(row, mean, loadings, noise, trust=1.0):
    """Mean of z given what a row shows, its evidence to a power."""
    o = ~np.isnan(row)
    evidence = trust * loadings[o].T / noise[o]
    precision = np.eye(loadings.shape[1]) + evidence @ loadings[o]
    return np.linalg.solve(precision, evidence @ (row[o] - mean[o]))
