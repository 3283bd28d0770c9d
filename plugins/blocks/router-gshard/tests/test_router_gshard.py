import math

import pytest
import torch
from dougong_block_router_gshard import Params
from dougong_block_router_gshard.router import GShardRouter
from transformers import PreTrainedConfig

torch.set_num_threads(1)
E = 4
CONFIG = PreTrainedConfig(hidden_size=8, initializer_range=0.5)


def router(experts=E, **params):
    return GShardRouter(Params(**params), CONFIG, experts=experts)


def algorithm_1(logits, normalise, capacity, stays):
    """One group token by token, as GShard's algorithm 1 is written; a dict of expert to gate for each token."""
    S, experts = logits.shape
    count = [0] * experts
    kept = [{} for _ in range(S)]
    p = logits.softmax(-1).tolist()
    ranked = [sorted(range(experts), key=lambda e, row=row: -row[e])[:2] for row in p]
    gates = []
    for row, (e1, e2) in zip(p, ranked, strict=True):
        total = row[e1] + row[e2] if normalise == "before" else 1.0
        gates.append((row[e1] / total, row[e2] / total))
    for choice in (0, 1):
        for s in range(S):
            if choice == 1 and not stays(s, gates[s][1]):
                continue
            e = ranked[s][choice]
            if count[e] < capacity:
                kept[s][e] = gates[s][choice]
            count[e] += 1
    if normalise == "after":
        kept = [{e: g / sum(row.values()) for e, g in row.items()} for row in kept]
    return kept


def found(routing, row=0):
    pairs = zip(routing.index[row].tolist(), routing.gates[row].tolist(), strict=True)
    return [{e: g for e, g in zip(*pair, strict=True) if e < E} for pair in pairs]


@pytest.mark.parametrize("normalise", ["before", "after"])
@pytest.mark.parametrize(("length", "factor"), [(10, 2.0), (10, 1.0), (16, 0.5), (3, 1.0), (16, None)])
def test_gates_capacity_and_drops_follow_algorithm_1(normalise, length, factor):
    torch.manual_seed(length)
    logits = torch.randn(2, length, E) + torch.tensor([2.0, 0, 0, 0])
    routing = router(second="all", normalise=normalise, capacity_factor=factor).train().route(logits)
    capacity = length * 2 if factor is None else max(1, int(factor * math.ceil(length / E)))
    for row in range(2):
        wanted = algorithm_1(logits[row], normalise, capacity, lambda s, g: True)
        for mine, other in zip(found(routing, row), wanted, strict=True):
            assert mine == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("normalise", ["before", "after"])
def test_the_second_expert_is_taken_with_twice_its_gate_as_probability(normalise):
    logits = torch.tensor([2.0, 0.5, -1.0, -1.0]).expand(1, 20_000, E)
    torch.manual_seed(0)
    routing = router(normalise=normalise, capacity_factor=None).train().route(logits)
    p = logits[0, 0].softmax(-1)
    g2 = p[1] / (p[0] + p[1]) if normalise == "before" else p[1]
    taken = (routing.index[..., 1] == 1).float().mean().item()
    assert taken == pytest.approx(2 * g2.item(), abs=0.02)
    first_alone = routing.gates[..., 0][routing.index[..., 1] == E]
    wanted = (p[0] / (p[0] + p[1])).item() if normalise == "before" else 1.0
    assert first_alone.mean().item() == pytest.approx(wanted, abs=1e-5)


def test_a_second_expert_that_is_not_taken_uses_no_room():
    torch.manual_seed(3)
    logits = torch.randn(1, 40, E) + torch.tensor([1.0, 0.5, 0, 0])
    technique = router(capacity_factor=1.0).train()
    torch.manual_seed(5)
    drawn = torch.rand(1, 40, 1)[0, :, 0]
    torch.manual_seed(5)
    routing = technique.route(logits)
    wanted = algorithm_1(logits[0], "before", 10, lambda s, g: 2 * g > drawn[s])
    for mine, other in zip(found(routing), wanted, strict=True):
        assert mine == pytest.approx(other, abs=1e-6)


def test_sampling_draws_the_second_expert_by_its_probability_among_the_others():
    logits = torch.tensor([3.0, 1.0, 0.0, -1.0]).expand(1, 20_000, E)
    torch.manual_seed(0)
    routing = router(second="sampling", capacity_factor=None).train().route(logits)
    assert (routing.index[..., 0] == 0).all()
    shares = routing.index[0, :, 1].bincount(minlength=E)[1:] / 20_000
    torch.testing.assert_close(shares, logits[0, 0, 1:].softmax(-1), atol=0.02, rtol=0)


def test_the_loss_counts_first_choices_before_drops():
    torch.manual_seed(0)
    logits = torch.randn(2, 12, E)
    p = logits.softmax(-1).flatten(0, 1)
    first = p.argmax(-1).bincount(minlength=E) / 24
    wanted = 0.5 * E * E * (p.mean(0) * first).mean()  # fairseq: mean(me * ce) * E * E
    routing = router(balance=0.5, capacity_factor=0.5).train().route(logits)
    torch.testing.assert_close(routing.loss, wanted)


def test_padding_takes_no_room():
    torch.manual_seed(0)
    logits, mask = torch.randn(1, 12, E), torch.tensor([[0] * 4 + [1] * 8])
    technique = router(second="all", capacity_factor=1.0).train()
    padded, alone = technique.route(logits, mask), technique.route(logits[:, 4:])
    assert torch.equal(padded.index[:, 4:], alone.index)
    assert (padded.index[:, :4] == E).all()
    torch.testing.assert_close(padded.loss, alone.loss)


def test_one_expert_is_too_few():
    with pytest.raises(ValueError, match="at least 2 experts"):
        router(experts=1)
