import math
from functools import partial

import pytest
import torch
from dougong import BuildError
from dougong_block_moe import Params, Routing
from dougong_block_moe.moe import Experts, MoE
from dougong_block_moe.routing import load_balancing_loss, places, router_logits, router_loss, z_loss
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig

torch.set_num_threads(1)
WIDTH = 8
REAL = torch.ones(2, 6, dtype=torch.bool)


class Fixed(nn.Module):
    """A router that sends tokens where the test says."""

    normalised = False

    def __init__(self, index, gates, config, layer_idx, *, experts):
        super().__init__()
        self.routing, self.experts = Routing(index, gates, gates.sum()), experts

    def forward(self, hidden, **_):
        return hidden.new_zeros(*hidden.shape[:2], self.experts)

    def route(self, logits, padding_mask=None):
        return self.routing


def expert(config, layer_idx):
    return nn.Linear(config.hidden_size, config.hidden_size)


def moe(index, gates, experts=3, expert=expert):
    torch.manual_seed(0)
    config = PreTrainedConfig(hidden_size=WIDTH, initializer_range=0.2)
    return MoE(Params(expert=expert, experts=experts, router=partial(Fixed, index, gates)), config, 0)


def test_outputs_are_the_gated_sum_and_nothing_where_there_is_no_expert():
    index = torch.tensor([[[0, 2], [1, 3], [3, 3], [2, 1]]])
    gates = torch.tensor([[[0.5, 0.25], [2.0, 0.0], [0.0, 0.0], [1.0, -1.0]]])
    block, x = moe(index, gates), torch.randn(1, 4, WIDTH)
    one, two, three = block.experts
    wanted = [0.5 * one(x[0, 0]) + 0.25 * three(x[0, 0]), 2 * two(x[0, 1])]
    wanted += [torch.zeros(WIDTH), three(x[0, 3]) - two(x[0, 3])]
    torch.testing.assert_close(block(x)[0], torch.stack(wanted), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_it_works_with_few_tokens_and_with_all_of_them_dropped(tokens):
    block = moe(torch.full((1, tokens, 1), 3), torch.zeros(1, tokens, 1))
    assert torch.equal(block(torch.randn(1, tokens, WIDTH)), torch.zeros(1, tokens, WIDTH))


def test_an_expert_without_tokens_has_a_gradient_of_zero_and_does_not_work_otherwise():
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            seen.append(x.shape)
            return super().forward(x)

    block = moe(torch.tensor([[[1], [1]]]), torch.ones(1, 2, 1), expert=lambda *_: Spy(WIDTH, WIDTH))
    x = torch.randn(1, 2, WIDTH)
    block(x).sum().backward()
    assert [(E.weight.grad != 0).any().item() for E in block.experts] == [False, True, False]
    seen.clear()
    with torch.no_grad():
        block(x)
    assert seen == [(1, 2, WIDTH)], "each expert works once, on a batch of its own rows"


def test_the_loss_is_given_once():
    block = moe(torch.zeros(1, 2, 1, dtype=torch.long), torch.full((1, 2, 1), 0.5))
    block(torch.randn(1, 2, WIDTH))
    assert block.auxiliary_loss() == 1.0
    assert block.auxiliary_loss() is None


def test_an_expert_that_keeps_state_is_refused():
    class Stateful(nn.Linear):
        layer_type = "linear_attention"

    with pytest.raises(BuildError, match="state"):
        moe(None, torch.zeros(1), expert=lambda *_: Stateful(WIDTH, WIDTH))


def test_experts_have_the_interface_of_transformers():
    experts = Experts(nn.Linear(WIDTH, WIDTH) for _ in range(2))
    x = torch.randn(3, WIDTH)
    out = experts(x, torch.tensor([[0, 1]] * 3), torch.full((3, 2), 0.5))
    torch.testing.assert_close(out, (experts[0](x) + experts[1](x)) / 2)


# ---------------------------------------------------------------- what routers have in common


@pytest.mark.parametrize("k", [1, 2])
def test_the_balancing_loss_is_k_where_all_is_even_and_the_number_of_experts_where_one_takes_all(k):
    E = 4
    even = torch.stack([(torch.arange(12) + i) % E for i in range(k)], -1).view(2, 6, k)
    uniform = torch.full((2, 6, E), 1 / E)
    torch.testing.assert_close(load_balancing_loss(uniform, even, REAL), torch.tensor(float(k)))
    first = F.one_hot(torch.zeros(2, 6, dtype=torch.long), E).float()
    torch.testing.assert_close(load_balancing_loss(first, first.argmax(-1, True), REAL), torch.tensor(float(E)))


def test_the_z_loss_of_equal_logits_is_the_square_of_their_logsumexp():
    torch.testing.assert_close(z_loss(torch.full((2, 6, 4), 3.0), REAL), torch.tensor((3 + math.log(4)) ** 2))


def test_losses_know_no_padding_and_survive_where_all_is_padding():
    logits = torch.randn(2, 6, 4)
    index, real = logits.argmax(-1, True), REAL.clone()
    real[0, :4] = False
    p = logits.softmax(-1)
    kept = [t[real][None] for t in (logits, p, index)]
    wanted = router_loss(*kept, torch.ones(1, 8, dtype=torch.bool), 0.5, 0.25)
    torch.testing.assert_close(router_loss(logits, p, index, real, 0.5, 0.25), wanted)
    assert router_loss(logits, p, index, ~REAL, 0.5, 0.25) == 0
    assert router_loss(logits, p, index, real, 0, 0) is None


def test_queues_are_of_each_sequence_and_all_first_choices_come_before_second_ones():
    index = torch.tensor([[[0, 1], [1, 0], [0, 1]], [[1, 2], [1, 2], [2, 1]]])
    assert places(index, 2).tolist()[0] == [[0, 1], [0, 2], [1, 2]]
    assert places(index, 2)[1, :, 0].tolist()[:2] == [0, 1]


def test_logits_are_float32_also_under_autocast():
    x, weight = torch.randn(2, 3, WIDTH).bfloat16(), torch.randn(4, WIDTH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = router_logits(x, weight)
    torch.testing.assert_close(logits, x.float() @ weight.T)
    assert router_logits(x.double(), weight).dtype == torch.float64
