import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from dougong_block_rmsnorm import Params
from dougong_block_rmsnorm.rmsnorm import RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

torch.set_num_threads(1)
CONFIG = SimpleNamespace(hidden_size=48)


def test_equals_torch_in_float32_forward_and_backward():
    ours, theirs = RMSNorm(Params(eps=1e-5), CONFIG), torch.nn.RMSNorm(48, eps=1e-5)
    gain = torch.randn(48)
    x = torch.randn(2, 5, 48)
    outs, grads = [], []
    for norm in (ours, theirs):
        norm.weight.data.copy_(gain)
        a = x.clone().requires_grad_()
        out = norm(a)
        out.square().sum().backward()
        outs.append(out)
        grads.append((a.grad, norm.weight.grad))
    torch.testing.assert_close(outs[0], outs[1], atol=1e-6, rtol=1e-6)
    for mine, other in zip(*grads, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_takes_the_mean_square_in_float32_as_llama_does(dtype):
    ours, theirs = RMSNorm(Params(), CONFIG).to(dtype), LlamaRMSNorm(48).to(dtype)
    x = (torch.randn(3, 48) * 300).to(dtype)  # squares overflow float16
    out = ours(x)
    assert out.dtype == dtype
    assert torch.isfinite(out).all()
    assert torch.equal(out, theirs(x))


def test_a_zero_vector_stays_finite():
    assert torch.equal(RMSNorm(Params(), CONFIG)(torch.zeros(1, 48)), torch.zeros(1, 48))


def test_the_width_can_be_other_than_the_networks():
    assert RMSNorm(Params(), CONFIG, 3, width=8)(torch.randn(2, 4, 8)).shape == (2, 4, 8)


@pytest.mark.parametrize("eps", [0.0, -1e-6])
def test_eps_is_positive(eps):
    with pytest.raises(ValueError, match="eps"):
        Params(eps=eps)


def test_params_import_no_torch():
    code = "import sys, dougong_block_rmsnorm as p; p.dougong_blocks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
