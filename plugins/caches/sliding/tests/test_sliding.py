"""In a network of one layer a token's key and value depend on that token alone. So what a query sees through the cache
is exactly what it would see in a text of the first tokens and the last ones, joined: the reference of these tests."""

import copy

import pytest
import torch
from dougong import BuildError, CallError, make
from dougong.testing.tiny import VOCAB, greedy, llama, padded, seeded, tokens
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    GlmConfig,
    GlmForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

WINDOW, SINKS = 5, 2
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16}


def assembled(**attention):
    layer = {"use": "transformer", "attention": {"use": "attention", "heads": 2, **attention}}
    layer["ffn"] = {"use": "ffn", "inner": 24}
    return seeded(make("network.decoder", vocab=VOCAB, width=16, layers=1, layer=layer, pad=0).build())


NETWORKS = {
    "llama": lambda: llama(num_hidden_layers=1),
    "linear scaling": lambda: llama(
        num_hidden_layers=1, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0}
    ),
    "yarn": lambda: llama(num_hidden_layers=1, rope_parameters=YARN),
    "norms of heads": lambda: seeded(Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8))),
    "half of a head": lambda: seeded(PhiForCausalLM(PhiConfig(**SIZES, partial_rotary_factor=0.5))),
    "a quarter of a head": lambda: seeded(
        GPTNeoXForCausalLM(GPTNeoXConfig(**{k: v for k, v in SIZES.items() if k != "num_key_value_heads"}))
    ),
    "neighbours in pairs": lambda: seeded(CohereForCausalLM(CohereConfig(**SIZES))),
    "neighbours, half of a head": lambda: seeded(GlmForCausalLM(GlmConfig(**SIZES, head_dim=8))),
    "assembled": assembled,
    "assembled, ALiBi": lambda: assembled(positions="alibi"),
}


def sliding(network, window=WINDOW, sinks=SINKS):
    return make("cache.sliding", window=window, sinks=sinks).build(network)


def joined(network, ids, window=WINDOW, sinks=SINKS):
    """Logits after the first and the last tokens of `ids` ``(length,)``."""
    if len(ids) > window + sinks:
        ids = torch.cat([ids[:sinks], ids[-window:]])
    return network(ids[None], use_cache=False).logits[0, -1]


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", NETWORKS)
def test_a_query_sees_the_first_and_the_last_tokens_as_if_nothing_stood_between(name):
    network = NETWORKS[name]()
    ids, cache = tokens(2, 20), sliding(network)
    for end in range(1, 21):
        found = network(ids[:, end - 1 : end], past_key_values=cache).logits[:, -1]
        for row in range(2):
            torch.testing.assert_close(found[row], joined(network, ids[row, :end]), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "assembled", "half of a head"])
@pytest.mark.parametrize("prompt", [6, 9, 20])
def test_the_sinks_of_a_padded_row_are_its_own_first_tokens(name, prompt):
    network = NETWORKS[name]()
    ids, left = tokens(3, 30), (0, 5, 3)
    for row, pads in enumerate(left):
        ids[row, :pads] = 0
    mask, cache = (ids != 0).long(), sliding(network)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    at = 0
    for end in (prompt, *range(prompt + 1, 31)):
        given = {"attention_mask": mask[:, :end], "position_ids": positions[:, at:end], "past_key_values": cache}
        found = network(ids[:, at:end], **given).logits[:, -1]
        at = end
        if end > prompt:  # a first piece sees all of itself
            for row, pads in enumerate(left):
                wanted = joined(network, ids[row, pads:end])
                torch.testing.assert_close(found[row], wanted, atol=2e-4, rtol=1e-4)


def test_a_piece_sees_what_was_kept_before_it_and_itself():
    network = llama(num_hidden_layers=1)
    ids, cache = tokens(1, 30), sliding(network)
    network(ids[:, :20], past_key_values=cache)
    found = network(ids[:, 20:26], past_key_values=cache).logits[0]
    seen = torch.cat([ids[:, :SINKS], ids[:, 20 - WINDOW + 1 : 26]], 1)
    torch.testing.assert_close(found, network(seen, use_cache=False).logits[0, -6:], atol=2e-4, rtol=1e-4)


def test_generation_with_padding_and_beams_is_that_of_each_row_alone():
    """After tokens have left the window."""
    network = llama(num_hidden_layers=3)
    inputs = padded(tokens(2, 9), (0, 4))
    for settings in ({}, {"num_beams": 3}):
        both = greedy(network, inputs, 20, past_key_values=sliding(network), **settings)
        for row, left in enumerate((0, 4)):
            alone = {"input_ids": inputs["input_ids"][row : row + 1, left:]}
            assert torch.equal(greedy(network, alone, 20, past_key_values=sliding(network), **settings)[0], both[row])


def test_memory_is_constant_over_ten_windows_and_more():
    network = llama(max_position_embeddings=1000)
    cache, sizes = sliding(network, window=28, sinks=4), []
    for at in range(10):
        for token in tokens(1, 32, seed=at)[0]:
            logits = network(token[None, None], past_key_values=cache).logits
        tensors = [value for layer in cache.layers for value in vars(layer).values() if isinstance(value, torch.Tensor)]
        sizes.append(sum(value.untyped_storage().nbytes() for value in tensors))
        assert torch.isfinite(logits).all()
    assert len(set(sizes[1:])) == 1
    assert cache.layers[0].keys.shape[-2] == 31, "the token of the next step makes 32"
    assert cache.get_seq_length() == 320


def test_what_cannot_be_moved_is_refused_before_anything_runs():
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": VOCAB}
    with pytest.raises(BuildError, match="neither rotary positions nor ALiBi"):
        sliding(GPT2LMHeadModel(GPT2Config(**sizes)))
    changing = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 100.0}
    with pytest.raises(BuildError, match="change with the length"):
        sliding(llama(rope_parameters=changing))


def test_it_is_cut_back_only_while_all_is_there():
    network, ids = llama(), tokens(1, 12)
    cache = sliding(network)
    network(ids[:, :5], past_key_values=cache)
    cache.crop(-2)
    assert cache.get_seq_length() == 3
    torch.testing.assert_close(
        network(ids[:, 3:6], past_key_values=cache).logits[:, -1], network(ids[:, :6], use_cache=False).logits[:, -1]
    )
    network(ids[:, 6:], past_key_values=cache)
    with pytest.raises(CallError, match="what has left the window is gone"):
        cache.crop(-1)


def test_many_caches_leave_one_mark_on_a_network_that_copies_and_forgets_none_of_it():
    network = llama()
    for _ in range(3):
        sliding(network)
    assert len(network._forward_pre_hooks) == 1
    twin, inputs = copy.deepcopy(network), padded(tokens(2, 9), (0, 4))
    wanted = greedy(network, inputs, 20, past_key_values=sliding(network))
    assert torch.equal(greedy(twin, inputs, 20, past_key_values=sliding(twin)), wanted)
