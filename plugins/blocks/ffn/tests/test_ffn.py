import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from dougong_block_ffn import Params
from dougong_block_ffn.ffn import FFN
from torch.nn import functional as F
from transformers import GPT2Config, LlamaConfig
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.models.llama.modeling_llama import LlamaMLP

torch.set_num_threads(1)
CONFIG = SimpleNamespace(hidden_size=16)


@pytest.mark.parametrize("bias", [False, True])
def test_gated_silu_equals_llamas_swiglu_under_its_key_names(bias):
    theirs = LlamaMLP(LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=40, mlp_bias=bias))
    ours = FFN(Params(inner=40, bias=bias), CONFIG)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 16)
    assert torch.equal(ours(x), theirs(x))


def test_plain_gelu_equals_gpt2():
    theirs = GPT2MLP(64, GPT2Config(n_embd=16, resid_pdrop=0.0)).eval()
    ours = FFN(Params(inner=64, activation="gelu_new", gated=False, bias=True), CONFIG)
    ours.load_state_dict(
        {
            "up_proj.weight": theirs.c_fc.weight.T,
            "up_proj.bias": theirs.c_fc.bias,
            "down_proj.weight": theirs.c_proj.weight.T,
            "down_proj.bias": theirs.c_proj.bias,
        }
    )
    x = torch.randn(2, 3, 16)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-6)


REFERENCE = {
    "relu": F.relu,
    "relu2": lambda x: F.relu(x) ** 2,
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


@pytest.mark.parametrize("activation", REFERENCE)
@pytest.mark.parametrize("gated", [False, True])
def test_every_activation_follows_the_equations(activation, gated):
    ours = FFN(Params(inner=24, activation=activation, gated=gated), CONFIG)
    x = torch.randn(5, 16)
    inner = x @ ours.up_proj.weight.T
    act = REFERENCE[activation]
    inner = act(x @ ours.gate_proj.weight.T) * inner if gated else act(inner)
    torch.testing.assert_close(ours(x), inner @ ours.down_proj.weight.T, atol=1e-6, rtol=1e-5)


def test_the_plain_form_has_two_matrices():
    assert set(FFN(Params(inner=4, gated=False), CONFIG).state_dict()) == {"up_proj.weight", "down_proj.weight"}


def test_inner_is_positive():
    with pytest.raises(ValueError, match="inner"):
        Params(inner=0)


def test_params_import_no_torch():
    code = "import sys, dougong_block_ffn as p; p.dougong_blocks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
