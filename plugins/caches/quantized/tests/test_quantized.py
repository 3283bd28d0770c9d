import numpy as np
import pytest
import torch
from dougong import CallError, make
from dougong.testing.tiny import greedy, llama, padded, seeded, tokens
from dougong_cache_quantized.codes import E4M3, decode, encode
from transformers import T5Config, T5ForConditionalGeneration
from transformers.cache_utils import DynamicSlidingWindowLayer

BY_CHANNEL, BY_TOKEN = 2, 3


def states(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def there_and_back(x, dim, group, format):
    held, out = encode(x, dim, group, format), torch.empty_like(x)
    decode(held, dim, group, format, out)
    return held, out


def layer_of(**params):
    return make("cache.quantized", **params).build(llama()).layers[0]


def of_reference(x, group, levels):
    """Round to nearest between the smallest and the largest of each group (KIVI, equation 1), group by group."""
    flat = x.reshape(-1, group)
    out = np.empty_like(flat)
    for number, values in enumerate(flat):
        low = values.min()
        zero = np.float32(np.float16(low))
        if zero > low:
            zero = np.float32(np.float16(low - abs(low) / np.float32(1024)))
        scale = np.float32(np.float16((values.max() - zero) / levels))
        out[number] = np.clip(np.round((values - zero) / scale), 0, levels) * scale + zero
    return out.reshape(x.shape)


@pytest.mark.parametrize(("format", "levels"), [("int8", 255), ("int4", 15)])
def test_codes_are_those_of_the_paper_along_the_tokens_of_a_channel_or_the_channels_of_a_token(format, levels):
    x = states(2, 3, 16, 8) * 5 + 3
    _, by_token = there_and_back(x, BY_TOKEN, 4, format)
    np.testing.assert_allclose(by_token.numpy(), of_reference(x.numpy(), 4, levels), atol=1e-5)
    _, by_channel = there_and_back(x, BY_CHANNEL, 4, format)
    turned = of_reference(x.transpose(2, 3).contiguous().numpy(), 4, levels)
    np.testing.assert_allclose(by_channel.transpose(2, 3).numpy(), turned, atol=1e-5)


def test_e4m3_is_that_of_torch_under_the_largest_number_of_each_group():
    x = states(2, 3, 16, 8) * 5
    held, out = there_and_back(x, BY_TOKEN, 4, "fp8")
    groups = x.unflatten(3, (2, 4))
    scale = (groups.abs().amax(-1, keepdim=True) / 448).half().float()
    wanted = ((groups / scale).clamp(-448, 448).to(E4M3).float() * scale).flatten(3)
    torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-6)
    assert held.codes.dtype == E4M3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_number_of_e4m3_is_read_as_torch_reads_it(dtype):
    codes = torch.arange(256, dtype=torch.uint8).view(E4M3)
    codes = codes[~codes.float().isnan()].view(1, 1, -1, 2)
    held, out = encode(torch.ones(1, 1, 127, 2), BY_TOKEN, 2, "fp8"), torch.empty(1, 1, 127, 2, dtype=dtype)
    held.codes, held.scale = codes, torch.ones_like(held.scale)
    decode(held, BY_TOKEN, 2, "fp8", out)
    assert torch.equal(out, codes.to(dtype))


@pytest.mark.parametrize("format", ["int8", "int4", "fp8"])
@pytest.mark.parametrize("dim", [BY_CHANNEL, BY_TOKEN])
@pytest.mark.parametrize("kind", ["constant", "zero", "tiny", "large", "far from zero", "beyond float16"])
def test_groups_of_any_size_come_back_finite_and_near(format, dim, kind):
    x = states(1, 2, 8, 8)
    x = {"constant": x * 0 + 3.3, "zero": x * 0, "tiny": x * 1e-9, "large": x * 1e4, "far from zero": x + 1000,
         "beyond float16": x * 1e6}[kind]  # fmt: skip
    _, out = there_and_back(x, dim, 8, format)
    assert torch.isfinite(out).all()
    if kind == "beyond float16":
        assert torch.equal(out.sign(), x.clamp(-65504, 65504).sign()) or format != "fp8"
        return
    step = {"int8": 1 / 255, "int4": 1 / 15, "fp8": 1 / 16}[format]
    size = x.abs().max() if format == "fp8" else x.max() - x.min()
    if kind in ("constant", "far from zero"):  # the zero point's own rounding widens the range
        size = size + x.abs().max() / 1024
    assert (out - x).abs().max() <= 0.51 * step * size * 1.01 + 4e-5  # the smallest scale is 6e-5


def test_a_channel_of_outliers_costs_other_channels_of_keys_nothing():
    """Section 3.2 of the paper: why keys are quantised by channel."""
    x = states(1, 1, 64, 8)
    x[..., 3] *= 100
    others = [0, 1, 2, 4, 5, 6, 7]
    error = {dim: (there_and_back(x, dim, 8, "int4")[1] - x)[..., others].abs().max() for dim in (2, 3)}
    assert error[BY_CHANNEL] < 0.2 < 2 < error[BY_TOKEN]


