"""Laws of the variational strategies, and what each of them says by hand."""

import itertools

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import nn

from skpoe import MVAE
from skpoe.data.batch import Batch
from skpoe.model import MultimodalVAE
from skpoe.nn import LinearPlus, Shared, mlp
from skpoe.nn.networks import SeparateNetworks, SharedNetwork
from skpoe.objectives import OBJECTIVES, AlignedELBO, SubsetELBO
from skpoe.posteriors import DiagonalGaussian, FullGaussian, Laplace, StudentT
from skpoe.priors import Laplace as LaplacePrior
from skpoe.priors import ScaledGaussian
from skpoe.random import RowNoise
from skpoe.strategies import (
    JointEncoder,
    ProductOfExperts,
    ProductWithStandIns,
    SetEncoder,
    SubsetEncoders,
)
from skpoe.subsets import Subsets

WIDTHS, D, N = (4, 3, 2), 2, 14
F = sum(WIDTHS)
SUBSETS = [s for k in range(4) for s in itertools.combinations(range(3), k)]


def network(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 6), nn.Tanh(), nn.Linear(6, n_out))


def each(family, widths=WIDTHS):
    return [network(width, family.n_outputs(D)) for width in widths]


def said(family, widths=WIDTHS):
    """What entries say of z, where the family learns that."""
    vectors = [family.shared(width, D) for width in widths]
    return vectors if vectors[0] is not None else None


def with_shared_network(family):
    """Widths differ here, so each modality is brought to one width first."""

    class Padded(SharedNetwork):
        def each(self, values):
            return super().each([nn.functional.pad(x, (0, 4 - x.shape[1])) for x in values])

    embedding = nn.Parameter(torch.randn(3, 2))
    shared = network(SharedNetwork.n_read(4, 2), family.n_outputs(D))
    return ProductOfExperts(family, Padded(shared, embedding, 4))


STRATEGIES = {
    "product": lambda family: ProductOfExperts(family, each(family), shared=said(family)),
    "product without prior": lambda family: ProductOfExperts(
        family, each(family), shared=said(family), prior_expert=False
    ),
    "shared network": with_shared_network,
    "stand-ins": lambda family: ProductWithStandIns(family, each(family), each(family)),
    "joint": lambda family: JointEncoder(
        family, network(2 * F, family.n_outputs(D)), (said(family, [F]) or [None])[0]
    ),
    "pointnet_plus": lambda family: SetEncoder(family, network(20, family.n_outputs(D)), F),
    "pointnet": lambda family: SetEncoder(
        family, network(20, family.n_outputs(D)), F, kind="pointnet"
    ),
    "subset encoders": lambda family: SubsetEncoders(
        family, network(2 * F, family.n_outputs(D)), each(family)
    ),
}
FAMILIES = {
    "diagonal": DiagonalGaussian,
    "student": StudentT,
    "laplace": Laplace,
    "full": FullGaussian,
}
PAIRS = [
    *((name, "diagonal") for name in STRATEGIES),
    ("product", "student"),
    ("product", "full"),
    ("product without prior", "full"),
    ("joint", "full"),
    *((name, "laplace") for name in ("joint", "pointnet_plus", "subset encoders")),
    ("joint", "student"),
]


def model_of(name, family="diagonal"):
    torch.manual_seed(0)
    strategy = STRATEGIES[name](FAMILIES[family]())
    prior = LaplacePrior(D) if family == "laplace" else ScaledGaussian(D)
    prior.scores.data = torch.randn(D)
    likelihoods = LinearGaussian(WIDTHS, D).likelihoods()
    for likelihood in likelihoods:
        likelihood.reach = 5.0
    decoders = [network(D, width) for width in WIDTHS]
    model = MultimodalVAE(strategy, prior, decoders, likelihoods, Subsets.full(3))
    return model.double()


def holes(n=N):
    """Entries that are shown, a mask a modality; one modality is shown whole or not at all."""
    rng = np.random.default_rng(1)
    masks = [rng.random((n, width)) < 0.5 for width in WIDTHS]
    masks[1] = masks[1][:, :1]
    masks[0][2:4], masks[1][3:5], masks[2][3] = False, False, False  # row 3 shows nothing
    return [torch.from_numpy(mask) for mask in masks]


def batch_of(filler=0.0, masks=None, n=N):
    rng = np.random.default_rng(0)
    values = [torch.from_numpy(rng.normal(size=(n, width))) for width in WIDTHS]
    masks = holes(n) if masks is None else masks
    values = [torch.where(mask, value, filler) for value, mask in zip(values, masks, strict=True)]
    return Batch(values, masks)


