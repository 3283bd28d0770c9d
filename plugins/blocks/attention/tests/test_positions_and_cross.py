"""ALiBi, windows, cross-attention and what adds positions, against transformers and torch."""

from types import SimpleNamespace

import pytest
import torch
from dougong_block_attention import LearnedParams, Params, SinusoidalParams
from dougong_block_attention.attention import Attention
from dougong_block_attention.positions import Learned, Sinusoidal, alibi_slopes
from transformers import DynamicCache, EncoderDecoderCache, LlamaConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

torch.set_num_threads(1)
WIDTH, LENGTH = 32, 9


def config(implementation="eager", **more):
    return SimpleNamespace(hidden_size=WIDTH, max_position_embeddings=64, _attn_implementation=implementation, **more)


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 8, 12, 16, 20])
def test_slopes_are_blooms_and_mpts(heads):
    slopes = alibi_slopes(heads)
    bloom = build_alibi_tensor(torch.ones(1, 2), heads, torch.float32)[:, 0, 1]
    torch.testing.assert_close(slopes, bloom)
    if heads & (heads - 1) == 0:  # elsewhere MPT orders them otherwise
        torch.testing.assert_close(slopes, -build_mpt_alibi_tensor(heads, 2)[:, 0, 0].flatten())


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_alibi_through_a_cache_equals_all_at_once(implementation):
    block = Attention(Params(heads=4, kv_heads=2, positions="alibi"), config(implementation), 0).eval()
    x, past = torch.randn(2, LENGTH, WIDTH), DynamicCache()
    causal = torch.full((LENGTH, LENGTH), torch.finfo(x.dtype).min).triu(1)[None, None]
    whole = block(x, attention_mask=causal)
    steps = [block(x[:, i : i + 1], past_key_values=past) for i in range(LENGTH)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=0)
    if implementation == "sdpa":
        torch.testing.assert_close(block(x), whole, atol=1e-6, rtol=0)  # no mask: causal


def test_alibi_sees_both_ways_alike_where_attention_does():
    block = Attention(Params(heads=4, positions="alibi"), config("sdpa", is_causal=False), 0).eval()
    x = torch.randn(1, LENGTH, WIDTH)
    there, back = block(x), block(x.flip(1)).flip(1)
    torch.testing.assert_close(there, back, atol=1e-6, rtol=0)


def test_an_implementation_without_biases_is_refused_by_name():
    block = Attention(Params(heads=4, positions="alibi"), config("flash_attention_2"), 0)
    with pytest.raises(ValueError, match="'flash_attention_2' adds no ALiBi; take one of eager, sdpa"):
        block(torch.randn(1, 3, WIDTH))


