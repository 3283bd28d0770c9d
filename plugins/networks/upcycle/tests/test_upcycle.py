import pytest
import torch
from dougong import BuildError, make
from dougong_block_moe.moe import MoE
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.set_num_threads(1)
IDS = torch.randint(0, 50, (3, 9), generator=torch.Generator().manual_seed(0))
ROUTERS = (
    {"use": "router-mixtral", "k": 2},
    {"use": "router-mixtral", "k": 4},
    {"use": "router-gshard"},
    {"use": "router-gshard", "normalise": "after"},
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A dense network of some other making, saved."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llama")
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=4, num_attention_heads=4, intermediate_size=24,
        initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def upcycled(folder, router, **params):
    of = {"use": "network.pretrained", "path": str(folder)}
    return make("network.upcycle", of=of, experts=4, router=router, **params).build()


def logits(network):
    with torch.no_grad():
        return network.eval()(IDS).logits


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("router", ROUTERS, ids=str)
def test_before_training_logits_are_those_of_the_dense_network(checkpoint, router, every):
    sparse = upcycled(checkpoint, router, every=every)
    dense = LlamaForCausalLM.from_pretrained(checkpoint)
    torch.testing.assert_close(logits(sparse), logits(dense), atol=1e-6, rtol=0)
    at = [i for i, layer in enumerate(sparse.model.layers) if isinstance(layer.mlp, MoE)]
    assert at == list(range(every - 1, 4, every))
    assert len(sparse.model.layers[at[0]].mlp.experts) == 4


def test_normalising_after_drops_keeps_the_loss_in_training_where_a_choice_is_left(checkpoint):
    router = {"use": "router-gshard", "normalise": "after", "capacity_factor": None}
    sparse = upcycled(checkpoint, router).train()
    dense = LlamaForCausalLM.from_pretrained(checkpoint)
    torch.testing.assert_close(sparse(IDS).logits, logits(dense), atol=2e-6, rtol=0)


def test_experts_part_in_training_and_the_network_is_saved_and_loaded(checkpoint, tmp_path):
    sparse = upcycled(checkpoint, ROUTERS[0]).train()
    before = [E.up_proj.weight.clone() for E in sparse.model.layers[0].mlp.experts]
    assert all(torch.equal(weight, before[0]) for weight in before)
    for _ in range(3):
        sparse(IDS, labels=IDS).loss.backward()
        with torch.no_grad():
            for parameter in sparse.parameters():
                parameter -= 0.1 * parameter.grad
        sparse.zero_grad()
    after = [E.up_proj.weight for E in sparse.model.layers[0].mlp.experts]
    assert not torch.allclose(after[0], after[1])
    sparse.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(again), logits(sparse))


def test_a_router_whose_gates_do_not_sum_to_one_starts_elsewhere_and_says_so(checkpoint):
    with pytest.warns(UserWarning, match="do not sum to 1"):
        sparse = upcycled(checkpoint, {"use": "router-switch"})
    assert (logits(sparse) - logits(LlamaForCausalLM.from_pretrained(checkpoint))).abs().max() > 1e-3


def test_tied_embeddings_stay_tied():
    layer = {"use": "transformer", "attention": {"use": "attention", "heads": 2}, "ffn": {"use": "ffn", "inner": 8}}
    of = {"use": "network.decoder", "vocab": 50, "width": 8, "layers": 1, "layer": layer, "tie_embeddings": True}
    sparse = make("network.upcycle", of=of, experts=2, router=ROUTERS[0]).build()
    assert sparse.lm_head.weight is sparse.model.embed_tokens.weight


def test_a_network_without_ffn_is_refused(checkpoint):
    of = {"use": "network.pretrained", "path": str(checkpoint), "through": "auto"}
    with pytest.raises(BuildError, match="no slot 'ffn'"):
        make("network.upcycle", of=of, experts=2, router=ROUTERS[0]).build()
