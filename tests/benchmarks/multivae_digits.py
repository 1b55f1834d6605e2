"""Our estimators beside those of the package multivae, on the halves of digits.

    OMP_NUM_THREADS=1 python tests/benchmarks/multivae_digits.py --seeds 5 > both.jsonl

The peer goes into an environment of its own. Torch comes first, as a CPU build; multivae's own
list of needs would bring torchvision, nltk and matplotlib, which a model never calls (they are
stubbed while it is imported):

    pip install torch==2.13.0
    pip install -c constraints.txt scikit-learn numpy pandas joblib pydantic cloudpickle tqdm
    pip install --no-deps multivae==1.0.3 pythae==0.1.2 imageio pillow
    pip install --no-deps -e .

To fit the peer once and ours as often as needed, from any environment:

    python tests/benchmarks/multivae_digits.py --only theirs > theirs.jsonl
    python tests/benchmarks/multivae_digits.py --theirs theirs.jsonl

Data: pixels divided by 16, upper and lower 32; three quarters of the rows train, by seed. Both
sides: one hidden layer of 128 (ReLU), linear outputs, 10 latent variables (MMVAE+ and DMVAE: 5
private ones more a half), Gaussian noise of deviation 0.2 that is not learned, AdamW with betas
(0.9, 0.99), no decay and a constant rate of 1e-3, batches of at most 64, 50 epochs, beta = 1, no
warm-up, the weights of the last epoch. A method that skpoe does not have is left out on our side.

Figures, on the test rows: ``joint``, log p(x1, x2) by importance weights, 200 draws of each
component of the joint posterior, under the density of the whole mixture; ``conditional``,
log 1/K sum p(x2 | z_k), z_k from q(z | x1), and the other way round, averaged; ``coherence``, how
often a logistic regression that was trained on true halves knows the digit of a half that was
filled in; ``mse`` of that half (the mean of the decoder's means); ``seconds`` of CPU of a fit, to
be compared within one run (the peer's trainer also draws progress bars and saves the model). On
our side they are ``score``, ``ConditionalLogLikelihood`` and ``predict_missing``; on the peer's
side they are computed here from its networks, not by its own likelihoods: see below.

One JSON line a fit; then, for each figure, means over seeds, ours - theirs paired by seed, its
standard error, and a mark where ours is worse by more than two of them.

What stays different, or was made equal against a default:

- Batches: ours are cut evenly, 22 an epoch. The peer would leave a last one of 3 rows, which costs
  its MVAE half a nat; it gets batches of 62 instead.
- MVAE: the peer sums its three ELBOs, ours averages them; MMVAE and MMVAE+ of the peer sum over
  the batch. Adam forgives both. Ours clips gradients at a norm of 10, the peer does not.
- MMVAE, MMVAE+: Laplace, scales by softmax, K = 10 draws, the looser bound; the peer learns the
  scales of MMVAE's prior, and those of r(w) in MMVAE+, and follows its default, DReG gradients
  (``--gradient iwae`` changes that). Ours follows its own defaults in both.
- MMVAE+: private variables of a half that is not seen come from p(w) (the peer's default,
  "joint_prior"), though training draws them from r(w).
- MoPoE: the peer adds the prior to the product of all halves only, and deals a batch out to the
  subsets in turn. DMVAE: the peer trains q(z | x1) without the prior as an expert, and encodes
  with it. Figures follow its ``encode``; the joint posteriors of MMVAE, MMVAE+ and MoPoE are whole
  mixtures, of which ``encode`` would draw one component.
- MVTCAE, JMVAE: alpha = 0.1, the peer's default; its MVTCAE would have beta = 2.5. The joint
  encoder of its JMVAE has one hidden layer of 128 over both halves here.
- The peer would keep the weights of the best training epoch; here they are those of the last.
- Its ``compute_joint_nll`` is no reference: MMVAE+ drops a modality (``popitem``), DMVAE adds up
  prior and posterior over rows, MMVAE and MoPoE draw a row's z from one component but divide by
  the mixture. For MVAE, MVTCAE and JMVAE it agrees with the figures here.
"""

