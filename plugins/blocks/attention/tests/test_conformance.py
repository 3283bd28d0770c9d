import pytest
import torch
from dougong import BuildError
from dougong.testing import BlockConformance


class Attends(BlockConformance):
    name = "block.attention"
    mixes = causal = cached = True
    theta = 10_000.0

    def expected(self, block, hidden):
        """Equation 1 head by head, the rotation as complex multiplication (Su et al. 2021, section 3.2)."""
        H, H_kv, d = block.num_attention_heads, block.num_key_value_heads, block.head_dim
        batch, length, _ = hidden.shape
        angle = torch.arange(length)[:, None] * self.theta ** (-torch.arange(0, d, 2) / d)

        def rotated(v):
            if block.rotary_emb is None:
                return v
            turned = torch.complex(v[..., : d // 2], v[..., d // 2 :]) * torch.polar(torch.ones_like(angle), angle)
            return torch.cat((turned.real, turned.imag), -1)

        q, k, v = (getattr(block, f"{name}_proj")(hidden) for name in "qkv")
        heads = torch.zeros(batch, length, H * d)
        for b in range(batch):
            for h in range(H):
                of, g = slice(h * d, (h + 1) * d), h // (H // H_kv)
                queries, keys = rotated(q[b, :, of]), rotated(k[b, :, g * d : (g + 1) * d])
                for i in range(length):
                    weights = (keys[: i + 1] @ queries[i] / d**0.5).softmax(0)
                    heads[b, i, of] = weights @ v[b, : i + 1, g * d : (g + 1) * d]
        return block.o_proj(heads)


class TestGroupedQueries(Attends):
    params = {"heads": 4, "kv_heads": 2, "rope_theta": 100.0}
    drops = {"dropout": 0.5}
    refused = ({"heads": 0}, {"kv_heads": 3}, {"kv_heads": 0}, {"head_dim": 0}, {"dropout": 1.0}, {"dropout": -0.1},
               {"rope_theta": 0.0}, {"rope_factors": {"factor": 2.0}})  # fmt: skip
    accepted = ({"kv_heads": 1}, {"kv_heads": 4}, {"head_dim": 1}, {"dropout": 0.0}, {"dropout": 0.99},
                {"rope_type": "linear", "rope_factors": {"factor": 2.0}}, {"rope_theta": 0.1})  # fmt: skip
    theta = 100.0


class TestMultiHead(Attends):
    params = {"heads": 2, "head_dim": 6, "bias": "all", "positions": "none"}
    unused = ("k_proj.bias",)  # adds the same to all scores of a query: softmax takes it away

    def test_it_keeps_its_own_promises(self):
        """Also: which maps have a bias, and heads that do not fit the width."""
        super().test_it_keeps_its_own_promises()
        for bias, maps in (("none", ""), ("qkv", "qkv"), ("all", "qkvo")):
            keys = {key for key in self.made(bias=bias).state_dict() if key.endswith("bias")}
            assert keys == {f"{name}_proj.bias" for name in maps}
        with pytest.raises(BuildError, match="width 16 is not a multiple of 5 heads"):
            self.made(heads=5, head_dim=None)
        with pytest.raises(BuildError, match="7 features cannot be rotated in pairs"):
            self.made(head_dim=7, positions="rope")


class TestHeadNorms(Attends):
    params = {"heads": 4, "kv_heads": 1, "bias": "qkv", "qk_norm": {"use": "rmsnorm"}, "dropout": 0.5}

    def expected(self, block, hidden):
        return None
