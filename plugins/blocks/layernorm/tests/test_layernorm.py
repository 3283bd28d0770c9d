import subprocess
import sys
from types import SimpleNamespace

import torch
from dougong_block_layernorm import Params
from dougong_block_layernorm.layernorm import LayerNorm

CONFIG = SimpleNamespace(hidden_size=8)


def test_a_constant_vector_becomes_the_shift():
    norm = LayerNorm(Params(), CONFIG)
    norm.bias.data.fill_(3.0)
    assert torch.equal(norm(torch.full((2, 8), 1e4)), torch.full((2, 8), 3.0))


def test_large_values_in_half_precision_stay_finite():
    large = torch.linspace(-6e4, 6e4, 24).view(3, 8).half()  # their squares overflow
    assert torch.isfinite(LayerNorm(Params(), CONFIG).half()(large)).all()


def test_params_import_no_torch():
    code = "import sys, dougong_block_layernorm as p; p.dougong_blocks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