def membership_of(subsets, observed):
    members = torch.zeros(len(subsets), 3, dtype=torch.bool)
    for s, subset in enumerate(subsets):
        members[s, list(subset)] = True
    return members[:, None] & observed


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_hidden_inputs_change_nothing(name, family):
    """Neither the posteriors nor value and gradient, bit for bit; of entries too."""

    def results(filler):
        model, batch = model_of(name, family), batch_of(filler)
        params = model.posterior(batch, membership_of(SUBSETS, batch.observed)).params
        made = SubsetELBO(n_samples=2)(model, batch, RowNoise(0, torch.arange(N)))
        made.sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return [*params.values(), made, *gradients]

    ours, others = results(0.0), results(37.0)
    assert len(ours) == len(others)
    for a, b in zip(ours, others, strict=True):
        assert torch.equal(a, b)
        assert a.isfinite().all()
    # what is shown does move them
    moved = batch_of()
    moved.values[0][0] += 1.0 * moved.masks[0][0]
    assert moved.masks[0][0].any()
    value = SubsetELBO(n_samples=2)(model_of(name, family), moved, RowNoise(0, torch.arange(N)))
    plain = results(0.0)[len(model_of(name, family).posterior(moved).params)]
    assert value[0] != plain[0]
    assert torch.equal(value[1:], plain[1:])


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_a_subset_reads_its_modalities_alone(name, family):
    model, batch = model_of(name, family), batch_of()
    membership = membership_of(SUBSETS, batch.observed)
    before = model.posterior(batch, membership)
    for m in range(3):
        moved = batch_of()
        moved.values[m] = moved.values[m] + moved.masks[m] * 0.7
        after = model.posterior(moved, membership)
        holds = membership[..., m]
        for leaf in ("mean",) if family == "full" else before.params:
            same = (before.params[leaf] == after.params[leaf]).flatten(2).all(-1)
            assert same[~holds].all()
            if leaf == "mean":
                assert not same[holds].any()


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_an_empty_subset_is_the_prior(name, family):
    model, batch = model_of(name, family), batch_of()
    membership = membership_of(SUBSETS, batch.observed)
    posterior = model.posterior(batch, membership)
    z = torch.randn(3, len(SUBSETS), N, D, dtype=torch.float64)
    empty = ~membership.any(-1)
    assert empty[0].all()
    assert empty[:, 3].all()
    ours, prior = posterior.component_log_prob(z), model.prior.log_prob(z)
    np.testing.assert_allclose(ours[:, empty].detach(), prior[:, empty].detach(), atol=1e-12)
    gap = (ours - prior).abs().amax(0)
    assert (gap[~empty] > 1e-6).all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_gradients_reach_every_parameter(name):
    model, batch = model_of(name), batch_of()
    OBJECTIVES["vaevae"]()(model, batch, RowNoise(0, torch.arange(N))).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert (parameter.grad != 0).any(), key


@pytest.mark.parametrize("name", STRATEGIES)
def test_rows_do_not_meet(name):
    model, batch = model_of(name), batch_of()
    membership = membership_of(SUBSETS, batch.observed)
    together = model.posterior(batch, membership).params
    alone = model.posterior(batch[5:7], membership[:, 5:7]).params
    for leaf, value in together.items():
        np.testing.assert_allclose(value[:, 5:7].detach(), alone[leaf].detach(), atol=1e-12)


@pytest.mark.parametrize("kind", ["pointnet", "pointnet_plus"])
def test_set_encoder_sums_what_each_shown_entry_says(kind):
    model, batch = model_of(kind), batch_of()
    strategy = model.strategy
    membership = membership_of(SUBSETS, batch.observed)
    params = strategy(batch, membership, model.prior.natural())
    x = torch.cat(batch.values, 1)
    mask = torch.cat([m.expand(-1, w) for m, w in zip(batch.masks, WIDTHS, strict=True)], 1)
    modality = np.repeat(np.arange(3), WIDTHS)
    with torch.no_grad():
        for s in range(len(SUBSETS)):
            for n in range(N):
                if not membership[s, n].any():
                    continue
                total = torch.zeros(20).double()
                for d in range(F):
                    if mask[n, d] and membership[s, n, modality[d]]:
                        e = strategy.embedding[d]
                        if kind == "pointnet":  # [x, e] by one matrix
                            matrix = torch.cat([strategy.other, strategy.weight])
                            said = torch.cat([x[n, d : d + 1], e]) @ matrix + strategy.bias
                        else:
                            said = (x[n, d] * e) @ strategy.weight
                            said = said + strategy.other[d] + strategy.bias
                        total += torch.relu(said)
                mean, log_precision = strategy.encoder(total).chunk(2)
                np.testing.assert_allclose(params["mean"][s, n], mean, atol=1e-12)
                np.testing.assert_allclose(
                    params["precision"][s, n].log(), log_precision, atol=1e-12
                )