@pytest.mark.parametrize("format", ["int8", "int4", "fp8"])
def test_a_token_is_quantised_once_whatever_the_pieces_it_comes_in(format):
    keys, values = states(2, 2, 40, 8), states(2, 2, 40, 8, seed=1)
    found = []
    for pieces in ((40,), (1,) * 40, (7, 20, 13)):
        layer, at, earlier = layer_of(format=format, group=4, residual=6), 0, None
        for length in pieces:
            layer.update(keys[:, :, at : at + length], values[:, :, at : at + length])
            at += length
            assert layer.get_seq_length() == at
            if layer.old_keys is None:
                continue
            codes = layer.old_keys.codes.view(torch.uint8)
            assert earlier is None or torch.equal(codes[:, :, : earlier.shape[2]], earlier), "old codes have changed"
            earlier = codes.clone()
        assert layer.quantized_tokens == 32
        assert layer.keys.shape[-2] == 8
        found.append([part.float() for old in (layer.old_keys, layer.old_values) for part in (old.codes, old.scale)])
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other))


def test_recent_tokens_are_as_they_came_in_and_old_ones_are_near():
    keys, values = states(1, 2, 30, 8), states(1, 2, 30, 8, seed=1)
    layer = layer_of(format="int8", group=4, residual=6)
    for at in range(30):
        whole_keys, whole_values = layer.update(keys[:, :, at : at + 1], values[:, :, at : at + 1])
        assert torch.equal(whole_keys[:, :, -6:], keys[:, :, max(0, at - 5) : at + 1])
        assert (whole_keys - keys[:, :, : at + 1]).abs().max() < 0.02
        assert (whole_values - values[:, :, : at + 1]).abs().max() < 0.02


@pytest.mark.parametrize(("format", "bits", "parts"), [("int8", 8, 2), ("int4", 4, 2), ("fp8", 8, 1)])
def test_bytes_are_those_of_the_codes_and_a_scale_a_group(format, bits, parts):
    """Counted by storages: nothing of what was quantised is still held."""
    layer, length, d = layer_of(format=format, group=64, residual=64), 1024, 64
    for at in range(0, length, 128):
        layer.update(states(1, 2, 128, d).half(), states(1, 2, 128, d, seed=at).half())
    old = 2 * 2 * d * (length - 64)  # numbers, of keys and values
    wanted = old * bits // 8 + old // 64 * parts * 2 + 2 * 2 * d * 64 * 2
    tensors = [layer.keys, layer.values]
    for codes in (layer.old_keys, layer.old_values):
        tensors += [part for part in (codes.codes, codes.scale, codes.zero) if part is not None]
    assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) == wanted


def test_generation_with_padding_and_beams_goes_on_beyond_the_residual_window():
    network = llama()
    inputs = padded(tokens(2, 9), (0, 4))
    for settings in ({}, {"num_beams": 3}):
        cache = make("cache.quantized", format="int8", group=4, residual=4).build(network)
        found = greedy(network, inputs, 30, past_key_values=cache, **settings)
        assert found.shape == (2, 30)
        assert cache.layers[0].quantized_tokens == 32
        wanted = greedy(network, inputs, 30, use_cache=False, **settings)
        assert (found == wanted).double().mean() > 0.5


def test_only_layers_that_keep_everything_are_quantised():
    torch.manual_seed(0)
    attention = {"use": "attention", "heads": 2}
    layer = {
        "use": "transformer",
        "attention": {"use": "cycle", "of": [{**attention, "window": 4}, attention]},
        "ffn": {"use": "ffn", "inner": 24},
    }
    network = make("network.decoder", vocab=37, width=16, layers=2, layer=layer, pad=0).build().eval()
    cache = make("cache.quantized", group=2, residual=0).build(network)
    greedy(network, {"input_ids": tokens(2, 9)}, 8, past_key_values=cache)
    assert isinstance(cache.layers[0], DynamicSlidingWindowLayer)
    assert cache.layers[1].quantized_tokens == 16


def test_it_is_cut_back_within_the_residual_window_alone():
    network = llama()
    cache = make("cache.quantized", group=4, residual=4).build(network)
    with torch.no_grad():
        network(tokens(1, 18), past_key_values=cache)
    cache.crop(-3)
    assert cache.get_seq_length() == 15
    with pytest.raises(CallError, match="by 3 tokens, not by 4"):
        cache.crop(-4)


def test_heads_of_an_odd_width_are_refused_for_int4():
    with pytest.raises(CallError, match="do not pack in pairs"):
        layer_of(format="int4").update(states(1, 1, 2, 7), states(1, 1, 2, 7))
    layer_of(format="int8", group=2, residual=0).update(states(1, 1, 4, 7), states(1, 1, 4, 7))


@pytest.mark.parametrize("beams", [1, 3])
def test_the_decoder_of_a_translator_has_it_beside_the_encoders_keys(beams):
    config = {"d_model": 16, "d_ff": 24, "d_kv": 4, "num_layers": 2, "num_heads": 4}
    network = seeded(T5ForConditionalGeneration(T5Config(vocab_size=37, decoder_start_token_id=0, **config)))
    made = {"max_new_tokens": 9, "do_sample": False, "eos_token_id": None, "num_beams": beams}
    wanted = network.generate(tokens(3, 7), use_cache=False, **made)
    assert torch.equal(
        network.generate(tokens(3, 7), past_key_values=make("cache.quantized").build(network), **made), wanted
    )
