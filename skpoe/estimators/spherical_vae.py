"""SphericalVAE: hyperspherical latent variables (Davidson et al., 2018)."""

from __future__ import annotations

from numbers import Integral

from .._compat import Interval, StrOptions
from ..model import MultimodalVAE
from ..objectives import OBJECTIVES, Objective
from ..posteriors import Family, PowerSpherical, VonMisesFisher
from ..priors import Prior, UniformSphere
from .base import BaseVAE
from .mvae import MVAE
from .pieces import Pieces


class SphericalVAE(BaseVAE):
    r"""VAE with latent variables on spheres: a product of von Mises-Fisher experts.

    The prior is uniform on ``n_spheres`` spheres; the posterior given any subset of the modalities
    is a von Mises-Fisher distribution on each. Its natural parameter is a sum, concentration times
    mode of each expert, so nothing observed is the uniform prior, and experts that disagree make a
    posterior that is less sure:

    .. math:: q(z \mid x_s) = \mathrm{vMF}(z \mid \eta_s), \quad
        \eta_s = \sum_{m \in s} \kappa_m(x_m) \, \mu_m(x_m)

    With one modality it is the S-VAE of the paper. Draws and their gradients are exact, at every
    concentration and in every dimension; the estimator that goes with the paper is biased.

    Parameters
    ----------
    n_spheres : int, default=5
        Number of spheres; ``latent_dim_`` is ``n_spheres * (sphere_dim + 1)``.
    sphere_dim : int, default=4
        Dimension of each sphere: 1 is a circle, 2 the surface of a ball.
    posterior : {"vmf", "power_spherical"}, default="vmf"
        Family of the posterior on each sphere. Products of Power Spherical distributions are none
        of their kind, so "power_spherical" takes one modality.
    objective : {"aligned_elbo", "elbo", "iwae", "subset_elbo"}, default="aligned_elbo"
        What is maximised: the ELBO of all that a row shows, with the posteriors given parts of it
        pulled towards that given all; the ELBO alone; the importance-weighted bound of
        ``n_samples`` draws; or the objective of ``MVAE``. With one modality the first two are one.
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
    beta : float, default=1.0
        Weight of KL(q || prior).
    kl_warmup : int, default=0
        Epochs over which the weight of the KL rises to ``beta``.
    n_subsets : int, default=0
        Random subsets a row and step, of more than one and fewer than all observed modalities;
        the paper's k.
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
    PoEVAE : The same with Gaussian experts.

    References
    ----------
    Hyperspherical variational auto-encoders (Davidson, Falorsi, De Cao, Kipf & Tomczak, 2018),
    https://arxiv.org/abs/1804.00891, sections 3.1 to 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import SphericalVAE
    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(80, 1))
    >>> X = [np.hstack([np.cos(angle), np.sin(angle)]), np.cos(angle + [0, 1, 2])]
    >>> X[1][:20] = np.nan
    >>> est = SphericalVAE(n_spheres=1, sphere_dim=1, max_iter=20, random_state=0).fit(X)
    >>> Z = est.transform(X)
    >>> bool(np.allclose(np.linalg.norm(Z, axis=1), 1))
    True
    """

    _parameter_constraints: dict = {
        **{
            name: constraint
            for name, constraint in MVAE._parameter_constraints.items()
            if name not in ("latent_dim", "covariance")
        },
        "n_spheres": [Interval(Integral, 1, None, closed="left")],
        "sphere_dim": [Interval(Integral, 1, None, closed="left")],
        "posterior": [StrOptions({"vmf", "power_spherical"})],
        "objective": [StrOptions(set(OBJECTIVES))],
    }

    def __init__(
        self,
        *,
        n_spheres=5,
        sphere_dim=4,
        posterior="vmf",
        objective="aligned_elbo",
        hidden_layer_sizes=(256,),
        activation="relu",
        encoder=None,
        decoder=None,
        likelihood="gaussian",
        modalities=None,
        beta=1.0,
        kl_warmup=0,
        n_subsets=0,
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
        self.n_spheres = n_spheres
        self.sphere_dim = sphere_dim
        self.posterior = posterior
        self.objective = objective
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.modalities = modalities
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.n_subsets = n_subsets
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

    def _latent_space(self, n_features: int) -> tuple[Family, Prior]:
        family = {"vmf": VonMisesFisher, "power_spherical": PowerSpherical}[self.posterior]
        return family(self.sphere_dim), UniformSphere(self.n_spheres, self.sphere_dim)

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        if self.posterior == "power_spherical" and len(pieces.names) > 1:
            raise ValueError(
                "posterior='power_spherical' takes one modality, but X has "
                f"{len(pieces.names)}: a product of Power Spherical experts is none. Take "
                "posterior='vmf'."
            )
        more = {"n_subsets": self.n_subsets} if self.objective == "subset_elbo" else {}
        objective = OBJECTIVES[self.objective](self.beta, self.n_samples, **more)
        return pieces.product_of_experts(), objective
