"""Factories of networks: shapes, sizes, gradients, and use inside an estimator."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from small import FAST, KINDS, VAES, named, small, usual
from torch import nn

import skpoe.data.batch
from skpoe import Modalities, PoEVAE
from skpoe.nn import (
    ACTIVATIONS,
    ARCHITECTURES,
    ConvDecoder,
    ConvEncoder,
    MLPFactory,
)
from skpoe.nn.networks import SeparateNetworks
from skpoe.nn.stacked import StackedNetworks

# by hand, from the papers: hidden layers of encoder and decoder, class of the activation
SIZES = {
    "original": ([500, 500, 200], [200, 500, 500], "ReLU"),
    "svae": ([256, 128], [128, 256], "ReLU"),
    "mvae": ([512, 512], [512, 512, 512], "SiLU"),
    "miwae": ([128, 128], [128, 128], "Tanh"),
    "mmvae": ([400], [400], "ReLU"),
    "eddi": ([100, 50], [50, 100], "ReLU"),
    "iwae": ([200, 200], [200, 200], "Tanh"),
    "jvi": ([300, 300], [300, 300], "CReLU"),
}
SHAPES = [(1, 28, 28), (3, 7, 7), (1, 14, 28), (2, 5, 4), (1, 4, 4), (1, 9, 30)]
FACTORIES = [
    pytest.param(factory, 24, 10, id=f"{name} {part}")
    for name, architecture in ARCHITECTURES.items()
    for part, factory in (("encoder", architecture.encoder), ("decoder", architecture.decoder))
] + [
    pytest.param(MLPFactory(()), 24, 10, id="linear"),
    *(
        pytest.param(made, *sizes, id=f"{type(made).__name__} {shape} {channels}")
        for shape in SHAPES
        for channels in [(4,), (4, 6), (2, 3, 4, 5)]
        for made, sizes in (
            (ConvEncoder(shape, channels, hidden=8), (int(np.prod(shape)), 10)),
            (ConvDecoder(shape, channels, hidden=8), (3, int(np.prod(shape)))),
            (ConvDecoder(shape, channels, hidden=8), (3, 2 * int(np.prod(shape)))),
        )
    ),
]


@pytest.mark.parametrize(("factory", "n_in", "n_out"), FACTORIES)
def test_shapes_and_gradients(factory, n_in, n_out):
    torch.manual_seed(0)
    network = factory(n_in, n_out)
    x = torch.randn(64, n_in)
    y = network(x)
    assert y.shape == (64, n_out)
    (y * torch.randn(64, n_out)).sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in network.parameters())
    torch.testing.assert_close(network(x[:5]), y[:5])  # rows do not meet


@pytest.mark.parametrize(("factory", "n_in", "n_out"), FACTORIES)
def test_factories_are_values(factory, n_in, n_out):
    again = pickle.loads(pickle.dumps(factory))
    assert again == factory == clone(factory, safe=False)
    assert hash(again) == hash(factory)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = factory(n_in, n_out).state_dict()
        torch.manual_seed(3)
        second = again(n_in, n_out).state_dict()
    assert all((first[key] == second[key]).all() for key in first)  # the global generator alone


def test_the_registry_holds_the_sizes_of_the_papers():
    assert set(ARCHITECTURES) == set(SIZES)
    for name, (down, up, activation) in SIZES.items():
        architecture = ARCHITECTURES[name]
        assert architecture.name == name
        assert architecture.source
        for factory, sizes in ((architecture.encoder, down), (architecture.decoder, up)):
            layers = list(factory(17, 5))
            linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
            assert [layer.out_features for layer in linear] == [*sizes, 5]
            assert linear[0].in_features == 17
            between = {type(layer).__name__ for layer in layers} - {"Linear"}
            assert between == {activation}


def test_crelu_keeps_both_signs():
    network = MLPFactory((2,), "crelu")(1, 1)
    hidden = network[:2](torch.tensor([[1.0]]))
    linear = network[0](torch.tensor([[1.0]]))
    torch.testing.assert_close(hidden, torch.cat([linear.clamp(min=0), (-linear).clamp(min=0)], 1))


def test_a_convolution_sees_neighbours_in_the_image():
    """With the linear layers out of the way, one pixel moves the outputs around it alone."""
    torch.manual_seed(0)
    network = ConvEncoder((1, 8, 8), (2,), hidden=4)(64, 3)
    image = torch.zeros(1, 64)
    moved = image.clone()
    moved[0, 3 * 8 + 5] = 1.0  # row 3, column 5
    before, after = network[:2](image), network[:2](moved)
    rows, columns = (before != after).any(1)[0].nonzero().T
    assert sorted(set(rows.tolist())) == [1, 2]
    assert sorted(set(columns.tolist())) == [2, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ConvEncoder((1, 28, 28))(783, 2),
            "ConvEncoder of shape (1, 28, 28) reads 784 numbers a row, but the modality has 783. "
            "Give the shape of its images.",
        ),
        (
            lambda: ConvDecoder((1, 28, 28))(2, 783),
            "ConvDecoder of shape (1, 28, 28) makes a multiple of 784 numbers a row, but the "
            "likelihood of the modality asks for 783. Give the shape of its images.",
        ),
        (
            lambda: ConvEncoder((28, 28)),
            "shape of ConvEncoder must be (channels, height, width) with sides of at least 4; got "
            "(28, 28).",
        ),
        (
            lambda: ConvDecoder((1, 28, 3)),
            "shape of ConvDecoder must be (channels, height, width)",
        ),
        (lambda: ConvDecoder((1, 8, 8), ()), "channels of ConvDecoder must be positive integers;"),
        (lambda: ConvEncoder((1, 8, 8), hidden=0), "hidden of ConvEncoder must be a positive int"),
        (lambda: ConvEncoder((0, 8, 8)), "shape of ConvEncoder must be positive integers; got (0"),
        (
            lambda: ConvEncoder((1, 8, 8), activation="step"),
            "activation of ConvEncoder must be one of ['gelu', 'relu', 'silu', 'softplus', 'tanh']"
            "; got 'step'.",
        ),
        (
            lambda: MLPFactory((3,), "step"),
            "activation of MLPFactory must be one of ['crelu', 'ge",
        ),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError) as info:  # noqa: PT011
        call()
    assert str(info.value).startswith(message)


def test_an_estimator_learns_images_with_convolutions():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 1))
    images = z[:, :, None, None] * np.ones((1, 5, 6)) + 0.1 * rng.normal(size=(60, 1, 5, 6))
    X = Modalities({"image": images, "size": z})
    shape = (1, 5, 6)
    vae = PoEVAE(
        encoder={"image": ConvEncoder(shape, (4, 8), 16), "size": MLPFactory((8,))},
        decoder={"image": ConvDecoder(shape, (8, 4), 16), "size": MLPFactory((8,))},
        latent_dim=1,
        max_iter=100,
        batch_size=20,
        learning_rate_init=0.01,
        n_importance_samples=8,
        random_state=0,
    )
    filled = clone(vae).fit(X).predict_missing(Modalities({"image": None, "size": z}))["image"]
    assert filled.shape == (60, 1, 5, 6)
    error = np.mean((filled - images) ** 2)
    assert error < 0.3 * np.mean(images**2)
    short = [clone(vae).set_params(max_iter=1).fit(X).transform(X) for _ in range(2)]
    np.testing.assert_array_equal(*short)


def test_the_table_in_the_docs_is_that_of_the_registry():
    page = (Path(__file__).parent.parent / "docs" / "networks.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, flags=re.MULTILINE))
    assert set(rows) == set(ARCHITECTURES)
    for name, architecture in ARCHITECTURES.items():
        down, up = (
            "-".join(map(str, factory.hidden_layer_sizes))
            for factory in (architecture.encoder, architecture.decoder)
        )
        url = architecture.source.split(", ")[-1]
        assert rows[name].startswith(f"{down} | {up} | {architecture.encoder.activation} | ")
        assert f"({url})" in rows[name]


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "crelu"])
@pytest.mark.parametrize("sizes", [(), (8,), (6, 5)])
def test_stacked_networks_are_those_that_they_were_made_of(activation, sizes):
    torch.manual_seed(0)
    made = [MLPFactory(sizes, activation)(4, 3).double() for _ in range(3)]
    separate, stacked = SeparateNetworks(made), StackedNetworks(made)
    x = [torch.randn(7, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    unequal = [x[0], x[1][:2], x[2]]

    def values(networks):
        yield networks.each(x)
        yield from networks.every(x[0])
        yield from networks.own(x)
        yield from networks.own(unequal)
        yield from (networks.one(m, x[m]) for m in range(3))

    for ours, theirs in zip(values(stacked), values(separate), strict=True):
        torch.testing.assert_close(ours, theirs)
        ours, theirs = (
            torch.autograd.grad(v.pow(2).sum(), x, materialize_grads=True, retain_graph=True)
            for v in (ours, theirs)
        )
        torch.testing.assert_close(ours, theirs)
    for network, again in zip(made, stacked.networks, strict=True):
        torch.testing.assert_close(again(x[0]), network(x[0]))
    with torch.no_grad():  # what is looked at are the weights themselves
        stacked[1][0].weight.zero_()
    assert not stacked.weights[0][1].any()
    assert stacked.weights[0][[0, 2]].any()


def test_only_perceptrons_of_one_shape_are_stacked():
    def two(make):
        return [make(), make()]

    def plain():
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

    assert StackedNetworks.can_hold(two(plain))
    for other in (
        [plain(), nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))],
        [plain(), nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))],
        [plain(), plain().double()],
        two(lambda: nn.Sequential(nn.Linear(3, 4, bias=False))),
        two(lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2))),
        two(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU())),
        two(lambda: nn.Linear(3, 4)),
    ):
        assert not StackedNetworks.can_hold(other)


@pytest.mark.parametrize(
    ("cls", "with_holes"), [*((cls, True) for cls in VAES), *((cls, False) for cls in KINDS)]
)
def test_a_fit_does_not_depend_on_whether_networks_are_stacked(cls, with_holes, monkeypatch):
    """Nor on whether modalities are held as one block."""
    X = named(usual(40, (3, 3, 3)))
    if with_holes:
        X["b"][::3] = np.nan
    est = small(cls, **FAST, activation="relu", dtype="float64")
    stacked = clone(est).fit(X)
    monkeypatch.setattr(StackedNetworks, "can_hold", lambda networks: False)
    rooms = skpoe.data.batch._room_for
    monkeypatch.setattr(
        skpoe.data.batch,
        "_room_for",
        lambda values, n_rows: ([rooms([value], n_rows)[0][0] for value in values], None),
    )
    separate = est.fit(X)
    kinds = [
        sum(isinstance(module, StackedNetworks) for module in fit.model_.modules())
        for fit in (stacked, separate)
    ]
    assert kinds[0] > kinds[1] == 0
    np.testing.assert_allclose(stacked.score_samples(X), separate.score_samples(X), rtol=1e-6)
