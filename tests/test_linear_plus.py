"""A linear map and a network that says nothing at first."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from skpoe.nn import ARCHITECTURES, ConvDecoder, ConvEncoder, LinearPlus, mlp

N_IN, N_OUT = 16, 5


def perceptron(n_in=N_IN, n_out=N_OUT):
    return mlp(n_in, n_out, [7], "silu", torch.Generator().manual_seed(0))


NETWORKS = {
    "none": None,
    "linear": nn.Linear(N_IN, N_OUT),
    "perceptron": perceptron(),
    "with norm and dropout": nn.Sequential(
        nn.LayerNorm(N_IN), nn.Linear(N_IN, 4), nn.Dropout(), nn.Tanh(), nn.Linear(4, N_OUT)
    ),
    "convolutional encoder": ConvEncoder((1, 4, 4))(N_IN, N_OUT),
    "convolutional decoder": ConvDecoder((1, 4, 4))(N_IN, 16),
    **{name: made.encoder(N_IN, N_OUT) for name, made in ARCHITECTURES.items()},
}


@pytest.fixture
def x(generator):
    return torch.randn(40, N_IN, generator=generator)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_starts_as_its_linear_map_whatever_the_network(name, training, x, generator):
    n_out = 16 if name == "convolutional decoder" else N_OUT
    weight, bias = torch.randn(n_out, N_IN, generator=generator), torch.arange(float(n_out))
    both = LinearPlus(N_IN, n_out, copy.deepcopy(NETWORKS[name]), 2.0, 0.3)
    both.train(training)
    assert not both(x).any()
    both.start(weight, bias)
    np.testing.assert_allclose(both(x).detach(), x @ weight.T + bias, rtol=1e-5, atol=1e-5)


def loud(n_read=N_IN, **params):
    """One whose linear part is zero and whose network is not."""
    both = LinearPlus(min(N_IN, n_read), N_OUT, perceptron(n_read), **params)
    both.network.load_state_dict(perceptron(n_read).state_dict())
    return both


def test_it_is_the_sum_of_both(x, generator):
    both, weight = loud(), torch.randn(N_OUT, N_IN, generator=generator)
    both.start(weight, torch.ones(N_OUT))
    exact = x @ weight.T + 1 + perceptron()(x)
    torch.testing.assert_close(both(x), exact)


def test_the_network_may_read_more_than_the_linear_map(x, generator):
    both, weight = LinearPlus(3, N_OUT, perceptron()), torch.randn(N_OUT, 3, generator=generator)
    both.start(weight, torch.zeros(N_OUT))
    torch.testing.assert_close(both(x), x[:, :3] @ weight.T)
    both.network.load_state_dict(perceptron().state_dict())
    torch.testing.assert_close(both(x), x[:, :3] @ weight.T + perceptron()(x))


def test_the_network_reads_clipped_values_and_the_linear_map_does_not(x):
    both = loud(reach=1.5)
    both.start(torch.eye(N_OUT, N_IN), torch.zeros(N_OUT))
    assert x.abs().max() > 2
    exact = x[:, :N_OUT] + perceptron()(x.clamp(-1.5, 1.5))
    torch.testing.assert_close(both(x), exact)
    assert (exact - x[:, :N_OUT] - perceptron()(x)).abs().max() > 1e-3


def test_gradients_reach_the_linear_map_and_the_last_layer_at_once(x):
    both = LinearPlus(N_IN, N_OUT, perceptron(), 5.0, 0.2)
    target = x[:, :N_OUT].square()
    steps = torch.optim.SGD(both.parameters(), 0.05)
    for step in range(2):
        steps.zero_grad()
        (both(x) - target).square().mean().backward()
        for name, parameter in both.named_parameters():
            early = name.startswith("network.0")  # behind zeros, until they have moved
            assert (parameter.grad.abs().sum() > 0) == (step == 1 or not early)
        steps.step()


def test_dropout_is_for_training_alone(x):
    both = loud(dropout=0.4)
    exact = perceptron()(x)
    torch.testing.assert_close(both.eval()(x), exact)
    assert int(both.n_steps) == 0
    assert (both.train()(x) - exact).abs().max() > 0.05
    assert int(both.n_steps) == 1
    torch.testing.assert_close(both.eval()(x), exact)
    none = loud().train()
    torch.testing.assert_close(none(x), exact)
    assert int(none.n_steps) == 0


def test_dropout_leaves_the_linear_map_alone(x):
    both = LinearPlus(N_IN, N_OUT, perceptron(), dropout=0.9).train()
    both.start(torch.eye(N_OUT, N_IN), torch.zeros(N_OUT))
    assert torch.equal(both(x), x[:, :N_OUT])


def test_dropout_is_a_function_of_seed_step_and_row(x):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    a, b = loud(dropout=0.4, seed=3), loud(dropout=0.4, seed=3)
    first = [a(x) for _ in range(3)]
    torch.manual_seed(2)
    for value in first:
        assert torch.equal(b(x), value)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(loud(dropout=0.4, seed=4)(x), first[0])
    # copies and saved states go on where the original was
    copied, saved = copy.deepcopy(a), loud(dropout=0.4, seed=3)
    saved.load_state_dict(a.state_dict())
    fourth = a(x)
    assert torch.equal(copied(x), fourth)
    assert torch.equal(saved(x), fourth)
    # rows take theirs along
    order = torch.arange(40).flip(0).repeat(2)
    torch.testing.assert_close(loud(dropout=0.4, seed=3)(x[order]), first[0][order])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_global_generator_moves(x):
    both, states = loud(dropout=0.4).train(), (torch.get_rng_state(), np.random.get_state()[1])
    both(x)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


@pytest.mark.parametrize("dropout", [0.2, 0.7])
def test_dropout_keeps_the_mean_of_what_the_network_reads(dropout):
    """Each input is seen as often as it should be, and then counts for the others."""
    both = LinearPlus(4, 4, nn.Linear(4, 4), dropout=dropout).double()
    nn.init.eye_(both.network.weight)
    x = torch.outer(torch.linspace(1, 2, 400), torch.tensor([1.0, -2.0, 3.0, 0.5])).double()
    with torch.no_grad():
        read = torch.cat([both(x) / x for _ in range(10)])
    seen = read != 0
    torch.testing.assert_close(read[seen], torch.full_like(read[seen], 1 / (1 - dropout)))
    error = (dropout * (1 - dropout) / 4000) ** 0.5
    assert ((seen.double().mean(0) - (1 - dropout)).abs() < 4 * error).all()
    assert ((read.mean(0) - 1).abs() < 4 * error / (1 - dropout)).all()
    # inputs are dropped apart from each other
    assert (torch.corrcoef(seen.double().T) - torch.eye(4)).abs().max() < 4 / 4000**0.5
