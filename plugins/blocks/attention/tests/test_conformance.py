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


class TestWindow(Attends):
    params = {"heads": 4, "kv_heads": 2, "window": 3, "scale": 0.3}
    refused = ({"window": 0}, {"scale": 0.0})
    accepted = ({"window": 1}, {"scale": 2.0})

    def expected(self, block, hidden):
        return None


class TestAlibi(Attends):
    params = {"heads": 4, "kv_heads": 2, "positions": "alibi"}

    def expected(self, block, hidden):
        """Press et al. 2022, section 3: to each score is added the slope times minus the distance."""
        batch, length, _ = hidden.shape
        q = block.q_proj(hidden).view(batch, length, 4, 4)
        k, v = (getattr(block, f"{name}_proj")(hidden).view(batch, length, 2, 4) for name in "kv")
        heads = torch.zeros(batch, length, 4, 4)
        for b in range(batch):
            for h, slope in enumerate((2**-2, 2**-4, 2**-6, 2**-8)):
                for i in range(length):
                    scores = [q[b, i, h] @ k[b, j, h // 2] / 2 - slope * (i - j) for j in range(i + 1)]
                    heads[b, i, h] = torch.stack(scores).softmax(0) @ v[b, : i + 1, h // 2]
        return block.o_proj(heads.flatten(2))


class TestBothDirections(Attends):
    params = {"heads": 4, "positions": "alibi"}
    causal = cached = False

    def expected(self, block, hidden):
        return None

    def made(self, config=None, layer_idx=0, **overrides):
        """A network in which every position sees every other says so in its config."""
        config = config or self.config()
        config.is_causal = False
        return super().made(config, layer_idx, **overrides)


class TestLearnedPositions(BlockConformance):
    name = "block.positions-learned"
    params = {"offset": 2}
    refused = ({"offset": -1},)
    accepted = ({"offset": 0},)
    causal = True  # so that the suite passes positions as a causal network does

    def expected(self, block, hidden):
        return hidden + block.table.weight[2 : 2 + hidden.shape[1]]


class TestSinusoidalPositions(BlockConformance):
    name = "block.positions-sinusoidal"
    params = {"base": 100.0}
    refused = ({"base": 0.0},)
    accepted = ({"base": 0.5}, {"scale": False})

    def expected(self, block, hidden):
        """Section 3.5, feature by feature."""
        d = hidden.shape[-1]
        table = torch.zeros(hidden.shape[1], d)
        for pos in range(hidden.shape[1]):
            for i in range(0, d, 2):
                angle = torch.tensor(pos / 100.0 ** (i / d))
                table[pos, i], table[pos, i + 1] = angle.sin(), angle.cos()
        return d**0.5 * hidden + table
