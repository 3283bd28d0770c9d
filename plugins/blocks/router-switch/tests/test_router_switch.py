import math
from functools import partial

import pytest
import torch
from dougong_block_moe import Params as MoEParams
from dougong_block_moe.moe import MoE
from dougong_block_router_switch import Params
from dougong_block_router_switch.router import SwitchRouter
from torch import nn
from transformers import PreTrainedConfig, SwitchTransformersConfig
from transformers.models.switch_transformers.modeling_switch_transformers import (
    SwitchTransformersSparseMLP,
    load_balancing_loss_func,
    router_z_loss_func,
)

torch.set_num_threads(1)
WIDTH, INNER, E, LENGTH = 8, 12, 4, 16
CONFIG = PreTrainedConfig(hidden_size=WIDTH, initializer_range=0.5)


def router(**params):
    torch.manual_seed(0)
    return SwitchRouter(Params(**params), CONFIG, experts=E)


class ReLUNet(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.wi, self.wo = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x):
        return self.wo(self.wi(x).relu())


@pytest.mark.parametrize("capacity", [2, 4, 64])
def test_outputs_gradients_and_drops_are_those_of_transformers_switch(capacity):
    given = SwitchTransformersConfig(
        d_model=WIDTH, d_ff=INNER, num_experts=E, expert_capacity=capacity, router_jitter_noise=0.0, dropout_rate=0.0
    )
    torch.manual_seed(1)
    theirs = SwitchTransformersSparseMLP(given)
    params = Params(jitter=0.0, capacity_factor=capacity * E / LENGTH)
    ours = MoE(MoEParams(expert=ReLUNet, experts=E, router=partial(SwitchRouter, params)), CONFIG)
    ours.gate.weight.data.copy_(theirs.router.classifier.weight)
    pairs = [(ours.gate.weight, theirs.router.classifier.weight)]
    for e in range(E):
        for name in ("wi", "wo"):
            mine, other = getattr(ours.experts[e], name).weight, getattr(theirs.experts[f"expert_{e}"], name).weight
            mine.data.copy_(other)
            pairs.append((mine, other))
    x = torch.randn(3, LENGTH, WIDTH)
    got, want = ours.train()(x), theirs.train()(x)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=0)
    dropped = (got == 0).all(-1)
    assert dropped.any() == (capacity < 64), "the sizes are such that tokens are dropped"
    weight = torch.randn_like(got)
    (got * weight).sum().backward()
    (want * weight).sum().backward()
    for mine, other in pairs:
        torch.testing.assert_close(mine.grad, other.grad, atol=2e-6, rtol=1e-5)


def test_losses_are_those_of_transformers():
    logits = torch.randn(1, LENGTH, E)
    p = logits.softmax(-1)
    balance = load_balancing_loss_func(p, logits.argmax(-1))
    routing = router(balance=0.3, z=0.2, capacity_factor=0.5).route(logits)
    torch.testing.assert_close(routing.loss, 0.3 * balance + 0.2 * router_z_loss_func(logits))


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25, 1.1])
@pytest.mark.parametrize("length", [1, 7, 30])
def test_an_expert_takes_its_capacity_of_tokens_the_first_ones_first(factor, length):
    logits = torch.tensor([9.0, 0, 0, 0]).expand(2, length, E)
    room = min(length, math.ceil(round(length / E * factor, 6)))
    index = router(capacity_factor=factor).train().route(logits).index[..., 0]
    assert index.tolist() == [[0] * room + [E] * (length - room)] * 2
    assert (router(capacity_factor=factor).eval().route(logits).index == 0).all(), "no limit in evaluation"
    limited = router(eval_capacity_factor=factor).eval().route(logits)
    assert torch.equal(limited.index[..., 0], index)


def test_padding_takes_no_room():
    logits = torch.tensor([9.0, 0, 0, 0]).expand(1, 12, E)
    index = router(capacity_factor=1.0).route(logits, torch.tensor([[0] * 4 + [1] * 8])).index[0, :, 0]
    assert index.tolist() == [E] * 4 + [0, 0] + [E] * 6


def test_jitter_stays_in_its_range_and_acts_in_training_only():
    noisy, x = router(jitter=0.25), torch.ones(1, 1000, WIDTH)
    noisy.weight.data = torch.eye(WIDTH)[:E]
    factors = noisy.train()(x)
    assert 0.75 <= factors.min() < 0.76
    assert 1.24 < factors.max() <= 1.25
    assert torch.equal(noisy.eval()(x), torch.ones(1, 1000, E))
    assert torch.equal(x, torch.ones_like(x)), "what experts work on has no noise"
