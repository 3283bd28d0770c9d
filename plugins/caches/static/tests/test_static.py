import pytest
import torch
from dougong import CallError, make
from dougong.testing.tiny import greedy, llama, padded, seeded, tokens
from transformers import T5Config, T5ForConditionalGeneration


def test_its_memory_is_allocated_once():
    network = llama()
    cache = make("cache.static", tokens=20).build(network)
    greedy(network, {"input_ids": tokens(2, 5)}, 1, past_key_values=cache)
    before = [layer.keys.data_ptr() for layer in cache.layers]
    assert all(layer.keys.shape[-2] == 20 for layer in cache.layers)
    network(tokens(2, 10), past_key_values=cache)
    assert [layer.keys.data_ptr() for layer in cache.layers] == before


def test_a_token_too_many_is_an_error_that_says_what_to_set():
    network = llama()
    cache = make("cache.static", tokens=10).build(network)
    with torch.no_grad():
        network(tokens(1, 9), past_key_values=cache)
        network(tokens(1, 1), past_key_values=cache)
        with pytest.raises(CallError, match=r"room for 10 tokens, not for 11.*tokens of cache\.static"):
            network(tokens(1, 1), past_key_values=cache)
    assert cache.get_seq_length() == 10, "what is held stays"
    cache.reset()
    with torch.no_grad():
        network(tokens(1, 10), past_key_values=cache)


def test_windows_are_never_full():
    torch.manual_seed(0)
    layer = {
        "use": "transformer",
        "attention": {"use": "attention", "heads": 2, "window": 4},
        "ffn": {"use": "ffn", "inner": 24},
    }
    network = make("network.decoder", vocab=37, width=16, layers=2, layer=layer, pad=0).build().eval()
    inputs = padded(tokens(2, 6), (0, 2))
    cache = make("cache.static", tokens=8).build(network)
    wanted = greedy(network, inputs, 12, use_cache=False)
    assert torch.equal(greedy(network, inputs, 12, past_key_values=cache), wanted)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_decoder_of_a_translator_has_it_beside_the_encoders_keys(beams):
    config = {"d_model": 16, "d_ff": 24, "d_kv": 4, "num_layers": 2, "num_heads": 4}
    network = seeded(T5ForConditionalGeneration(T5Config(vocab_size=37, decoder_start_token_id=0, **config)))
    made = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None, "num_beams": beams}
    wanted = network.generate(tokens(3, 7), use_cache=False, **made)
    assert torch.equal(
        network.generate(tokens(3, 7), past_key_values=make("cache.static", tokens=12).build(network), **made), wanted
    )
