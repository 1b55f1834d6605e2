"""How a user asks for one network for all modalities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Shared:
    """One network for all modalities of the same width, told apart by learned embeddings.

    Pass it as ``encoder=``, ``decoder=`` or both: many equal modalities, down to one pixel each,
    then use one network, and what is learned of one helps the others.

    Parameters
    ----------
    factory : callable, default=None
        ``(n_in, n_out) -> nn.Module``, where n_in counts the embedding, and products of it with
        the values, too. None is the perceptron that the estimator describes.
    embedding_dim : int, default=8
        Length of the vector that tells modalities apart.
    tied : bool, default=False
        Whether encoder and decoder share the vectors, if both are ``Shared`` and tied.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> from skpoe.nn import Shared
    >>> rng = np.random.default_rng(0)
    >>> pixels = [rng.normal(size=(30, 1)) for _ in range(9)]
    >>> one = Shared(embedding_dim=4, tied=True)
    >>> est = MVAE(encoder=one, decoder=one, latent_dim=2, max_iter=3, random_state=0).fit(pixels)
    >>> est.transform(pixels).shape
    (30, 2)
    """

    factory: Callable[[int, int], nn.Module] | None = None
    embedding_dim: int = 8
    tied: bool = False
