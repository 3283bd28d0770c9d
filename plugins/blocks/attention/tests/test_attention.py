import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from dougong import BuildError
from dougong_block_attention import Params
from dougong_block_attention.attention import Attention
from dougong_block_rmsnorm import Params as NormParams
from dougong_block_rmsnorm.rmsnorm import RMSNorm
from transformers import AttentionInterface, DynamicCache, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

torch.set_num_threads(1)
WIDTH, LENGTH = 32, 9


def config(implementation="eager"):
    return SimpleNamespace(hidden_size=WIDTH, max_position_embeddings=16, _attn_implementation=implementation)


def positions(length=LENGTH):
    return torch.arange(length)[None]


def causal(length=LENGTH):
    return torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_multi_head_equals_torchs_multihead_attention(implementation):
    theirs = torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True)
    ours = Attention(Params(heads=4, positions="none", bias="all"), config(implementation), 0)
    theirs.in_proj_bias.data.normal_()
    for name, weight, bias in zip("qkv", theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True):
        getattr(ours, f"{name}_proj").load_state_dict({"weight": weight, "bias": bias})
    ours.o_proj.load_state_dict(theirs.out_proj.state_dict())
    x = torch.randn(2, LENGTH, WIDTH)
    want, _ = theirs(x, x, x, attn_mask=causal()[0, 0], need_weights=False)
    got = ours(x, attention_mask=causal(), position_ids=positions())
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)


def by_hand(module, x, theta):
    """Equation 1 head by head, with the rotation as complex multiplication (Su et al. 2021, section 3.2)."""
    H, H_kv, d = module.num_attention_heads, module.num_key_value_heads, module.head_dim
    batch, length, _ = x.shape
    angle = torch.arange(length)[:, None] * theta ** (-torch.arange(0, d, 2) / d)

    def rotated(v):
        turned = torch.complex(v[..., : d // 2], v[..., d // 2 :]) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat((turned.real, turned.imag), -1)

    q, k, v = (getattr(module, f"{name}_proj")(x) for name in "qkv")
    out = torch.zeros(batch, length, H * d)
    for b in range(batch):
        for h in range(H):
            g = h // (H // H_kv)
            q_h, k_g = rotated(q[b, :, h * d : (h + 1) * d]), rotated(k[b, :, g * d : (g + 1) * d])
            for i in range(length):
                scores = k_g[: i + 1] @ q_h[i] / d**0.5
                out[b, i, h * d : (h + 1) * d] = scores.softmax(0) @ v[b, : i + 1, g * d : (g + 1) * d]
    return module.o_proj(out)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(4, None, None), (4, 2, None), (4, 1, None), (6, 3, 10)])
def test_multi_grouped_and_multi_query_follow_the_equations(implementation, heads, kv_heads, head_dim):
    params = Params(heads=heads, kv_heads=kv_heads, head_dim=head_dim, rope_theta=100.0)
    ours = Attention(params, config(implementation), 0)
    x = torch.randn(2, LENGTH, WIDTH)
    got = ours(x, attention_mask=causal(), position_ids=positions())
    torch.testing.assert_close(got, by_hand(ours, x, 100.0), atol=1e-6, rtol=1e-5)


FACTORS = {
    "default": {},
    "linear": {"factor": 2.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8,
    },
}


@pytest.mark.parametrize("rope_type", FACTORS)
def test_every_stretching_of_the_rotation_equals_llamas_within_and_beyond_the_length(rope_type):
    factors = FACTORS[rope_type]
    llama = LlamaConfig(
        hidden_size=WIDTH,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16,
        rope_parameters={"rope_type": rope_type, "rope_theta": 500.0, **factors},
        attn_implementation="eager",
    )
    theirs, turn = LlamaAttention(llama, 0), LlamaRotaryEmbedding(llama)
    given = {name: float(value) for name, value in factors.items()}  # as params hold them
    params = Params(heads=4, kv_heads=2, rope_theta=500.0, rope_type=rope_type, rope_factors=given)
    ours = Attention(params, config(), 0)
    ours.load_state_dict(theirs.state_dict())
    for length in (9, 40, 9):
        x, mask, where = torch.randn(2, length, WIDTH), causal(length), positions(length)
        want, _ = theirs(x, turn(x, where), mask)
        torch.testing.assert_close(ours(x, attention_mask=mask, position_ids=where), want, atol=1e-6, rtol=1e-6)