@pytest.mark.parametrize("length", [6, 40])
def test_longrope_equals_transformers_within_and_beyond_the_length_of_training(length):
    short, long = [1.0, 1.1, 1.2, 1.3], [1.0, 2.0, 3.0, 4.0]
    rope = {"rope_type": "longrope", "rope_theta": 500.0, "short_factor": short, "long_factor": long}
    rope["original_max_position_embeddings"] = 16
    sizes = {"hidden_size": WIDTH, "num_attention_heads": 4, "num_key_value_heads": 2}
    llama = LlamaConfig(**sizes, max_position_embeddings=64, rope_parameters=rope, attn_implementation="eager")
    theirs, turn = LlamaAttention(llama, 0), LlamaRotaryEmbedding(llama)
    factors = {"original_max_position_embeddings": 16.0}
    params = {"rope_theta": 500.0, "rope_type": "longrope", "rope_factors": factors}
    ours = Attention(Params(heads=4, kv_heads=2, **params, rope_short=short, rope_long=long), config(), 0)
    ours.load_state_dict(theirs.state_dict())
    x, where = torch.randn(2, length, WIDTH), torch.arange(length)[None]
    mask = torch.full((length, length), torch.finfo(x.dtype).min).triu(1)[None, None]
    want, _ = theirs(x, turn(x, where), mask)
    torch.testing.assert_close(ours(x, attention_mask=mask, position_ids=where), want, atol=1e-6, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_cross_attention_equals_torchs_and_reads_the_encoder_once(implementation):
    ours = Attention(Params(heads=4, cross=True, positions="none", bias="all"), config(implementation), 0).eval()
    theirs = torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True).eval()
    maps = [ours.q_proj, ours.k_proj, ours.v_proj]
    theirs.in_proj_weight.data = torch.cat([m.weight for m in maps])
    theirs.in_proj_bias.data = torch.cat([m.bias for m in maps])
    theirs.out_proj.load_state_dict(ours.o_proj.state_dict())
    x, states = torch.randn(2, LENGTH, WIDTH), torch.randn(2, 5, WIDTH)
    padding = torch.tensor([[1, 1, 1, 0, 0], [1] * 5]).bool()
    want, _ = theirs(x, states, states, key_padding_mask=~padding)
    mask = padding[:, None, None].expand(-1, 1, LENGTH, -1)
    if implementation == "eager":
        mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(x.dtype).min)
    given = {"encoder_hidden_states": states, "encoder_attention_mask": mask}
    past = EncoderDecoderCache(DynamicCache(), DynamicCache())
    torch.testing.assert_close(ours(x, **given, past_key_values=past), want, atol=1e-6, rtol=0)
    given["encoder_hidden_states"] = None  # not needed again
    torch.testing.assert_close(ours(x, **given, past_key_values=past), want, atol=1e-6, rtol=0)
    assert not hasattr(ours, "layer_type"), "what it keeps is not the layer's own past"
    seen = []
    ours.cross_attention_weights.register_forward_hook(lambda *args: seen.append(args[2]))
    ours(x, **given, past_key_values=past)
    assert len(seen) == (implementation == "eager")
    with pytest.raises(ValueError, match="pass encoder_hidden_states"):
        ours(x)


def test_types_of_layers_say_what_is_kept():
    assert Attention(Params(heads=4), config(), 0).layer_type == "full_attention"
    assert Attention(Params(heads=4, window=8), config(), 0).layer_type == "sliding_attention"


def test_scale_takes_the_place_of_one_over_the_root_of_a_heads_size():
    assert Attention(Params(heads=4, scale=0.25), config(), 0).scaling == 0.25
    assert Attention(Params(heads=4), config(), 0).scaling == 8**-0.5


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"cross": True}, "must be none where cross is true"),
        ({"cross": True, "positions": "none", "window": 4}, "null where cross is true"),
        ({"window": 0}, "at least 1"),
        ({"rope_short": [1.0]}, "for rope_type longrope and for no other"),
        ({"rope_type": "longrope", "rope_factors": {"original_max_position_embeddings": 8.0}}, "must be given"),
    ],
)
def test_params_that_contradict_each_other_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Params(heads=4, **wrong)


def test_learned_positions_are_looked_up_behind_the_offset():
    block, x = Learned(LearnedParams(offset=2), config()), torch.zeros(2, 3, WIDTH)
    assert block.table.weight.shape == (66, WIDTH)
    found = block(x, position_ids=torch.tensor([[5, 6, 7], [0, 0, 1]]))
    assert torch.equal(found[0], block.table.weight[7:10])
    assert torch.equal(found[1], block.table.weight[[2, 2, 3]])
    assert torch.equal(block(x)[0], block.table.weight[2:5])


def test_sinusoids_of_a_shifted_position_are_a_rotation_of_the_first():
    """Section 3.5: PE(pos + k) is a linear function of PE(pos)."""
    block, zero = Sinusoidal(SinusoidalParams(scale=False), config()), torch.zeros(1, 40, WIDTH)
    table = block(zero)[0]
    far = block(zero[:, :1], position_ids=torch.tensor([[37]]))[0, 0]
    torch.testing.assert_close(far, table[37])
    pairs = table.view(40, -1, 2)
    torch.testing.assert_close(pairs.norm(dim=-1), torch.ones(40, WIDTH // 2))
    products = (pairs[5] * pairs[9]).sum(-1), (pairs[20] * pairs[24]).sum(-1)
    torch.testing.assert_close(*products)
    assert Sinusoidal(SinusoidalParams(), config())(torch.ones(1, 1, WIDTH))[0, 0, 0] == pytest.approx(WIDTH**0.5)
