import pytest
import torch
from dougong import make
from transformers import MixtralConfig, MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

torch.set_num_threads(1)
WIDTH, INNER, E = 16, 24, 4


def network(layers=1, **router):
    torch.manual_seed(0)
    layer = {
        "use": "transformer",
        "attention": {"use": "attention", "heads": 4, "kv_heads": 2},
        "ffn": {"use": "moe", "experts": E, "expert": {"use": "ffn", "inner": INNER},
                "router": {"use": "router-mixtral", **router}},
        "norm": {"use": "rmsnorm", "eps": 1e-5},
    }  # fmt: skip
    return make(
        "network.decoder",
        vocab=50,
        width=WIDTH,
        layers=layers,
        layer=layer,
        norm={"use": "rmsnorm", "eps": 1e-5},
        initializer_range=0.2,
    ).build()


def theirs(ours, **config):
    """transformers' Mixtral with our weights."""
    given = MixtralConfig(
        vocab_size=50, hidden_size=WIDTH, num_hidden_layers=len(ours.model.layers), num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=INNER, num_local_experts=E, rope_theta=1e4, **config,
    )  # fmt: skip
    other = MixtralForCausalLM(given)
    state = ours.state_dict()
    for i in range(len(ours.model.layers)):
        at = f"model.layers.{i}.mlp.experts."
        each = [{name: state.pop(f"{at}{e}.{name}_proj.weight") for name in ("gate", "up", "down")} for e in range(E)]
        state[at + "gate_up_proj"] = torch.stack([torch.cat([e["gate"], e["up"]]) for e in each])
        state[at + "down_proj"] = torch.stack([e["down"] for e in each])
    other.load_state_dict(state)
    return other


@pytest.mark.parametrize("k", [1, 2, 3])
def test_logits_loss_and_gradients_are_those_of_transformers_mixtral(k):
    ours = network(k=k, balance=0.3).train()
    other = theirs(ours, num_experts_per_tok=k, router_aux_loss_coef=0.3).train()
    ids = torch.randint(0, 50, (3, 9))
    mine = ours(ids, labels=ids, use_cache=False)
    wanted = other(ids, labels=ids, use_cache=False, output_router_logits=True)
    torch.testing.assert_close(mine.logits, wanted.logits, atol=1e-6, rtol=0)
    torch.testing.assert_close(mine.loss, wanted.loss, atol=1e-6, rtol=0)
    mine.loss.backward()
    wanted.loss.backward()
    a, b = ours.model.layers[0].mlp, other.model.layers[0].mlp
    torch.testing.assert_close(a.gate.weight.grad, b.gate.weight.grad, atol=1e-6, rtol=1e-5)
    for e, expert in enumerate(a.experts):
        pair = torch.cat([expert.gate_proj.weight.grad, expert.up_proj.weight.grad])
        torch.testing.assert_close(pair, b.experts.gate_up_proj.grad[e], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(expert.down_proj.weight.grad, b.experts.down_proj.grad[e], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        ours.model.embed_tokens.weight.grad, other.model.embed_tokens.weight.grad, atol=1e-6, rtol=1e-5
    )


def test_two_layers_padded_on_the_left_give_the_logits_and_tokens_of_transformers():
    ours = network(layers=2).eval()
    other = theirs(ours).eval()
    ids = torch.randint(0, 50, (2, 7))
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [1] * 7])
    mine = ours(ids, attention_mask=mask).logits
    wanted = other(ids, attention_mask=mask).logits
    torch.testing.assert_close(mine[mask.bool()], wanted[mask.bool()], atol=1e-6, rtol=0)
    how = {"attention_mask": mask, "max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(ours.generate(ids, **how), other.generate(ids, **how))


def test_its_loss_is_that_of_transformers_with_padding_left_out():
    ours = network(balance=1.0).eval()
    mask = torch.tensor([[0, 0, 1, 1, 1], [1] * 5])
    out = ours(torch.randint(0, 50, (2, 5)), attention_mask=mask, output_router_logits=True)
    wanted = load_balancing_loss_func((out.router_logits[0].flatten(0, 1),), E, 2, mask)
    torch.testing.assert_close(out.aux_loss, wanted)


def test_padding_goes_to_no_expert():
    ours = network().eval()
    router = ours.model.layers[0].mlp.gate
    routing = router.route(torch.randn(1, 3, E), torch.tensor([[0, 1, 1]]))
    assert routing.index[0, 0].tolist() == [E, E]
    assert routing.gates[0].sum(-1).tolist() == pytest.approx([0, 1, 1])


def test_more_choices_than_experts_are_refused():
    with pytest.raises(Exception, match="at most the number of experts"):
        network(k=E + 1)


def test_a_step_of_sparse_layers_lowers_the_loss():
    ours = network(layers=2).train()
    ids = torch.randint(0, 50, (4, 12))
    descent = torch.optim.SGD(ours.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        loss = ours(ids, labels=ids).loss
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_it_trains_under_autocast_and_with_gradient_checkpointing(checkpointing):
    ours = network(layers=2, balance=0.1, z=0.1).train()
    ids = torch.randint(0, 50, (2, 9))
    plain = ours(ids, labels=ids, use_cache=False).loss
    plain.backward()
    wanted = {name: p.grad.clone() for name, p in ours.named_parameters()}
    ours.zero_grad()
    if checkpointing:
        ours.activation_checkpointing_enable()
        ours(ids, labels=ids, use_cache=False).loss.backward()
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-6, rtol=1e-5)
    else:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = ours(ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.testing.assert_close(loss, plain, atol=0.1, rtol=0.05)
        assert all(p.grad.isfinite().all() for p in ours.parameters())
