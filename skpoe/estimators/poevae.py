"""PoEVAE, the flagship."""

from __future__ import annotations

from ..model import MultimodalVAE
from ..objectives import AlignedELBO, Objective
from .base import BaseVAE
from .pieces import Pieces


class PoEVAE(BaseVAE):
    r"""Product-of-experts VAE with aligned subset posteriors: the one to start with.

    Each modality has an encoder; the posterior given any subset of modalities is the product of
    their experts and the prior. Training maximises the ELBO of all that a row shows, and pulls the
    posterior given part of it towards the posterior given all of it, so that a row that lacks a
    modality is still placed well and the modality predicted well:

    .. math:: \mathrm{ELBO}(O) - \tfrac{1}{2} \big[
        \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_s))
        + \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_{O \setminus s})) \big]

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Number of latent variables. "auto" is half the number of features, at most 64.
    hidden_layer_sizes : sequence of int, default=(256,)
        Widths of the hidden layers of each encoder; of each decoder too.
    activation : {"relu", "silu", "tanh", "gelu", "softplus"}, default="relu"
        Activation of the hidden layers.
    encoder : callable, list, dict or None, default=None
        Factory ``(n_in, n_out) -> nn.Module`` of the encoders, or one a modality. None is the
        perceptron that ``hidden_layer_sizes`` and ``activation`` describe.
    decoder : callable, list, dict or None, default=None
        Factory ``(n_in, n_out) -> nn.Module`` of the decoders, or one a modality.
    likelihood : str, Likelihood, list or dict, default="gaussian"
        What the decoder describes: "gaussian", "bernoulli" or an instance; or one a modality.
    modalities : dict, list or None, default=None
        How one table X is cut into modalities: name -> column names, positions or a callable on
        the DataFrame; or a list of widths. None makes one table one modality.
    covariance : {"auto", "diag", "full"}, default="auto"
        Covariance of the posterior. With "full", the precision of each expert is learned and the
        same for all rows. "auto" is "full" in PoEVAE, which predicts better so, and "diag" in
        estimators that follow a paper.
    beta : float, default=1.0
        Weight of KL(q || prior).
    kl_warmup : int, default=0
        Epochs over which the weight of the KL rises to ``beta``.
    n_samples : int, default=1
        Draws from the posterior in each training step.
    n_importance_samples : int, default=100
        Draws in ``score_samples``, ``predict_missing`` and ``reconstruct``.
    learning_rate : {"one_cycle", "constant"}, default="one_cycle"
        Schedule: up to ``learning_rate_init`` in the first tenth of training, then down to zero;
        or constant.
    learning_rate_init : float, default=0.003
        Largest learning rate of AdamW.
    weight_decay : float, default=0.0
        Weight decay of AdamW.
    batch_size : int or "auto", default="auto"
        Largest number of rows in a training step. "auto" is 64 below 2,000 rows, else 128.
    max_iter : int or "auto", default="auto"
        Epochs. "auto" visits about 200,000 rows in all, in 20 to 200 epochs.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out rows, score the objective on them after each epoch, and end with the
        weights that scored best. With a constant learning rate, training also stops after
        ``n_iter_no_change`` epochs without a better score. "auto" holds out rows from 2,000 on.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out.
    n_iter_no_change : int, default=10
        Epochs to wait for a better score.
    tol : float, default=0.0001
        Smallest improvement of the score, nats per sample, that counts.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the fitted model, for ``max_iter`` more epochs.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of training. "auto" is float32, but float64 below 1,000 rows of float64 data,
        where it costs little. Predictions are made in the precision of X, or in this if higher.
    device : str, torch.device or None, default=None
        Where to train and predict. None is the CPU; "auto" takes a GPU if there is one.
    n_threads : int or None, default=None
        Threads that torch may use in fit and predict. None leaves torch's setting alone.
    verbose : int, default=0
        Print the loss every so many epochs.
    random_state : int, RandomState instance or None, default=None
        Seeds the weights, the order of rows and all draws: the same integer gives the same
        numbers. None takes fresh entropy; numpy's and torch's global states are never touched.

    Attributes
    ----------
    model_ : MultimodalVAE
        The trained torch module.
    latent_dim_ : int
        Number of latent variables.
    modality_names_ : list of str
        Names of the modalities.
    n_features_in_ : int
        Number of features of all modalities together.
    feature_names_in_ : ndarray of str
        Column names, when X was one DataFrame.
    n_iter_ : int
        Epochs, those of earlier calls with ``warm_start`` or ``partial_fit`` included.
    loss_curve_ : list of float
        Mean loss of each epoch: minus the objective, in nats per sample.
    history_ : list of dict
        Loss, learning rate, KL weight, gradient norm and seconds of each epoch, and the score on
        held-out rows.
    validation_scores_ : list of float or None
        Objective on the held-out rows after each epoch, nats per sample.
    best_validation_score_ : float or None
        Largest of them: that of the weights that were kept.

    See Also
    --------
    MVAE : The same model with the objective of its paper.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, section 2.1: the product of experts.

    Joint multimodal learning with deep generative models (Suzuki, Nakayama & Matsuo, 2016),
    https://arxiv.org/abs/1611.01891, equation 5: the alignment of unimodal posteriors, there of
    networks of their own.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import PoEVAE
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(60, 1))
    >>> rna, protein = z + 0.1 * rng.normal(size=(60, 4)), -z + 0.1 * rng.normal(size=(60, 2))
    >>> protein[:20] = np.nan
    >>> est = PoEVAE(max_iter=200, random_state=0).fit([rna, protein])
    >>> filled = est.predict_missing([rna, protein])
    >>> bool(np.corrcoef(filled[1][:20, 0], -z[:20, 0])[0, 1] > 0.9)
    True
    """

    def __init__(
        self,
        *,
        latent_dim="auto",
        hidden_layer_sizes=(256,),
        activation="relu",
        encoder=None,
        decoder=None,
        likelihood="gaussian",
        modalities=None,
        covariance="auto",
        beta=1.0,
        kl_warmup=0,
        n_samples=1,
        n_importance_samples=100,
        learning_rate="one_cycle",
        learning_rate_init=3e-3,
        weight_decay=0.0,
        batch_size="auto",
        max_iter="auto",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        dtype="auto",
        device=None,
        n_threads=None,
        verbose=0,
        random_state=None,
    ):
        self.latent_dim = latent_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.modalities = modalities
        self.covariance = covariance
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.n_samples = n_samples
        self.n_importance_samples = n_importance_samples
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.n_threads = n_threads
        self.verbose = verbose
        self.random_state = random_state

    _auto_covariance = "full"

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        return pieces.product_of_experts(), AlignedELBO(self.beta, self.n_samples)
