"""One text for each parameter and attribute that estimators share."""

from __future__ import annotations

import inspect

_PARAMETERS = {
    "latent_dim": """int or "auto", {default}
        Number of latent variables. "auto" is half the number of features, at most 64; with a start
        at factor analysis at most 128 and at most half the number of rows, and chosen by held-out
        rows where there are fewer rows than features.""",
    "hidden_layer_sizes": """sequence of int, {default}
        Widths of the hidden layers of each encoder; of each decoder too.""",
    "activation": """{"relu", "silu", "tanh", "gelu", "softplus"}, {default}
        Activation of the hidden layers.""",
    "encoder": """callable, str, Shared, list, dict or None, {default}
        Factory ``(n_in, n_out) -> nn.Module`` of the encoders, or one a modality. None is the
        perceptron that ``hidden_layer_sizes`` and ``activation`` describe, a string names a
        paper's (``nn.ARCHITECTURES``), ``nn.Shared`` is one network for all modalities.""",
    "decoder": """callable, str, Shared, list, dict or None, {default}
        The same for the decoders.""",
    "likelihood": """str, Likelihood, list or dict, {default}
        What the decoder describes: "gaussian", "bernoulli", "student_t" (for data with freak
        values), "student_t_decoder" (MIWAE's: the decoder says each scale), "laplace",
        "gaussian_decoder", "log_normal", "censored_gaussian", "continuous_bernoulli", "beta", for
        counts "poisson", "negative_binomial" and "zero_inflated_negative_binomial", for levels
        "categorical" and "ordinal", or an instance; or one a modality, or in it a dict with one a
        column. "auto" is "bernoulli" for zeros and ones, else "student_t"; in a DataFrame of
        several dtypes, what the dtype of each column says.""",
    "init": """{"auto", "factor_analysis", "random"}, {default}
        Where training starts. "factor_analysis" adds linear parts to all networks, which start at
        a factor analysis of the data: before training, the model is that factor analysis, for
        every pattern of what is missing; counts and levels are linked to it as docs/likelihoods.md
        says. "auto" is "factor_analysis" in PoEVAE and MIWAE where some columns are numbers, all
        likelihoods can start so, and the networks are not given; in PoEVAE, from 200 rows on and
        with ``max_iter="auto"``, both are tried and held-out rows choose. "random" in estimators
        that follow a paper.""",
    "modalities": """dict, list or None, {default}
        How one table X is cut into modalities: name -> column names, positions or a callable on
        the DataFrame; or a list of widths. None makes one table one modality.""",
    "covariance": """{"auto", "diag", "full"}, {default}
        Covariance of the posterior. With "full", the precision of each expert is learned and the
        same for all rows. "auto" is "full" in PoEVAE, which predicts better so, and in MIWAE with
        a start at factor analysis; "diag" in others.""",
    "beta": """float, {default}
        Weight of KL(q || prior).""",
    "kl_warmup": """int, {default}
        Epochs over which the weight of the KL rises to ``beta``.""",
    "free_bits": """float, {default}
        Nats of KL(q || prior) of each row that cost nothing.""",
    "likelihood_weights": """list, dict or None, {default}
        Factors of the log-likelihoods in training, one a modality; None is one for each.""",
    "n_samples": """int, {default}
        Draws from the posterior in each training step; from each component of a mixture.""",
    "n_importance_samples": """int, {default}
        Draws in ``score_samples``, ``predict_missing`` and ``reconstruct``; those of all
        components of a mixture together.""",
    "imputation": """{"auto", "mean", "posterior", "importance"}, {default}
        Whether ``predict_missing`` and ``reconstruct`` decode the posterior mean, or average over
        draws, as they are or weighted by p(x, z) / q(z | x). "auto" is "mean" ("importance" in
        MIWAE, and beside ``prediction_networks``) where all columns are numbers. Where rates or
        probabilities are averaged it is "posterior": few draws may have nearly all the weight,
        which does these more harm. With "auto" and "mean", ``prediction_networks``
        predict a modality that a row lacks, and have a say where it shows a part of it.""",
    "learning_rate": """{"one_cycle", "constant"}, {default}
        Schedule: up to ``learning_rate_init`` in the first tenth of training, then down to zero;
        or constant.""",
    "learning_rate_init": """float or "auto", {default}
        Largest learning rate of AdamW. "auto" is 0.003; with a start at factor analysis, and
        unless the rate is constant, it is 0.006 in PoEVAE, and 0.01 in MIWAE from 1,000 rows
        on, and in PoEVAE where a trial found that 6,000 steps from a random start pay.""",
    "shrinkage": """float or "auto", {default}
        Of the factor analysis that training starts at: what share of the data is replaced by
        independent features. "auto" takes the one under which held-out rows are likeliest.""",
    "trust": """float or "auto", {default}
        Power of the experts where modalities are missing, with a start at factor analysis. "auto"
        is 1 unless hidden modalities of held-out rows are likelier under another.""",
    "prediction_weight": """float or "auto", {default}
        Weight in training of how well each modality is predicted from others. "auto" is 0.1 with
        ``prediction_networks``; else 3 with a start at factor analysis, and 0 without.""",
    "prediction_networks": """bool or "auto", {default}
        Whether networks of their own, made as decoders are, predict modalities that a row lacks
        from its posterior mean. Encoders and decoders do not learn from their errors. "auto":
        with a random start, if there are two modalities or more.""",
    "start_weight": """float or "auto", {default}
        How much of a start at factor analysis is kept: weights end at ``start_weight`` times the
        start plus the rest times what training came to. "auto" trains without a fifth of the
        rows, finds it on these, and if it is below 1 trains anew with all. With early stopping
        it trains once, and finds it on the validation rows.""",
    "weight_decay": """float or "auto", {default}
        Weight decay of AdamW; not of what starts at factor analysis. "auto" is 500 over the
        number of rows, at most 1, with such a start, else 0.""",
    "batch_size": """int or "auto", {default}
        Largest number of rows in a training step. "auto" is 64 below 2,000 rows, else 128; with a
        start at factor analysis always 128 (in MIWAE 256 from 1,000 rows on).""",
    "max_iter": """int or "auto", {default}
        Epochs; 0 leaves the model where it starts. "auto" visits about 200,000 rows in all, in 20
        to 200 epochs (in PoEVAE to 600, or 6,000 steps where a trial found that they pay); with a
        start at factor analysis it is 600 steps below 1,000 rows, else 1,200 (in PoEVAE 300 and
        600; in MIWAE half as many as there are rows, at most 240, and 30 a feature, from 330 to
        660), and at least 20 epochs.""",
    "early_stopping": """bool or "auto", {default}
        Whether to hold out rows, score the objective on them after each epoch, and end with the
        weights that scored best. With a constant learning rate, training also stops after
        ``n_iter_no_change`` epochs without a better score. "auto" holds out rows from 2,000
        on.""",
    "validation_fraction": """float, {default}
        Share of the rows that early stopping holds out.""",
    "n_iter_no_change": """int, {default}
        Epochs to wait for a better score.""",
    "tol": """float, {default}
        Smallest improvement of the score, nats per sample, that counts.""",
    "warm_start": """bool, {default}
        Whether ``fit`` goes on from the fitted model, for ``max_iter`` more epochs. Parameters
        that say what the model or its objective is must be those that it was made with.""",
    "checkpoint": """str, path-like or None, {default}
        File that ``fit`` writes the state of training to, or a folder where each fit has a file of
        its own, named by what it depends on. ``skpoe.load`` reads it as an estimator. A file there
        is replaced. ``partial_fit`` writes none.""",
    "checkpoint_every": """int, {default}
        Epochs from one writing to the next.""",
    "resume": """bool, {default}
        Whether ``fit`` goes on from ``checkpoint``, if the file is there; on a CPU it ends with
        the same bits as if it had not stopped. Data and parameters must be those that it was begun
        with. A fit that had come to its end is not trained further.""",
    "dtype": """{"auto", "float32", "float64", "bfloat16"}, {default}
        Precision of training. "auto" is float32, but float64 for float64 data of fewer than 20,000
        values (rows x features x draws), where it costs little. "bfloat16" is float32, but
        networks take their products in bfloat16: for large networks on GPUs. Predictions are made
        in the precision of X, or in this if higher.""",
    "compile": """bool, {default}
        Whether torch compiles what a step of training computes: it takes a minute or more, and
        needs a C++ compiler. On a CPU, products of experts of the default size gain nothing.""",
    "device": """str, torch.device or None, {default}
        Where to train and predict. None is the CPU; "auto" takes a GPU if there is one.""",
    "n_threads": """int or None, {default}
        Threads that torch may use in fit and predict. None leaves torch's setting alone.""",
    "verbose": """int, {default}
        Print the loss every so many epochs.""",
    "random_state": """int, RandomState instance or None, {default}
        Seeds the weights, the order of rows and all draws: the same integer gives the same
        numbers. None takes fresh entropy; numpy's and torch's global states are never touched.""",
}

_ATTRIBUTES = """model_ : MultimodalVAE
        The trained torch module.
    latent_dim_ : int
        Number of latent variables.
    auto_ : dict
        What was used for the parameters that may be "auto".
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
        Largest of them: that of the weights that were kept."""


def documented(cls: type) -> type:
    """Write the shared parameters and attributes where the docstring of an estimator says so.

    ``%(parameters)s`` becomes every parameter that the docstring does not describe itself, with
    the default that it has in this class.
    """
    text = cls.__doc__ or ""
    shared = [
        f"{name} : {_PARAMETERS[name].replace('{default}', _default(parameter))}"
        for name, parameter in inspect.signature(cls).parameters.items()
        if f"\n    {name} : " not in text
    ]
    text = text.replace("%(parameters)s", "\n    ".join(shared))
    cls.__doc__ = text.replace("%(attributes)s", _ATTRIBUTES)
    return cls


def _default(parameter: inspect.Parameter) -> str:
    default = parameter.default
    return f'default="{default}"' if isinstance(default, str) else f"default={default}"