@pytest.mark.parametrize("kind", ["pointnet", "pointnet_plus"])
def test_set_encoder_knows_features_by_their_embeddings_alone(kind):
    """Features that change places with their embeddings, across modalities, change nothing."""
    torch.manual_seed(0)
    strategy = STRATEGIES[kind](DiagonalGaussian()).double()
    rng = np.random.default_rng(0)
    x, mask = torch.from_numpy(rng.normal(size=(N, F))), torch.from_numpy(rng.random((N, F)) < 0.6)
    order = torch.from_numpy(rng.permutation(F))
    prior = {"h": torch.zeros(D).double(), "precision": torch.ones(D).double()}

    def params(x, mask):
        batch = Batch(list((x * mask).split(WIDTHS, 1)), list(mask.split(WIDTHS, 1)))
        return strategy(batch, batch.observed[None], prior)

    before = params(x, mask)
    away = params(x[:, order], mask[:, order])
    assert not torch.allclose(before["mean"], away["mean"])  # they are told apart
    strategy.embedding.data = strategy.embedding.data[order]
    if kind == "pointnet_plus":
        strategy.other.data = strategy.other.data[order]
    after = params(x[:, order], mask[:, order])
    for leaf in before:
        np.testing.assert_allclose(before[leaf].detach(), after[leaf].detach(), atol=1e-12)


def test_joint_encoders_say_the_posterior():
    """However many modalities a subset holds, and whatever the prior is."""
    model, batch = model_of("joint"), batch_of()
    membership = membership_of(SUBSETS, batch.observed)
    params = model.strategy(batch, membership, model.prior.natural())
    for s in range(len(SUBSETS)):
        shown = [membership[s, :, [m]] & batch.masks[m].expand(N, w) for m, w in enumerate(WIDTHS)]
        shown = torch.cat(shown, 1)
        x = torch.cat(batch.values, 1)
        said = model.strategy.encoder(torch.cat([x * shown, (~shown).to(x)], 1))
        mean, log_precision = said.chunk(2, -1)
        some = membership[s].any(-1)
        np.testing.assert_allclose(
            params["mean"][s, some].detach(), mean[some].detach(), atol=1e-12
        )
        np.testing.assert_allclose(
            params["precision"][s, some].log().detach(), log_precision[some].detach(), atol=1e-12
        )


