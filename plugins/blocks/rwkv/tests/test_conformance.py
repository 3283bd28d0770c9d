import pytest
import torch
from dougong import BuildError
from dougong.testing import BlockConformance
from torch.nn import functional as F


class Recurrent(BlockConformance):
    mixes = causal = cached = True


def before(x, t):
    return x[t - 1] if t else torch.zeros_like(x[0])


class TestTimeMix4(Recurrent):
    name = "block.rwkv4"
    params = {"inner": 12}
    refused = ({"inner": 0},)
    accepted = ({"inner": 1},)

    def expected(self, block, hidden):
        """Equations 11 to 17, the average (16) as the sum over the past that it is."""
        w, u, out = block.time_decay.exp(), block.time_first, torch.zeros_like(hidden)
        for row, x in enumerate(hidden):
            k, v, r = [], [], []
            for t in range(len(x)):
                for into, name in ((k, "key"), (v, "value"), (r, "receptance")):
                    share = getattr(block, f"time_mix_{name}")[0, 0]
                    into.append(getattr(block, name).weight @ (share * x[t] + (1 - share) * before(x, t)))
            for t in range(len(x)):
                weights = [torch.exp(-(t - 1 - i) * w + k[i]) for i in range(t)] + [torch.exp(u + k[t])]
                wkv = sum(weight * v[i] for i, weight in enumerate(weights)) / sum(weights)
                out[row, t] = block.output.weight @ (torch.sigmoid(r[t]) * wkv)
        return out


class TestChannelMix4(Recurrent):
    name = "block.rwkv4-channel"
    params = {"inner": 24}
    refused = ({"inner": 0},)
    accepted = ({"inner": 1},)

    def expected(self, block, hidden):
        out = torch.zeros_like(hidden)
        for row, x in enumerate(hidden):
            for t in range(len(x)):
                shares = block.time_mix_key[0, 0], block.time_mix_receptance[0, 0]
                x_k, x_r = (share * x[t] + (1 - share) * before(x, t) for share in shares)
                k = (block.key.weight @ x_k).clamp(min=0) ** 2
                out[row, t] = torch.sigmoid(block.receptance.weight @ x_r) * (block.value.weight @ k)
        return out


class TestTimeMix7(Recurrent):
    name = "block.rwkv7"
    params = {"head_size": 4, "w_rank": 3, "a_rank": 3, "v_rank": 3, "g_rank": 5}
    fixed = ("w0", "w1", "a1", "v1", "g1", "k_a", "r_k", "x_g")  # by the authors' scheme
    refused = ({"head_size": 0}, {"w_rank": 0}, {"a_rank": 0}, {"v_rank": 0}, {"g_rank": 0})
    accepted = ({"head_size": 1}, {"w_rank": 1}, {"a_rank": 1}, {"v_rank": 1}, {"g_rank": 1})

    def made(self, config=None, layer_idx=0, **overrides):
        """Layers after the first have parameters more; what they have in common is made equal."""
        block = super().made(config, layer_idx, **overrides)
        if layer_idx:
            block.load_state_dict(super().made(config, 0, **overrides).state_dict(), strict=False)
        return block

    def expected(self, block, hidden):
        """The paper's equations for one head at one position, the state as the recurrence writes it."""
        length, C = hidden.shape[1:]
        N, out = 4, torch.zeros_like(hidden)
        for row, x in enumerate(hidden):
            S = torch.zeros(C // N, N, N)
            for t in range(length):
                x_r, x_w, x_k, x_v, x_a, x_g = (
                    x[t] + (before(x, t) - x[t]) * getattr(block, f"x_{name}")[0, 0] for name in "rwkvag"
                )
                r, k, v = block.receptance.weight @ x_r, block.key.weight @ x_k, block.value.weight @ x_v
                d = block.w0[0, 0] + torch.tanh(x_w @ block.w1) @ block.w2
                w = torch.exp(-(torch.e**-0.5) / (1 + torch.exp(-d)))
                a = 1 / (1 + torch.exp(-(block.a0[0, 0] + x_a @ block.a1 @ block.a2)))
                g = torch.sigmoid(x_g @ block.g1) @ block.g2
                κ, k_new, p = k * block.k_k[0, 0], k * (1 + (a - 1) * block.k_a[0, 0]), []
                for h in range(C // N):
                    of = slice(h * N, (h + 1) * N)
                    κ_h = κ[of] / κ[of].norm()
                    change = torch.diag(w[of]) - torch.outer(κ_h, κ_h * a[of])
                    S[h] = S[h] @ change + torch.outer(v[of], k_new[of])
                    y = S[h] @ r[of]
                    y = (y - y.mean()) / (y.var(correction=0) + 64e-5).sqrt()
                    bonus = (r[of] * block.r_k[h] * k_new[of]).sum() * v[of]
                    p.append(y * block.ln_x.weight[of] + block.ln_x.bias[of] + bonus)
                out[row, t] = block.output.weight @ (torch.cat(p) * g)
        return out

    def test_it_keeps_its_own_promises(self):
        super().test_it_keeps_its_own_promises()
        with pytest.raises(BuildError, match="width 16 is not a multiple of the head's 5 features"):
            self.made(head_size=5)


class TestChannelMix7(Recurrent):
    name = "block.rwkv7-channel"
    params = {"inner": 24}
    refused = ({"inner": 0},)
    accepted = ({"inner": 1},)

    def expected(self, block, hidden):
        last = F.pad(hidden, (0, 0, 1, 0))[:, :-1]
        return ((hidden + (last - hidden) * block.x_k) @ block.key.weight.T).clamp(min=0) ** 2 @ block.value.weight.T


class TestLayer(Recurrent):
    """Both mixings in a layer, each with its own states in the cache."""

    name = "block.transformer"
    params = {
        "attention": {"use": "rwkv4", "inner": 8},
        "ffn": {"use": "rwkv4-channel", "inner": 8},
        "norm": {"use": "layernorm"},
    }