import argparse
import contextlib
import io
import json
import logging
import math
import sys
import tempfile
import time
import warnings
from functools import partial
from unittest.mock import MagicMock

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import nn
from torch.distributions import Normal

import skpoe
from skpoe.likelihoods import Likelihood
from skpoe.scorers import ConditionalLogLikelihood

HIDDEN, LATENT, PRIVATE, SCALE = 128, 10, 5, 0.2
RATE, BATCH, BETAS, N_DRAWS = 1e-3, 64, (0.9, 0.99), 200
HALVES = ("upper", "lower")
FIGURES = {
    "joint": 1,
    "conditional": 1,
    "coherence": 1,
    "mse": -1,
    "seconds": -1,
}  # 1: more is better

# method -> the parameters of our estimator of that name
OURS = {
    "MVAE": {},
    "MMVAE": {"posterior": "laplace", "n_samples": 10},
    "MoPoE": {},
    "MVTCAE": {"alpha": 0.1},
    "JMVAE": {},
    "MMVAEPlus": {"private_dim": PRIVATE, "n_samples": 10},
    "DMVAE": {"private_dim": PRIVATE},
}

# method -> the options of the peer
THEIRS = {
    "MVAE": {"warmup": 0},
    "MMVAE": {"K": 10},
    "MoPoE": {},
    "MVTCAE": {"alpha": 0.1},
    "JMVAE": {"alpha": 0.1, "warmup": 0},
    "MMVAEPlus": {"K": 10, "modalities_specific_dim": PRIVATE},
    "DMVAE": {"modalities_specific_dim": dict.fromkeys(HALVES, PRIVATE)},
}


class FixedGaussian(Likelihood):
    """Noise of one deviation, in the data's units, for every feature; nothing is standardised."""

    name = "fixed_gaussian"

    def check(self, x, modality, first_row=0):
        pass

    def log_density(self, x, raw):
        return Normal(raw, SCALE).log_prob(x)

    def mean(self, raw):
        return self._quiet(raw)

    def sample(self, raw, noise):
        return raw + SCALE * noise.normal(event=raw.shape[-1], dtype=raw.dtype)


class Ours:
    """An estimator of skpoe."""

    def __init__(self, method, halves, n_epochs, seed):
        self.estimator = getattr(skpoe, method)(
            latent_dim=LATENT,
            hidden_layer_sizes=(HIDDEN,),
            likelihood=FixedGaussian(),
            beta=1.0,
            learning_rate="constant",
            learning_rate_init=RATE,
            batch_size=BATCH,
            max_iter=n_epochs,
            early_stopping=False,
            n_importance_samples=N_DRAWS,
            n_threads=1,
            random_state=seed,
            **OURS[method],
        ).fit(halves)

    def joint(self, halves):
        return self.estimator.score(halves)

    def conditional(self, halves, target):
        return ConditionalLogLikelihood(target)(self.estimator, halves)

    def filled(self, halves, target):
        shown = [None if m == target else half for m, half in enumerate(halves)]
        return self.estimator.predict_missing(shown)[target]


