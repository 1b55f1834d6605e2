import pytest
import torch
from torch import nn

from skpoe.optimizer import AdamW, Group


def parameters(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (5,), (1, 1), (4,)]
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in shapes]


def gradients(like, step, dtype):
    generator = torch.Generator().manual_seed(1 + step)
    drawn = [torch.randn(p.shape, generator=generator, dtype=dtype) for p in like]
    return [None if (step + n) % 3 == 0 else g for n, g in enumerate(drawn)]


def run(optimizer, moved, steps, dtype):
    for step in steps:
        optimizer.zero_grad()
        for parameter, gradient in zip(moved, gradients(moved, step, dtype), strict=True):
            parameter.grad = gradient
        optimizer.step(0.1 / (1 + step))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_one_of_torch(dtype):
    ours, theirs = parameters(dtype), parameters(dtype)
    settings = {"betas": (0.8, 0.95), "eps": 1e-6}
    optimizer = AdamW([Group(ours[:2], 1.0, 0.3), Group([]), Group(ours[2:], 0.5)], **settings)
    groups = [
        {"params": theirs[:2], "weight_decay": 0.3, "share": 1.0},
        {"params": theirs[2:], "weight_decay": 0.0, "share": 0.5},
    ]
    peer = torch.optim.AdamW(groups, fused=True, **settings)
    run(optimizer, ours, range(7), dtype)
    for step in range(7):
        for parameter, gradient in zip(theirs, gradients(theirs, step, dtype), strict=True):
            parameter.grad = gradient
        for group in peer.param_groups:
            group["lr"] = 0.1 / (1 + step) * group["share"]
        peer.step()
    assert all(map(torch.equal, ours, theirs))
    state = peer.state_dict()["state"]
    assert optimizer.moments().keys() == state.keys()
    for number, kept in optimizer.moments().items():
        assert all(torch.equal(kept[name], state[number][name]) for name in kept)


def test_it_goes_on_from_what_another_one_knew():
    whole, half = parameters(torch.float32), parameters(torch.float32)
    run(AdamW([Group(whole)]), whole, range(6), torch.float32)
    first = AdamW([Group(half)])
    run(first, half, range(3), torch.float32)
    known = first.moments()
    copied = {n: {k: v.clone() for k, v in kept.items()} for n, kept in known.items()}
    second = AdamW([Group(half)])
    second.load(known)
    run(second, half, range(3, 6), torch.float32)
    assert all(map(torch.equal, whole, half))
    assert all(torch.equal(known[n][k], v) for n, kept in copied.items() for k, v in kept.items())


def test_what_was_never_moved_has_no_moments():
    moved = parameters(torch.float32)
    optimizer = AdamW([Group(moved)])
    moved[1].grad = torch.ones(5)
    optimizer.step(0.1)
    assert list(optimizer.moments()) == [1]


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        ({9: {}}, "no parameter 9"),
        ({0: {"step": torch.ones(())}}, r"no parameter 0 with \['step'\]"),
        (
            {1: {"step": torch.ones(()), "exp_avg": torch.ones(4), "exp_avg_sq": torch.ones(5)}},
            r"'exp_avg' of parameter 1 .* of shape \(5,\)",
        ),
        (
            {1: {"step": torch.ones(1), "exp_avg": torch.ones(5), "exp_avg_sq": torch.ones(5)}},
            r"'step' of parameter 1 .* of shape \(\)",
        ),
        (
            {1: {"step": torch.ones(()), "exp_avg": torch.ones(5).double(), "exp_avg_sq": None}},
            "torch.float32; got .* torch.float64",
        ),
    ],
)
def test_other_moments_are_refused(moments, said):
    with pytest.raises(ValueError, match=said):
        AdamW([Group(parameters(torch.float32))]).load(moments)