def test_only_distances_between_positions_matter():
    ours = Attention(Params(heads=4), config(), 0)
    x = torch.randn(1, LENGTH, WIDTH)
    here = ours(x, attention_mask=causal(), position_ids=positions())
    there = ours(x, attention_mask=causal(), position_ids=positions() + 100)
    torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "settings", "params"),
    [
        (Qwen2Attention, Qwen2Config, {"bias": "qkv"}),
        (Qwen3Attention, Qwen3Config, {"qk_norm": partial(RMSNorm, NormParams(eps=1e-6))}),
    ],
)
def test_biases_and_head_norms_equal_qwens_under_its_key_names(make, settings, params):
    qwen = settings(
        hidden_size=WIDTH, num_attention_heads=4, num_key_value_heads=2, head_dim=8, attn_implementation="eager"
    )
    qwen.rope_parameters = {"rope_type": "default", "rope_theta": 10_000.0}
    theirs, turn = make(qwen, 0), LlamaRotaryEmbedding(qwen)
    for parameter in theirs.parameters():
        parameter.data.normal_()
    ours = Attention(Params(heads=4, kv_heads=2, **params), config(), 0)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, LENGTH, WIDTH)
    want, _ = theirs(x, turn(x, positions()), causal())
    got = ours(x, attention_mask=causal(), position_ids=positions())
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-6)


def test_a_token_at_a_time_through_the_cache_equals_all_at_once():
    ours = Attention(Params(heads=4, kv_heads=2), config("sdpa"), 0)
    x, cache = torch.randn(2, LENGTH, WIDTH), DynamicCache()
    whole = ours(x, position_ids=positions())  # no mask: causal
    steps = [
        ours(x[:, i : i + 1], position_ids=positions()[:, i : i + 1], past_key_values=cache) for i in range(LENGTH)
    ]
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-6, rtol=1e-5)
    assert cache.layers[0].keys.shape == (2, 2, LENGTH, 8)


def test_a_network_can_ask_for_attention_in_both_directions():
    ours = Attention(Params(heads=4, kv_heads=2), config("sdpa"), 0)
    x = torch.randn(2, LENGTH, WIDTH)
    got = ours(x, position_ids=positions(), is_causal=False)
    everywhere = torch.zeros(1, 1, LENGTH, LENGTH)
    torch.testing.assert_close(got, ours(x, position_ids=positions(), attention_mask=everywhere), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(got, ours(x, position_ids=positions()), atol=1e-2)


def test_a_registered_attention_function_is_used_and_sees_every_keyword():
    seen = {}

    def mean_of_values(module, query, key, value, attention_mask, **kwargs):
        seen.update(kwargs, layer_idx=module.layer_idx)
        value = value.repeat_interleave(module.num_key_value_groups, dim=1)
        return value.mean(2, keepdim=True).expand_as(query).transpose(1, 2), None

    AttentionInterface.register("mean_of_values", mean_of_values)
    ours = Attention(Params(heads=4, kv_heads=2, bias="all"), config("mean_of_values"), 5)
    x = torch.randn(1, LENGTH, WIDTH)
    got = ours(x, position_ids=positions(), attention_instances="vllm's")
    torch.testing.assert_close(got[:, 0], got[:, -1])
    assert seen["attention_instances"] == "vllm's"
    assert (seen["layer_idx"], seen["scaling"], seen["dropout"]) == (5, 8**-0.5, 0.0)


def test_weights_pass_through_a_module_that_hooks_can_watch():
    ours, seen = Attention(Params(heads=4), config(), 0), []
    ours.attention_weights.register_forward_hook(lambda module, inputs, output: seen.append(output))
    ours(torch.randn(2, LENGTH, WIDTH), attention_mask=causal(), position_ids=positions())
    assert seen[0].shape == (2, 4, LENGTH, LENGTH)
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(2, 4, LENGTH))
    assert seen[0].triu(1).abs().max() == 0


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_dropout_acts_in_training_only(implementation):
    ours = Attention(Params(heads=4, dropout=0.5), config(implementation), 0)
    x = torch.randn(1, LENGTH, WIDTH)
    run = partial(ours, x, attention_mask=causal(), position_ids=positions())
    assert not torch.equal(run(), run())
    ours.eval()
    assert torch.equal(run(), run())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"heads": 0}, "heads"),
        ({"heads": 4, "kv_heads": 3}, r"divisor of heads \(4\)"),
        ({"heads": 4, "kv_heads": 0}, "divisor of heads"),
        ({"heads": 4, "dropout": 1.0}, "dropout"),
        ({"heads": 4, "rope_type": "linear"}, "'linear', no factor; it takes factor"),
        ({"heads": 4, "rope_factors": {"factor": 2.0}}, "not factor; it takes none"),
        ({"heads": 4, "rope_type": "linear", "rope_factors": {"factor": 2.0, "fctor": 1.0}}, "not fctor"),
    ],
)
def test_params_that_contradict_each_other_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Params(**wrong)


def test_heads_that_do_not_fit_the_width_are_refused_with_the_cure():
    with pytest.raises(BuildError, match="width 32 is not a multiple of 5 heads; set head_dim"):
        Attention(Params(heads=5), config(), 0)
    with pytest.raises(BuildError, match="7 features cannot be rotated in pairs; make head_dim even"):
        Attention(Params(heads=4, head_dim=7), config(), 0)
    Attention(Params(heads=4, head_dim=7, positions="none"), config(), 0)


def test_params_import_no_torch():
    code = "import sys, dougong_block_attention as p; p.dougong_blocks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
