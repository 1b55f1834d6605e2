"""Results written into MuData and AnnData objects, where tools of scverse look for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .data import Modalities, tables
from .estimators.face import BaseMultimodal


def annotate(
    data: Any,
    estimator: BaseMultimodal,
    *,
    layers: Mapping[str, str] | str | None = None,
    key_added: str = "skpoe",
    impute: bool | Sequence[str] = True,
) -> None:
    """Add latent variables and imputations to a MuData or AnnData object.

    It is changed in place, as tools of scverse do; nothing that is in it is written over but
    results of the same ``key_added``.

    Parameters
    ----------
    data : MuData or AnnData
        Its cells are the rows. Of an AnnData object, the estimator has one modality.
    estimator : fitted estimator of this library
        Fitted on ``Modalities.from_mudata(mdata)``, say. A modality that it knows and the data
        lack is missing.
    layers : mapping of str to str, or str, default=None
        Which layer is read: by modality of MuData, of AnnData its name; ``X`` where none is
        named.
    key_added : str, default="skpoe"
        In the names of what is added:

        - ``obsm["X_skpoe"]`` (n_cells, latent_dim): ``transform``, for
          ``scanpy.pp.neighbors(use_rep="X_skpoe")``;
        - ``layers["skpoe_imputed"]`` of each modality, of the shape of its ``X``:
          ``predict_missing``, observed entries as they came;
        - ``obsm["skpoe_imputed_adt"]`` (n_cells, n_features) of MuData, a DataFrame, where some
          cells lack the modality "adt": it has no rows for them, so no layer can.
    impute : bool or sequence of str, default=True
        Whether to add imputations, or of which modalities.

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        If modalities, their widths or layers are not those that the estimator knows.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from skpoe import MultimodalFactorAnalysis, annotate
    >>> X = np.random.default_rng(0).normal(size=(30, 4))
    >>> X[0, 0] = np.nan
    >>> adata = SimpleNamespace(X=X, obsm={}, layers={})  # anndata.AnnData(X), where it is there
    >>> annotate(adata, MultimodalFactorAnalysis(latent_dim=2).fit(X))
    >>> adata.obsm["X_skpoe"].shape, bool(np.isnan(adata.layers["skpoe_imputed"]).any())
    ((30, 2), False)
    """
    check_is_fitted(estimator)
    X = read_annotated(data, estimator, layers)
    latents = np.asarray(estimator.transform(X))
    filled = None if impute is False else estimator.predict_missing(X)
    data.obsm[f"X_{key_added}"] = latents
    if filled is not None:
        add_layers(data, filled, f"{key_added}_imputed", None if impute is True else impute)


def read_annotated(
    data: Any, estimator: BaseMultimodal | None, layers: Mapping[str, str] | str | None = None
) -> Any:
    """Read what an estimator takes off a MuData or AnnData object.

    Parameters
    ----------
    data : MuData or AnnData
    estimator : fitted estimator, or None
        To which what the data lack is None; without it, there is what there is.
    layers : as in :func:`annotate`
    """
    if not hasattr(data, "mod"):
        table = data.X if layers is None else data.layers[layers]
        if estimator is None or estimator._layout.is_table:
            return table
        names = estimator.modality_names_
        if len(names) > 1:
            raise ValueError(
                f"{type(estimator).__name__} was fitted on the modalities {names}, and data is "
                "AnnData, one table. Give a MuData object."
            )
        return Modalities({names[0]: table})
    X = Modalities.from_mudata(data, layers)  # type: ignore[arg-type]
    if estimator is None:
        return X
    layout = estimator._layout
    absent = [name for name in layout.names if name not in X.names]
    if not absent:
        return X
    sizes = dict(zip(layout.names, layout.sizes, strict=True))
    return Modalities(
        {**dict(X.items()), **dict.fromkeys(absent)},
        n_features={name: sizes[name] for name in absent},
    )


def add_layers(data: Any, filled: Any, key: str, names: Sequence[str] | None = None) -> None:
    """Write filled-in tables into layers; into obsm where a modality lacks cells.

    Parameters
    ----------
    data : MuData or AnnData
    filled : Modalities, or one table
        As an estimator fills in what :func:`read_annotated` read.
    key : str
        Of the layer.
    names : sequence of str, default=None
        Modalities to write; all when None.
    """
    if not hasattr(data, "mod"):
        one = isinstance(filled, Modalities)
        data.layers[key] = filled[filled.names[0]] if one else filled
        return
    wanted = list(filled.names) if names is None else list(names)
    for name in wanted:
        table, part = filled[name], data.mod.get(name)
        if part is not None and part.n_obs:
            at = data.obs_names.get_indexer(part.obs_names)
            part.layers[key] = table[at]
        if part is None or part.n_obs < data.n_obs:
            dense = tables.to_array(table)
            columns = range(dense.shape[1]) if part is None else part.var_names
            data.obsm[f"{key}_{name}"] = pd.DataFrame(
                dense, index=data.obs_names, columns=[str(column) for column in columns]
            )