class Whole(nn.Module):
    """A network that is no perceptron, and checks what it is given."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.inner, self.n_in = network(n_in, n_out), n_in

    def forward(self, x):
        assert x.shape[-1] == self.n_in
        return self.inner(x)


def hooked(n_in, n_out):
    """A network that says more than its layers, as those with normalised weights do."""
    made = network(n_in, n_out)
    made[0].register_forward_hook(lambda layer, x, said: 2 * said + 1)
    return made


ENCODERS = {
    "theirs": network,
    "hooked": hooked,
    "ours": lambda n_in, n_out: mlp(n_in, n_out, [6], "tanh", torch.Generator().manual_seed(0)),
    "linear": nn.Linear,
    "one layer": lambda n_in, n_out: nn.Sequential(nn.Linear(n_in, n_out)),
    "other": Whole,
    "plus": lambda n_in, n_out: LinearPlus(F, n_out, Whole(n_in, n_out)),
}


@pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)
def test_of_complete_rows_joint_encoders_read_that_nothing_is_hidden(make):
    torch.manual_seed(0)
    family = DiagonalGaussian()
    strategy = JointEncoder(family, make(2 * F, family.n_outputs(D))).double()
    values = [torch.randn(N, width).double() for width in WIDTHS]
    batch = Batch(values, [torch.ones(N, 1, dtype=torch.bool)] * 3)
    assert batch.is_whole
    prior = ScaledGaussian(D).double().natural()
    mean = strategy(batch, torch.ones(1, N, 3, dtype=torch.bool), prior)["mean"][0]
    x = torch.cat(values, 1)
    said = strategy.encoder(torch.cat([x, torch.zeros_like(x)], 1))[:, :D]
    np.testing.assert_allclose(mean.detach(), said.detach(), atol=1e-12)
    both = [
        torch.autograd.grad((value**3).sum(), list(strategy.parameters()), allow_unused=True)
        for value in (mean, said)
    ]
    for own, wanted in zip(*both, strict=True):
        np.testing.assert_allclose(own, wanted, atol=1e-12)


def test_subset_encoders_have_one_for_each_modality_and_one_for_more():
    batch = batch_of()
    for subset in SUBSETS[1:]:
        model = model_of("subset encoders")
        strategy = model.strategy
        membership = membership_of([subset], batch.observed)
        params = strategy(batch, membership, model.prior.natural())
        size = membership[0].sum(-1)
        shown = torch.cat(
            [membership[0, :, [m]] & batch.masks[m].expand(N, w) for m, w in enumerate(WIDTHS)], 1
        )
        both = torch.cat([torch.cat(batch.values, 1) * shown, (~shown).double()], 1)
        for n in range(N):
            (held,) = np.nonzero(membership[0, n].numpy())
            if not len(held):
                continue
            single = len(held) == 1
            said = (
                strategy.encoders[held[0]](batch.values[held[0]][n])
                if single
                else strategy.joint.encoder(both[n])
            )
            mean, log_precision = said.detach().chunk(2)
            np.testing.assert_allclose(params["mean"][0, n].detach(), mean, atol=1e-12)
            np.testing.assert_allclose(
                params["precision"][0, n].log().detach(), log_precision, atol=1e-12
            )
        # gradients reach what was asked, and nothing else
        (params["mean"][0, size == size.max()]).sum().backward()
        asked = {
            *(("own", m) for m in subset if len(subset) == 1),
            *([("joint", 0)] if len(subset) > 1 else []),
        }
        touched = set()
        for m in range(3):
            gradient = strategy.encoders[m][0].weight.grad
            if gradient is not None and (gradient != 0).any():
                touched.add(("own", m))
        gradient = strategy.joint.encoder[0].weight.grad
        if gradient is not None and (gradient != 0).any():
            touched.add(("joint", 0))
        assert touched == asked


@pytest.mark.parametrize("n_modalities", [1, 2, 3])
def test_stand_ins_by_hand(n_modalities):
    torch.manual_seed(0)
    family, widths = DiagonalGaussian(), WIDTHS[:n_modalities]
    strategy = ProductWithStandIns(family, each(family, widths), each(family, widths)).double()
    values = [torch.randn(N, w, dtype=torch.float64) for w in widths]
    batch = Batch(values, [torch.ones(N, 1, dtype=torch.bool)] * n_modalities)
    prior = {"h": torch.full((D,), 0.3).double(), "precision": torch.full((D,), 2.0).double()}
    everyone = range(n_modalities)
    subsets = [s for k in range(n_modalities + 1) for s in itertools.combinations(everyone, k)]
    membership = torch.zeros(len(subsets), 1, n_modalities, dtype=torch.bool)
    for s, subset in enumerate(subsets):
        membership[s, 0, list(subset)] = True
    params = strategy(batch, membership.expand(-1, N, -1), prior)

    def natural(networks, m):
        mean, log_precision = networks[m](values[m]).detach().chunk(2, -1)
        return torch.cat([mean * log_precision.exp(), log_precision.exp()], -1)

    # the power of each stand-in, by the formula: (1 / |s|) (M - |s|) / (M - 1)
    powers = {1: {1: 0.0}, 2: {1: 1.0, 2: 0.0}, 3: {1: 1.0, 2: 0.25, 3: 0.0}}[n_modalities]
    for s, subset in enumerate(subsets):
        if subset:
            total = sum(natural(strategy.encoders, m) for m in subset)
            total = total + powers[len(subset)] * sum(
                natural(strategy.stand_ins, m) for m in subset
            )
        else:
            total = torch.cat([prior["h"], prior["precision"]]).expand(N, -1)
        h, precision = total.chunk(2, -1)
        np.testing.assert_allclose(params["mean"][s].detach(), h / precision, atol=1e-12)
        np.testing.assert_allclose(params["precision"][s].detach(), precision, rtol=1e-12)


def test_a_shared_network_is_told_which_modality_it_sees():
    torch.manual_seed(0)
    embedding = nn.Parameter(torch.randn(3, 5))
    shared = SharedNetwork(network(4 + 5 + 5, 7), embedding, 4)
    values = [torch.randn(N, 4) for _ in range(3)]
    together = shared.each(values)
    assert len(shared) == 3
    assert together.shape == (N, 3, 7)
    for m, x in enumerate(values):
        place = torch.tanh(embedding[m])
        products = (x @ shared.of_values) * (place @ shared.of_modality)
        by_hand = shared.network(torch.cat([x, place.expand(N, -1), products], 1))
        torch.testing.assert_close(shared.one(m, x), by_hand)
        torch.testing.assert_close(together[:, m], by_hand)
    assert not torch.allclose(shared.one(0, values[0]), shared.one(1, values[0]))
    (together[:, 1] ** 2).sum().backward()
    assert (embedding.grad[1] != 0).all()
    assert (embedding.grad[[0, 2]] == 0).all()
    separate = SeparateNetworks([network(4, 7) for _ in range(3)])
    for m, x in enumerate(values):
        torch.testing.assert_close(separate.each(values)[:, m], separate.one(m, x))


@pytest.mark.parametrize("tied", [False, True])
def test_tied_networks_share_their_embeddings(tied):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(12, 3)) for _ in range(4)]
    how = Shared(embedding_dim=5, tied=tied)
    est = MVAE(encoder=how, decoder=how, latent_dim=2, max_iter=1, random_state=0).fit(X)
    encoders, decoders = est.model_.strategy.encoders, est.model_.decoders
    assert (encoders.embedding is decoders.embedding) is tied
    assert encoders.embedding.shape == (4, 5)
    with pytest.raises(ValueError, match=r"encoder=Shared\(...\) is one network for all modalit"):
        MVAE(encoder=how, latent_dim=2, max_iter=1).fit([X[0], X[1][:, :2]])


def linear(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


def exact_encoders(world, shift=0.0):
    """The model whose encoders say the exact posteriors of one latent variable.

    ``shift`` adds to what the first of the single encoders says.
    """
    said = []
    for subset in [(0,), (1,), (0, 1)]:
        W, b, s2, _ = world.stacked(subset)
        variance = 1 / (1 + (W[:, 0] ** 2 / s2).sum())
        gain = variance * W[:, 0] / s2
        weight = np.stack([gain, np.zeros_like(gain)])
        said.append((weight, np.array([-gain @ b, -np.log(variance)])))
    weight, bias = said[2]
    joint = linear(np.hstack([weight, np.zeros_like(weight)]), bias)  # it need not read the mask
    singles = [
        linear(weight, bias + (m == 0) * shift) for m, (weight, bias) in enumerate(said[:2])
    ]
    strategy = SubsetEncoders(DiagonalGaussian(), joint, singles)
    whole = world.model()
    return MultimodalVAE(
        strategy, whole.prior, whole.decoders, whole.likelihoods, Subsets.full(2)
    ).double()


@pytest.mark.parametrize(
    "objective",
    [AlignedELBO(parts="singles"), OBJECTIVES["vaevae"](), AlignedELBO(parts="split")],
    ids=["jmvae", "vaevae", "split"],
)
def test_single_encoders_are_taught_the_conditional_posterior(objective):
    """Where the joint posterior is exact, exact single ones are where the gradient is zero.

    The mean over x_2 given x_1 of KL(q(z | x_1, x_2) || q(z | x_1)) is least where q(z | x_1) has
    the moments of p(z | x_1). Each row is a repeat; data and noise are fresh in each.
    """
    n = 40_000
    world = LinearGaussian(widths=(2, 3), latent_dim=1, n=n, seed=5)

    def z_scores(shift):
        model = exact_encoders(world, np.array(shift))
        leaves = []
        for m in range(2):
            leaf = torch.zeros(n, 2, dtype=torch.float64, requires_grad=True)
            model.strategy.encoders[m].register_forward_hook(lambda _, __, out, s=leaf: out + s)
            leaves.append(leaf)
        value = objective(model, world.batch(), RowNoise(0, torch.arange(n)))
        gradient = torch.cat(torch.autograd.grad(value.sum(), leaves), 1).numpy()
        return gradient.mean(0) / gradient.std(0) * np.sqrt(n)

    assert (np.abs(z_scores([0.0, 0.0])) < 4).all()
    # and it points back from anywhere else: the mean too large, the precision too large
    mean, precision, *other = z_scores([0.1, 0.1])
    assert mean < -5
    assert precision < -5
    assert (np.abs(other) < 4).all()
    mean, precision, *_ = z_scores([-0.1, -0.1])
    assert mean > 5
    assert precision > 5
