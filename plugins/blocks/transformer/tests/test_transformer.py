import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from dougong_block_attention import Params as AttentionParams
from dougong_block_attention.attention import Attention
from dougong_block_ffn import Params as FFNParams
from dougong_block_ffn.ffn import FFN
from dougong_block_rmsnorm import Params as NormParams
from dougong_block_rmsnorm.rmsnorm import RMSNorm
from dougong_block_transformer import Params
from dougong_block_transformer.transformer import TransformerLayer

torch.set_num_threads(1)
WIDTH, LENGTH = 16, 7
CONFIG = SimpleNamespace(hidden_size=WIDTH, max_position_embeddings=16, _attn_implementation="sdpa")


def layer(placement, **params):
    torch.manual_seed(0)
    return TransformerLayer(
        Params(
            attention=partial(Attention, AttentionParams(heads=2, positions="none", bias="all")),
            ffn=partial(FFN, FFNParams(inner=24, activation="relu", gated=False, bias=True)),
            norm=partial(RMSNorm, NormParams(eps=1e-6)),
            placement=placement,
            **params,
        ),
        CONFIG,
        0,
    )


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_equals_torchs_layer_forward_and_backward(placement):
    ours = layer(placement)
    theirs = torch.nn.TransformerEncoderLayer(WIDTH, 2, 24, 0.0, norm_first=placement == "pre", batch_first=True)
    theirs.norm1, theirs.norm2 = torch.nn.RMSNorm(WIDTH, 1e-6), torch.nn.RMSNorm(WIDTH, 1e-6)
    first, second = (
        (ours.input_layernorm, ours.post_attention_layernorm)
        if placement == "pre"
        else (ours.post_attention_layernorm, ours.post_feedforward_layernorm)
    )
    a = theirs.self_attn
    pairs = [
        (first.weight, theirs.norm1.weight),
        (second.weight, theirs.norm2.weight),
        (ours.self_attn.o_proj.weight, a.out_proj.weight),
        (ours.self_attn.o_proj.bias, a.out_proj.bias),
        (ours.mlp.up_proj.weight, theirs.linear1.weight),
        (ours.mlp.up_proj.bias, theirs.linear1.bias),
        (ours.mlp.down_proj.weight, theirs.linear2.weight),
        (ours.mlp.down_proj.bias, theirs.linear2.bias),
    ]
    for mine, other in pairs:
        mine.data.normal_(std=0.3)
        other.data.copy_(mine)
    for i, linear in enumerate((ours.self_attn.q_proj, ours.self_attn.k_proj, ours.self_attn.v_proj)):
        linear.bias.data.normal_(std=0.3)
        a.in_proj_weight.data[i * WIDTH : (i + 1) * WIDTH] = linear.weight
        a.in_proj_bias.data[i * WIDTH : (i + 1) * WIDTH] = linear.bias

    x = torch.randn(2, LENGTH, WIDTH)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
    got, want = ours(x, position_ids=torch.arange(LENGTH)[None]), theirs(x, src_mask=mask, is_causal=True)
    torch.testing.assert_close(got, want, atol=2e-6, rtol=1e-5)
    got.square().sum().backward()
    want.square().sum().backward()
    for mine, other in pairs:
        torch.testing.assert_close(mine.grad, other.grad, atol=2e-4, rtol=1e-4)


def test_every_keyword_reaches_both_sublayers():
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self, config, layer_idx):
            super().__init__()
            self.layer_idx = layer_idx

        def forward(self, hidden, **kwargs):
            seen.append((self.layer_idx, kwargs))
            return hidden

    spied = TransformerLayer(Params(attention=Spy, ffn=Spy, norm=partial(RMSNorm, NormParams())), CONFIG, 3)
    given = {"attention_mask": 1, "position_ids": 2, "past_key_values": 3, "use_cache": False, "extra": 4}
    spied(torch.randn(1, 2, WIDTH), **given)
    assert seen == [(3, given), (3, given)]


def test_dropout_acts_on_both_sublayers_in_training_only():
    dropped = layer("pre", dropout=0.5)
    x = torch.randn(1, LENGTH, WIDTH)
    assert not torch.equal(dropped(x), dropped(x))
    dropped.eval()
    torch.testing.assert_close(dropped(x), layer("pre").eval()(x))


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_a_share(dropout):
    with pytest.raises(ValueError, match="dropout"):
        Params(attention=None, ffn=None, dropout=dropout)


def test_params_import_no_torch():
    code = "import sys, dougong_block_transformer as p; p.dougong_blocks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
