import pytest
import torch
from dougong import make
from dougong.testing.tiny import VOCAB, greedy, llama, padded, seeded, tokens
from transformers import T5Config, T5ForConditionalGeneration


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def paged(network, **params):
    return make("cache.paged", **{"block": 4, **params}).build(network)


def with_prefix(prefix, tails):
    """Rows that begin alike and end differently, padded on the left."""
    longest = prefix + max(tails)
    ids, first = tokens(len(tails), longest, seed=3), tokens(1, prefix, seed=4)[0]
    left = [longest - prefix - tail for tail in tails]
    for row, pads in enumerate(left):
        ids[row, pads : pads + prefix] = first
    return padded(ids, tuple(left))


def test_eight_sequences_keep_their_common_beginning_once():
    network, inputs = llama(), with_prefix(16, [1, 2, 3, 4, 5, 6, 7, 8])
    cache = paged(network)
    found = greedy(network, inputs, 12, past_key_values=cache)
    assert torch.equal(found, greedy(network, inputs, 12, use_cache=False))
    distinct = {tuple(row.tolist()) for row in found}
    assert len(distinct) == 8
    assert cache.report().tokens == 16 + sum(range(1, 9)) + 8 * 11
    apart = paged(network, share=False)
    greedy(network, inputs, 12, past_key_values=apart)
    assert apart.report().tokens == cache.report().tokens + 7 * 16


def test_padding_takes_no_room():
    network, cache = llama(), None
    inputs = padded(tokens(3, 40), (0, 39, 20))
    cache = paged(network)
    network(**inputs, past_key_values=cache)
    report = cache.report()
    assert report.tokens == 40 + 1 + 20
    assert report.blocks == 10 + 1 + 5


def test_the_report_counts_every_byte():
    network, cache = llama(), None
    cache = paged(network, block=16)
    network(tokens(1, 70), past_key_values=cache)
    report = cache.report()
    of_a_token = 2 * 2 * 2 * 4 * 4  # keys and values, layers, heads, features, bytes
    pools = 5 * 16 * of_a_token
    assert report.blocks == 5
    assert report.free == 0
    assert pools < report.nbytes < pools + 3000
    assert report.waste == pytest.approx(1 - 70 * of_a_token / report.nbytes)


def test_beams_share_what_they_have_in_common():
    network, inputs = llama(), padded(tokens(2, 20), (0, 3))
    cache = paged(network)
    beams = {"num_beams": 4, "length_penalty": 0.0}
    found = greedy(network, inputs, 15, past_key_values=cache, **beams)
    assert torch.equal(found, greedy(network, inputs, 15, use_cache=False, **beams))
    assert cache.report().tokens < 20 + 17 + 8 * 14


def test_embeddings_that_come_without_tokens_are_not_taken_for_equal():
    """An image, say: rows of the same tokens, or of none, whose keys differ."""
    network = llama()
    embedded = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
    cache = paged(network)
    network(inputs_embeds=embedded[:, :8], past_key_values=cache)
    found = network(inputs_embeds=embedded[:, 8:], past_key_values=cache).logits
    wanted = network(inputs_embeds=embedded, use_cache=False).logits[:, 8:]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert cache.report().tokens == 18


def test_a_decoder_shares_nothing_since_its_past_is_of_what_the_encoder_read():
    config = {"d_model": 16, "d_ff": 24, "d_kv": 4, "num_layers": 2, "num_heads": 4}
    network = seeded(T5ForConditionalGeneration(T5Config(vocab_size=VOCAB, decoder_start_token_id=0, **config)))
    ids = tokens(3, 7)
    made = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None, "decoder_input_ids": torch.full((3, 6), 4)}
    for beams in (1, 3):
        wanted = network.generate(ids, use_cache=False, num_beams=beams, **made)
        found = network.generate(ids, past_key_values=paged(network), num_beams=beams, **made)
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("attention", ["windows", "recurrent", "all"])
def test_layers_of_assembled_networks_that_keep_less_keep_their_own_cache(attention):
    torch.manual_seed(0)
    plain = {"use": "attention", "heads": 2}
    other = {"windows": {**plain, "window": 4}, "recurrent": {"use": "mamba"}, "all": plain}[attention]
    layer = {
        "use": "transformer",
        "attention": {"use": "cycle", "of": [other, plain]},
        "ffn": {"use": "ffn", "inner": 24},
    }
    network = make("network.decoder", vocab=VOCAB, width=16, layers=2, layer=layer, pad=0).build().eval()
    inputs = padded(tokens(2, 9), (0, 3))
    for settings in ({}, {"num_beams": 3}):
        found = greedy(network, inputs, 12, past_key_values=paged(network), **settings)
        assert torch.equal(found, greedy(network, inputs, 12, use_cache=False, **settings))


def test_a_chat_goes_on_after_it_was_cut_back():
    network, ids = llama(), tokens(2, 30)
    cache = paged(network)
    network(ids[:, :14], past_key_values=cache)
    cache.crop(-5)
    network(ids[:, 9:20], past_key_values=cache)
    found = network(ids[:, 20:], past_key_values=cache).logits
    wanted = network(ids, use_cache=False).logits[:, 20:]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
