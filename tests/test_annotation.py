"""Latents and imputations land where tools of scverse look for them, and nothing else moves."""

import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from skpoe import Modalities, MultimodalFactorAnalysis, annotate


class Part(types.SimpleNamespace):
    """What is read and written of an AnnData object, without the package."""

    @property
    def n_obs(self):
        return len(self.obs_names)


def part(X, cells):
    names = pd.Index([f"v{X.shape[1]}.{i}" for i in range(X.shape[1])])
    return Part(X=X, obs_names=pd.Index(cells), var_names=names, layers={}, obsm={})


def stand_in(make_x=np.asarray):
    """Ten cells: two lack "rna", three "adt", one entry of which is missing too."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(10, 1))
    cells = [f"c{i}" for i in range(10)]
    rna, adt = (z + 0.3 * rng.normal(size=(10, width)) for width in (4, 3))
    adt[5, 1] = np.nan
    mod = {
        "rna": part(make_x(rna[:8]), cells[:8]),
        "adt": part(adt[:2:-1], cells[:2:-1]),  # its cells stand in another order
    }
    mdata = Part(mod=mod, obs_names=pd.Index(cells), obsm={})
    full = {"rna": rna.copy(), "adt": adt.copy()}
    full["rna"][8:] = full["adt"][:3] = np.nan
    return mdata, full


@pytest.mark.parametrize("make_x", [np.asarray, scipy.sparse.csr_matrix])
def test_results_of_mudata_stand_by_their_cells(make_x):
    mdata, full = stand_in(make_x)
    before = mdata.mod["adt"].X.copy()
    est = MultimodalFactorAnalysis(latent_dim=1).fit(full)
    annotate(mdata, est, key_added="fa")
    np.testing.assert_allclose(mdata.obsm["X_fa"], est.transform(full), rtol=1e-9)
    filled = est.predict_missing(full)
    layer = mdata.mod["adt"].layers["fa_imputed"]
    np.testing.assert_allclose(layer, filled["adt"][:2:-1], rtol=1e-9)
    rna = mdata.mod["rna"].layers["fa_imputed"]
    assert scipy.sparse.issparse(rna) == scipy.sparse.issparse(mdata.mod["rna"].X)
    rna = rna.toarray() if scipy.sparse.issparse(rna) else rna
    np.testing.assert_allclose(rna, full["rna"][:8], rtol=1e-12)
    for name in ("rna", "adt"):  # cells that the modality has no row for
        whole = mdata.obsm[f"fa_imputed_{name}"]
        np.testing.assert_allclose(whole, filled[name], rtol=1e-9)
        assert whole.index.equals(mdata.obs_names)
        assert whole.columns.equals(mdata.mod[name].var_names)
    np.testing.assert_array_equal(mdata.mod["adt"].X, before)
    assert set(mdata.obsm) == {"X_fa", "fa_imputed_rna", "fa_imputed_adt"}


def test_a_modality_that_the_data_lack_goes_to_obsm():
    mdata, full = stand_in()
    est = MultimodalFactorAnalysis(latent_dim=1).fit(full)
    del mdata.mod["adt"]
    annotate(mdata, est, impute=["adt"])
    expected = est.predict_missing({"rna": full["rna"], "adt": None})["adt"]
    np.testing.assert_allclose(mdata.obsm["skpoe_imputed_adt"], expected, rtol=1e-9)
    assert mdata.mod["rna"].layers == {}


def test_latents_alone():
    mdata, full = stand_in()
    annotate(mdata, MultimodalFactorAnalysis(latent_dim=1).fit(full), impute=False)
    assert list(mdata.obsm) == ["X_skpoe"]
    assert mdata.mod["rna"].layers == {}


@pytest.mark.parametrize("as_modality", [False, True])
def test_anndata_is_one_modality(as_modality):
    _, full = stand_in()
    table, adata = full["adt"], part(np.zeros((10, 3)), range(10))
    adata.layers["raw"] = table
    X = Modalities({"adt": table}) if as_modality else table
    est = MultimodalFactorAnalysis(latent_dim=1).fit(X)
    annotate(adata, est, layers="raw")
    filled = est.predict_missing(X)
    expected = filled["adt"] if as_modality else filled
    np.testing.assert_allclose(adata.layers["skpoe_imputed"], expected, rtol=1e-9)
    assert adata.obsm["X_skpoe"].shape == (10, 1)
    assert not adata.X.any()


def test_what_fails_changes_nothing():
    mdata, full = stand_in()
    est = MultimodalFactorAnalysis(latent_dim=1).fit(full)
    mdata.mod["adt"].X = mdata.mod["adt"].X[:, :2]
    with pytest.raises(ValueError, match="Modality 'adt' has 2 features"):
        annotate(mdata, est)
    assert not mdata.obsm
    assert not mdata.mod["rna"].layers


def test_several_modalities_want_mudata():
    _, full = stand_in()
    est = MultimodalFactorAnalysis(latent_dim=1).fit(full)
    with pytest.raises(ValueError, match="fitted on the modalities .* is AnnData, one table"):
        annotate(part(full["rna"], range(10)), est)


def test_real_mudata_and_anndata():
    mudata, anndata = pytest.importorskip("mudata"), pytest.importorskip("anndata")
    stand, full = stand_in(scipy.sparse.csr_matrix)
    est = MultimodalFactorAnalysis(latent_dim=1).fit(full)
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData(
            {
                name: anndata.AnnData(
                    one.X,
                    obs=pd.DataFrame(index=one.obs_names),
                    var=pd.DataFrame(index=one.var_names),
                )
                for name, one in stand.mod.items()
            }
        )
        annotate(mdata, est)
        annotate(stand, est)
    at = stand.obs_names.get_indexer(mdata.obs_names)
    np.testing.assert_allclose(mdata.obsm["X_skpoe"], stand.obsm["X_skpoe"][at])
    np.testing.assert_allclose(
        mdata["adt"].layers["skpoe_imputed"], stand.mod["adt"].layers["skpoe_imputed"]
    )
    np.testing.assert_allclose(
        mdata.obsm["skpoe_imputed_adt"], stand.obsm["skpoe_imputed_adt"].iloc[at]
    )
