import pytest
import torch
from dougong import make
from dougong.testing.tiny import greedy, padded, seeded, tokens
from transformers import DynamicCache, T5Config, T5ForConditionalGeneration

ATTENTION = {"use": "attention", "heads": 2}
NETWORKS = {
    "all see everything": ATTENTION,
    "some have a window": {"use": "cycle", "of": [{**ATTENTION, "window": 4}, ATTENTION]},
    "some are recurrent": {"use": "cycle", "of": [{"use": "mamba"}, ATTENTION]},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_of_an_assembled_network_has_the_kind_that_it_needs(name):
    """Tokens are those without a cache, and layers those that transformers makes of the config."""
    torch.manual_seed(0)
    layer = {"use": "transformer", "attention": NETWORKS[name], "ffn": {"use": "ffn", "inner": 24}}
    network = make("network.decoder", vocab=37, width=16, layers=2, layer=layer, pad=0).build().eval()
    cache = make("cache.dynamic").build(network)
    inputs = padded(tokens(2, 9), (0, 3))
    wanted = greedy(network, inputs, 8, use_cache=False)
    assert torch.equal(greedy(network, inputs, 8, past_key_values=cache), wanted)
    own = DynamicCache(config=network.config)
    assert [type(layer) for layer in cache.layers] == [type(layer) for layer in own.layers]


@pytest.mark.parametrize("beams", [1, 3])
def test_the_decoder_of_a_translator_has_it_beside_the_encoders_keys(beams):
    config = {"d_model": 16, "d_ff": 24, "d_kv": 4, "num_layers": 2, "num_heads": 4}
    network = seeded(T5ForConditionalGeneration(T5Config(vocab_size=37, decoder_start_token_id=0, **config)))
    made = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None, "num_beams": beams}
    wanted = network.generate(tokens(3, 7), use_cache=False, **made)
    assert torch.equal(
        network.generate(tokens(3, 7), past_key_values=make("cache.dynamic").build(network), **made), wanted
    )
