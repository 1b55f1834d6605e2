"""Lean training loops, written by hand: what the same mathematics costs at the least.

A loop knows its workload alone: modalities of one width, complete rows of zeros and ones, one
hidden layer, no names, no history. The networks of all modalities are one product of stacked
matrices.
"""

import math

import torch
from torch.nn import functional as F

from skpoe.distributions import HypersphericalUniform, VonMisesFisher

N_DRAWS = 10  # of MMVAE and MIWAE


class Lean:
    """A loop for one method.

    Parameters
    ----------
    method : {"PoE", "MVAE", "MMVAE", "MoPoE", "MIWAE", "SphericalVAE"}
        "PoE" is the ELBO of a product of experts. The sphere's draws and divergence are skpoe's:
        the gradients of public samplers are others; encoders say a direction and one number.
    x : Tensor of shape (M, N, F)
    latent, hidden : int
    """

    def __init__(self, method, x, latent, hidden, seed=0):
        torch.manual_seed(seed)
        self.method, self.x, self.latent = method, x, latent
        n, _, width = x.shape
        n_encoders = 1 if method == "MIWAE" else n
        reads = n * width if method == "MIWAE" else width
        n_out = latent + 1 if method == "SphericalVAE" else 2 * latent
        self.encoder = [*_layer(n_encoders, reads, hidden), *_layer(n_encoders, hidden, n_out)]
        self.decoder = [*_layer(n, latent, hidden), *_layer(n, hidden, width)]
        self.parameters = [*self.encoder, *self.decoder]
        if method == "MMVAE":
            self.prior = torch.zeros(latent, requires_grad=True)
            self.parameters.append(self.prior)
        self.adam = torch.optim.Adam(self.parameters, lr=1e-3, fused=True)
        rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * n).view(-1, n)[1:]
        self.members = rows if method == "MoPoE" else torch.cat([torch.ones(1, n), torch.eye(n)])

    def epoch(self, size):
        n_rows = self.x.shape[1]  # batches of nearly equal size, as skpoe deals them
        for rows in torch.randperm(n_rows).tensor_split(-(-n_rows // size)):
            x = self.x[:, rows]
            loss = getattr(self, self.method.lower())(x) / len(rows)
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()

    def encode(self, x):
        return _two_layers(x, self.encoder)

    def explain(self, z, x):
        """Log p(x_m | z) summed over features: z (M, draws, rows, D), x (M, rows, F)."""
        logits = _two_layers(z.flatten(1, 2), self.decoder).unflatten(1, z.shape[1:3])
        target = x[:, None].expand_as(logits)
        return -F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)

    def experts(self, x):
        mean, log_precision = self.encode(x).chunk(2, -1)
        precision = log_precision.exp()
        return mean * precision, precision

    def product(self, x, members, prior=1.0):
        h, precision = (torch.einsum("sm,mnd->snd", members, part) for part in self.experts(x))
        precision = precision + prior
        return h / precision, precision

    def poe(self, x):
        mean, precision = self.product(x, self.members[:1])
        z = mean + precision.rsqrt() * torch.randn_like(mean)
        return _kl(mean, precision).sum() - self.explain(z.expand(len(x), -1, -1, -1), x).sum()

    def mvae(self, x):
        mean, precision = self.product(x, self.members)
        z = mean + precision.rsqrt() * torch.randn_like(mean)
        # each modality is decoded from all together and from itself
        own = torch.stack([z[0].expand(len(x), -1, -1), z[1:]], dim=1)
        return (_kl(mean, precision).sum() - self.explain(own, x).sum()) / len(self.members)

    def mopoe(self, x):
        mean, precision = self.product(x, self.members, prior=0.0)
        kl = _kl(mean, precision).mean(0).sum()
        rows = torch.arange(x.shape[1])
        which = torch.randint(len(self.members), (x.shape[1],))  # one component a row is drawn
        mean, precision = mean[which, rows], precision[which, rows]
        z = (mean + precision.rsqrt() * torch.randn_like(mean))[None]
        return kl - self.explain(z.expand(len(x), -1, -1, -1), x).sum()

    def mmvae(self, x):
        mean, score = self.encode(x).chunk(2, -1)
        scale = F.softmax(score, -1) * self.latent
        noise = torch.distributions.Laplace(0.0, 1.0).sample((N_DRAWS, *mean.shape))
        z = mean + scale * noise  # (K, M, N, D)
        judge_mean, judge_scale = mean.detach(), scale.detach()
        away = (z[:, :, None] - judge_mean).abs() / judge_scale + judge_scale.log()
        log_q = (-away - math.log(2)).sum(-1).logsumexp(2) - math.log(len(x))
        prior = F.softmax(self.prior, 0) * self.latent
        log_p = (-z.abs() / prior - prior.log() - math.log(2)).sum(-1)
        draws = z.flatten(0, 1)[None].expand(len(x), -1, -1, -1)
        log_w = self.explain(draws, x).sum(0).view(log_p.shape) + log_p - log_q
        share = torch.softmax(log_w.detach(), 0)
        z.register_hook(lambda gradient: gradient * share[..., None])
        return -(share * log_w).sum() / len(x)

    def miwae(self, x):
        both = x.transpose(0, 1).flatten(1)[None]
        mean, log_precision = self.encode(both)[0].chunk(2, -1)
        noise = torch.randn(N_DRAWS, *mean.shape)
        z = mean + (-0.5 * log_precision).exp() * noise
        log_ratio = 0.5 * (noise.square() - log_precision - z.square()).sum(-1)
        fit = self.explain(z[None].expand(len(x), -1, -1, -1), x).sum(0)
        return -(fit + log_ratio).logsumexp(0).sum()

    def sphericalvae(self, x):
        direction, number = self.encode(x).split([self.latent, 1], -1)
        eta = F.normalize(direction, dim=-1) * (1.0 + F.softplus(number))
        vmf = VonMisesFisher(eta=eta.sum(0), validate_args=False)
        uniform = HypersphericalUniform(self.latent, validate_args=False)
        kl = torch.distributions.kl_divergence(vmf, uniform).sum()
        return kl - self.explain(vmf.rsample()[None, None].expand(len(x), -1, -1, -1), x).sum()


def _layer(n, n_in, n_out):
    bound = n_in**-0.5
    weight = torch.empty(n, n_in, n_out).uniform_(-bound, bound).requires_grad_()
    return weight, torch.zeros(n, 1, n_out, requires_grad=True)


def _two_layers(x, layers):
    hidden = torch.baddbmm(layers[1], x, layers[0]).relu_()
    return torch.baddbmm(layers[3], hidden, layers[2])


def _kl(mean, precision):
    return 0.5 * (mean.square() + 1 / precision + precision.log() - 1).sum(-1)