class Theirs:
    """A model of multivae."""

    def __init__(self, method, halves, n_epochs, seed, *, peer, gradient):
        torch.manual_seed(seed)
        options = dict(THEIRS[method])
        if "K" in options:
            options["loss"] = f"{gradient}_looser"
        private = PRIVATE if "modalities_specific_dim" in options else 0
        widths = {name: half.shape[1] for name, half in zip(HALVES, halves, strict=True)}
        networks = {
            "encoders": {name: peer.encoder(width, private) for name, width in widths.items()},
            "decoders": {name: peer.decoder(width, private) for name, width in widths.items()},
        }
        if method == "JMVAE":
            networks["joint_encoder"] = peer.joint_encoder(sum(widths.values()))
        config = getattr(peer.models, f"{method}Config")(
            n_modalities=2,
            latent_dim=LATENT,
            input_dims={name: (width,) for name, width in widths.items()},
            decoders_dist=dict.fromkeys(HALVES, "normal"),
            decoder_dist_params={name: {"scale": SCALE} for name in HALVES},
            beta=1.0,
            **options,
        )
        self.method, self.dataset = method, peer.dataset
        self.model = getattr(peer.models, method)(config, **networks)
        n_steps = -(-len(halves[0]) // BATCH)  # with 64 rows each, the last would have 3
        with tempfile.TemporaryDirectory() as folder:
            training = peer.trainer_config(
                output_dir=folder,
                num_epochs=n_epochs,
                per_device_train_batch_size=-(-len(halves[0]) // n_steps),
                learning_rate=RATE,
                optimizer_cls="AdamW",
                optimizer_params={"betas": BETAS, "weight_decay": 0.0},
                no_cuda=True,
                seed=seed,
            )
            trainer = peer.trainer(self.model, self._data(halves), training_config=training)
            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                trainer.train()
        self.model = trainer.model.eval()

    def _data(self, halves, shown=(0, 1)):
        return self.dataset({HALVES[m]: torch.from_numpy(halves[m]) for m in shown})

    @torch.no_grad()
    def joint(self, halves):
        latents, log_ratio = self._draw(halves, (0, 1))
        log_weight = log_ratio + sum(self._log_prob(latents, halves, m) for m in (0, 1))
        n_draws = log_weight[..., 0].numel()  # components have equal weights
        return (log_weight.flatten(0, 1).logsumexp(0) - math.log(n_draws)).mean().item()

    @torch.no_grad()
    def conditional(self, halves, target):
        log_prob = self._log_prob(self._draw(halves, (1 - target,))[0], halves, target)
        n_draws = log_prob[..., 0].numel()
        return (log_prob.flatten(0, 1).logsumexp(0) - math.log(n_draws)).mean().item()

    @torch.no_grad()
    def filled(self, halves, target):
        return self._decode(self._draw(halves, (1 - target,))[0], target).mean((0, 1)).numpy()

    def _decode(self, latents, m):
        return self.model.decoders[HALVES[m]](latents[m]).reconstruction

    def _log_prob(self, latents, halves, m):
        noise = Normal(self._decode(latents, m), SCALE)
        return noise.log_prob(torch.from_numpy(halves[m])).sum(-1)

    def _draw(self, halves, shown):
        """Draw what each decoder reads, (K, S, N, D) a half, and log p(z) - log q(z | shown)."""
        components, private = self._posterior(halves, shown)
        prior, private_prior = self._prior()
        z = torch.stack([q.sample((N_DRAWS,)) for q in components], dim=1)
        log_q = torch.stack([q.log_prob(z).sum(-1) for q in components]).logsumexp(0)
        log_ratio = prior.log_prob(z).sum(-1) - (log_q - math.log(len(components)))
        latents = [z, z]
        for m in (0, 1) if private else ():
            if m in shown:
                w = private[m].sample(z.shape[:2])
                log_ratio = log_ratio + private_prior.log_prob(w).sum(-1)
                log_ratio = log_ratio - private[m].log_prob(w).sum(-1)
            else:
                w = private_prior.expand((z.shape[2], PRIVATE)).sample(z.shape[:2])
            latents[m] = torch.cat([z, w], dim=-1)
        return latents, log_ratio

    def _posterior(self, halves, shown):
        """Components of q(z | shown), and q(w_m | x_m) of what is shown if w is private."""
        model, data, names = self.model, self._data(halves, shown), [HALVES[m] for m in shown]
        if self.method == "MVAE":
            return [gaussian(*model.compute_mu_log_var_subset(data, names))], None
        if self.method == "MVTCAE":
            return [gaussian(*model._inference(data)["joint"])], None
        if self.method == "DMVAE":
            mean, log_var, _, private = model._infer_latent_parameters(data, names)
            return [gaussian(mean, log_var)], {m: gaussian(*private[HALVES[m]]) for m in shown}
        if self.method == "JMVAE" and len(names) == 2:
            output = model.joint_encoder(data.data)
            return [gaussian(output.embedding, output.log_covariance)], None
        outputs = {m: model.encoders[HALVES[m]](data.data[HALVES[m]]) for m in shown}
        if self.method in ("JMVAE", "MoPoE"):
            means = torch.stack([output.embedding for output in outputs.values()])
            log_vars = torch.stack([output.log_covariance for output in outputs.values()])
            if self.method == "JMVAE":
                return [gaussian(means[0], log_vars[0])], None
            subsets = {(s,) for s in range(len(names))} | {tuple(range(len(names)))}
            fused = [model._poe_fusion(means[list(s)], log_vars[list(s)]) for s in sorted(subsets)]
            return [gaussian(*parameters) for parameters in fused], None
        if self.method == "MMVAE":
            scale = model.log_var_to_std
            pairs = [(o.embedding, scale(o.log_covariance)) for o in outputs.values()]
            return [model.post_dist(*pair) for pair in pairs], None
        scale = model._log_var_to_std
        pairs = [(o.embedding, scale(o.log_covariance)) for o in outputs.values()]
        private = {
            m: model.post_dist(o.style_embedding, scale(o.style_log_covariance))
            for m, o in outputs.items()
        }
        return [model.post_dist(*pair) for pair in pairs], private

    def _prior(self):
        if self.method == "MMVAE":
            return self.model.prior_dist(*self.model.pz_params), None
        if self.method == "MMVAEPlus":
            loc, scale = self.model.pz_params
            make = self.model.prior_dist
            return make(loc[0, :LATENT], scale[0, :LATENT]), make(
                loc[0, LATENT:], scale[0, LATENT:]
            )
        return tuple(Normal(torch.zeros(n), torch.ones(n)) for n in (LATENT, PRIVATE))


def gaussian(mean, log_var):
    return Normal(mean, torch.exp(0.5 * log_var))


def import_peer():
    """Import multivae without what its data sets and plots need; networks are made here."""
    unused = ["matplotlib", "matplotlib.pyplot", "nltk", "nltk.tokenize", "torchvision"]
    unused += [
        f"torchvision.{part}" for part in ("datasets", "datasets.utils", "transforms", "utils")
    ]
    stubs = [name for name in unused if name not in sys.modules]
    sys.modules.update({name: MagicMock() for name in stubs})
    try:
        from multivae import models
        from multivae.data.datasets.base import MultimodalBaseDataset
        from multivae.models.nn.base_architectures import BaseJointEncoder
        from multivae.trainers import BaseTrainer, BaseTrainerConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn.base_architectures import BaseDecoder, BaseEncoder
    finally:
        for name in stubs:
            del sys.modules[name]
    logging.disable(logging.WARNING)

    def mlp(n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n_out))

    class Encoder(BaseEncoder):
        def __init__(self, n_in, private):
            super().__init__()
            self.latent_dim, self.sizes = LATENT, [LATENT, LATENT, private, private]
            self.network = mlp(n_in, sum(self.sizes))

        def forward(self, x):
            names = ("embedding", "log_covariance", "style_embedding", "style_log_covariance")
            parts = self.network(x).split(self.sizes, dim=-1)
            return ModelOutput(**dict(zip(names, parts, strict=True)))

    class JointEncoder(BaseJointEncoder):
        def __init__(self, n_in):
            super().__init__()
            self.latent_dim, self.encoder = LATENT, Encoder(n_in, 0)

        def forward(self, x):
            return self.encoder(torch.cat([x[name] for name in HALVES], dim=-1))

    class Decoder(BaseDecoder):
        def __init__(self, n_out, private):
            super().__init__()
            self.network = mlp(LATENT + private, n_out)

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    return argparse.Namespace(
        models=models,
        dataset=MultimodalBaseDataset,
        trainer=BaseTrainer,
        trainer_config=BaseTrainerConfig,
        encoder=Encoder,
        joint_encoder=JointEncoder,
        decoder=Decoder,
    )


def split(seed):
    """Halves and digits of the rows to train on and of the rows to test on."""
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    train, test, y_train, y_test = train_test_split(
        pixels, digits.target, test_size=0.25, random_state=seed, stratify=digits.target
    )
    cut = [[np.ascontiguousarray(part) for part in (x[:, :32], x[:, 32:])] for x in (train, test)]
    return *cut, y_train, y_test


def evaluate(make, method, n_epochs, seed):
    """Fit one model and judge it on the test rows."""
    train, test, y_train, y_test = split(seed)
    began = time.process_time()
    model = make(method, train, n_epochs, seed)
    seconds = time.process_time() - began
    torch.manual_seed(seed)
    coherence, errors = [], []
    for target in (0, 1):
        filled = model.filled(test, target)
        judge = LogisticRegression(max_iter=1000).fit(train[target], y_train)
        coherence.append(judge.score(filled, y_test))
        errors.append(np.mean((filled - test[target]) ** 2, dtype=np.float64))
    return {
        "joint": model.joint(test),
        "conditional": float(np.mean([model.conditional(test, target) for target in (0, 1)])),
        "coherence": float(np.mean(coherence)),
        "mse": float(np.mean(errors)),
        "seconds": seconds,
    }


def show(records):
    """Print means over seeds and paired differences."""
    found = {(r["library"], r["method"], r["seed"]): r for r in records}
    head = ("theirs", "ours", "ours - theirs", "s.e.")
    print("{:<10}{:<12}{:>10}{:>10}{:>15}{:>9}".format("method", "figure", *head))
    for method in OURS:
        seeds = {
            library: {seed for lib, name, seed in found if (lib, name) == (library, method)}
            for library in ("multivae", "skpoe")
        }
        both = sorted(seeds["multivae"] & seeds["skpoe"])
        for figure, sign in FIGURES.items() if any(seeds.values()) else ():
            line = f"{method:<10}{figure:<12}"
            for library, which in seeds.items():
                values = [found[library, method, seed][figure] for seed in sorted(both or which)]
                line += f"{np.mean(values):>10.4f}" if values else f"{'-':>10}"
            if both:
                gaps = np.array(
                    [
                        found["skpoe", method, seed][figure]
                        - found["multivae", method, seed][figure]
                        for seed in both
                    ]
                )
                error = gaps.std(ddof=1) / len(gaps) ** 0.5 if len(gaps) > 1 else math.nan
                worse = "  worse" if sign * gaps.mean() < -2 * error else ""
                line += f"{gaps.mean():>15.4f}{error:>9.4f}{worse}"
            print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(OURS), choices=list(OURS))
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--only", choices=["ours", "theirs"], help="fit one side")
    parser.add_argument("--theirs", help="JSON lines of earlier fits of the peer, to read")
    parser.add_argument("--gradient", default="dreg", choices=["dreg", "iwae"], help="of the peer")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    makers, records = {}, []
    if options.theirs:
        with open(options.theirs) as lines:
            read = [json.loads(line) for line in lines if line.startswith("{")]
        wanted = {"library": ["multivae"], "method": options.methods, "epochs": [options.epochs]}
        wanted |= {"seed": range(options.seeds), "gradient": [options.gradient, None]}
        records = [r for r in read if all(r[key] in values for key, values in wanted.items())]
    elif options.only != "ours":
        makers["multivae"] = partial(Theirs, peer=import_peer(), gradient=options.gradient)
    if options.only != "theirs":
        makers["skpoe"] = Ours
    for make in makers.values():  # the first fit of a process pays for what later ones share
        evaluate(make, "MVAE", 1, 0)
    for method in options.methods:
        for seed in range(options.seeds):
            for library, make in makers.items():
                if library == "skpoe" and not hasattr(skpoe, method):
                    continue
                figures = evaluate(make, method, options.epochs, seed)
                record = {"library": library, "method": method, "seed": seed}
                record["epochs"] = options.epochs
                chosen = library == "multivae" and "K" in THEIRS[method]
                record["gradient"] = options.gradient if chosen else None
                record |= {name: round(value, 5) for name, value in figures.items()}
                print(json.dumps(record), flush=True)
                records.append(record)
    show(records)


if __name__ == "__main__":
    main()
