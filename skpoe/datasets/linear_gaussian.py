"""A linear-Gaussian world: data whose every conditional and density has a closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_array

from ..data.layout import Layout, kind_of
from ..data.modalities import Modalities
from ..data.validation import is_multimodal
from .holes import check_missing
from .missingness import drop_entries, generator


@dataclass(frozen=True, eq=False)
class LinearGaussianWorld:
    r"""Exact answers about linear-Gaussian data, whatever entries are missing.

    .. math:: z \sim N(0, I), \quad x \mid z \sim N(W z + b, \operatorname{diag}(s^2))

    Each method takes a list, tuple or dict of tables, `Modalities`, or one table with the columns
    of all modalities side by side; NaN is missing, at any entry, and a modality may be None.

    Parameters
    ----------
    loadings : ndarray of shape (n_features, latent_dim)
        W, for the features of all modalities, one after the other.
    offset : ndarray of shape (n_features,)
        b.
    variances : ndarray of shape (n_features,)
        :math:`s^2`.
    widths : tuple of int
        Numbers of features of the modalities, named "modality_0", "modality_1", ...

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import LinearGaussianWorld
    >>> world = LinearGaussianWorld(np.ones((2, 1)), np.zeros(2), np.ones(2), (1, 1))
    >>> X = np.array([[3.0, np.nan]])
    >>> world.conditional_mean(X)
    array([[3. , 1.5]])
    >>> world.posterior(X)
    (array([[1.5]]), array([[[0.5]]]))
    >>> world.log_likelihood(X).round(3)
    array([-3.516])
    """

    loadings: np.ndarray
    offset: np.ndarray
    variances: np.ndarray
    widths: tuple[int, ...]

    @property
    def names(self) -> list[str]:
        """Names of the modalities."""
        return [f"modality_{m}" for m in range(len(self.widths))]

    def log_likelihood(self, X: Any) -> np.ndarray:
        """Log-density of what each row shows, nats, shape (n_samples,); 0 where nothing is."""
        x = self._read(X)
        result = np.zeros(len(x))
        for rows, shown in _patterns(x):
            _, covariance, gap, pull = self._given(x, rows, shown)
            variances = self.variances[shown]
            # of W W' + S, by the D x D matrix that its inverse and determinant come down to
            log_det = np.log(variances).sum() - np.linalg.slogdet(covariance)[1]
            square = (gap**2 / variances).sum(axis=1) - ((pull @ covariance) * pull).sum(axis=1)
            result[rows] = -0.5 * (shown.sum() * np.log(2 * np.pi) + log_det + square)
        return result

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n_samples, latent_dim) and covariance of z given what each row shows.

        The covariances are of shape (n_samples, latent_dim, latent_dim).
        """
        x = self._read(X)
        n_latent = self.loadings.shape[1]
        means, covariances = np.empty((len(x), n_latent)), np.empty((len(x), n_latent, n_latent))
        for rows, shown in _patterns(x):
            means[rows], covariances[rows], _, _ = self._given(x, rows, shown)
        return means, covariances

    def conditional_mean(self, X: Any) -> Any:
        """Copy X with its mean given what the row shows wherever an entry is missing."""
        means, _ = self.posterior(X)
        filled = means @ self.loadings.T + self.offset
        cuts = np.cumsum(self.widths)[:-1]
        names, widths = tuple(self.names), tuple(self.widths)
        if is_multimodal(X):
            layout = Layout(kind_of(X), names, widths, (None,) * len(names))
        else:
            where = tuple(np.split(np.arange(sum(widths)), cuts))
            layout = Layout(np.ndarray, names, widths, (None,), where)
        return layout.renew(X, np.split(filled, cuts, axis=1), missing_only=True)

    def _given(
        self, x: np.ndarray, rows: np.ndarray, shown: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Posterior means (n, D), covariance (D, D), x - b (n, F) and W' (x - b) / s2 (n, D)."""
        loadings = self.loadings[shown]
        scaled = loadings / self.variances[shown, None]
        gap = x[np.ix_(rows, shown)] - self.offset[shown]
        pull = gap @ scaled
        covariance = np.linalg.inv(np.eye(loadings.shape[1]) + loadings.T @ scaled)
        return pull @ covariance, covariance, gap, pull

    def _read(self, X: Any) -> np.ndarray:
        """All columns side by side, (n_samples, n_features), NaN where missing."""
        if not is_multimodal(X):
            x = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan")
            if x.shape[1] != len(self.offset):
                raise ValueError(
                    f"X has {x.shape[1]} features, but this world has {len(self.offset)}, in "
                    f"modalities of {list(self.widths)}."
                )
            return x
        named = isinstance(X, (Modalities, Mapping))
        got = (X.names if isinstance(X, Modalities) else list(X)) if named else None
        if len(X if got is None else got) != len(self.widths) or set(got or ()) - set(self.names):
            raise ValueError(
                f"X has the modalities {got}, but this world has {self.names}."
                if named
                else f"X has {len(X)} modalities, but this world has {len(self.widths)}."
            )
        n_features = dict(zip(self.names, self.widths, strict=True))
        return Modalities(X, n_features).select(self.names).to_numpy().astype(np.float64)


def make_linear_gaussian(
    n_samples: int = 200,
    n_features: int | Sequence[int] = (4, 5, 3),
    latent_dim: int = 3,
    *,
    missing: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Draw modalities from a random linear-Gaussian world that knows every exact answer.

    Parameters
    ----------
    n_samples : int, default=200
    n_features : int or sequence of int, default=(4, 5, 3)
        Numbers of features, one a modality.
    latent_dim : int, default=3
        Number of latent variables that all modalities share.
    missing : float, default=0.0
        Share of the entries of each column, in [0, 1), that is missing, at random.
    random_state : int, RandomState or None, default=None
        Draws the world, the rows and the holes.

    Returns
    -------
    bunch : Bunch
        ``data``, Modalities of "modality_0", ... with exactly ``round(missing * n_samples)`` NaN a
        column; ``complete``, the same without holes; ``target``, the latent variables (n_samples,
        latent_dim); ``world``, a `LinearGaussianWorld`; ``DESCR``, a description.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from skpoe.datasets import make_linear_gaussian
    >>> made = make_linear_gaussian(20, (3, 2), 1, missing=0.1, random_state=0)
    >>> made.data
    Modalities(20 samples, modality_0: 3 float64 (10.0% missing), modality_1: 2 float64 (10.0%
    missing))
    >>> made.world.log_likelihood(made.data).shape
    (20,)
    """
    widths = (n_features,) if isinstance(n_features, Integral) else tuple(n_features)
    for name, given in (
        ("n_samples", (n_samples,)),
        ("n_features", widths),
        ("latent_dim", (latent_dim,)),
    ):
        whole = all(isinstance(n, Integral) and not isinstance(n, bool) for n in given)
        if not given or not whole or min(given) < 1:
            raise ValueError(
                f"The '{name}' parameter of make_linear_gaussian must be positive integers. "
                f"Got {given if name == 'n_features' else given[0]!r} instead."
            )
    check_missing("make_linear_gaussian", missing)
    rng = generator(random_state)
    n_all = sum(widths)
    world = LinearGaussianWorld(
        loadings=rng.normal(size=(n_all, latent_dim)),
        offset=rng.normal(size=n_all),
        variances=rng.uniform(0.3, 1.3, size=n_all),
        widths=widths,
    )
    z = rng.normal(size=(n_samples, latent_dim))
    noise = rng.normal(size=(n_samples, n_all)) * np.sqrt(world.variances)
    x = z @ world.loadings.T + world.offset + noise
    tables = np.split(x, np.cumsum(widths)[:-1], axis=1)
    complete = Modalities(dict(zip(world.names, tables, strict=True)))
    holes = int(rng.integers(2**31))
    return Bunch(
        data=drop_entries(complete, missing, random_state=holes),
        complete=complete,
        target=z,
        world=world,
        DESCR=f"{n_samples} rows of {len(widths)} modalities with {list(widths)} features, linear "
        f"in {latent_dim} latent variables, with Gaussian noise. In each column "
        f"{round(missing * n_samples)} entries are missing, chosen at random.",
    )


def _patterns(x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows that show the same entries, as positions, and bool (n_features,): which they show."""
    shown = ~np.isnan(x)
    patterns, which = np.unique(shown, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(which.reshape(-1) == number), pattern
