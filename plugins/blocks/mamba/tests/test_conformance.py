import torch
from dougong.testing import BlockConformance
from torch.nn import functional as F


class Recurrent(BlockConformance):
    mixes = causal = cached = True


class TestMamba(Recurrent):
    name = "block.mamba"
    params = {"state": 4}
    refused = ({"state": 0}, {"expand": 0}, {"conv": 0}, {"dt_rank": 0})
    accepted = ({"state": 1}, {"expand": 1}, {"conv": 1}, {"dt_rank": 1}, {"conv_bias": False, "bias": True})

    def expected(self, block, hidden):
        """Algorithm 2 and figure 3, one position and one channel's state after the other."""
        batch, length, _ = hidden.shape
        D, N = block.A_log.shape
        x, z = (hidden @ block.in_proj.weight.T).split(D, -1)
        A, rank, ys = -block.A_log.exp(), block.dt_proj.in_features, torch.zeros(batch, length, D)
        for row in range(batch):
            h = torch.zeros(D, N)
            for t in range(length):
                u = block.conv1d.bias.clone()
                for back in range(min(4, t + 1)):
                    u = u + block.conv1d.weight[:, 0, 3 - back] * x[row, t - back]
                u = u * torch.sigmoid(u)
                Δ_low, B, C = torch.tensor_split(block.x_proj.weight @ u, (rank, rank + N))
                Δ = torch.log1p((block.dt_proj.weight @ Δ_low + block.dt_proj.bias).exp())
                for n in range(N):
                    h[:, n] = torch.exp(Δ * A[:, n]) * h[:, n] + Δ * B[n] * u
                ys[row, t] = h @ C + block.D * u
        return (ys * F.silu(z)) @ block.out_proj.weight.T


class TestWithoutConvolution(Recurrent):
    name = "block.mamba"
    params = {"state": 3, "conv": 1, "conv_bias": False, "bias": True, "dt_rank": 2}


class TestLayer(Recurrent):
    name = "block.mamba-layer"
    params = {"mixer": {"use": "mamba", "state": 4}, "norm": {"use": "rmsnorm", "eps": 0.1}}

    def expected(self, block, hidden):
        return hidden + self.forward(block.mixer, F.rms_norm(hidden, hidden.shape[-1:], block.norm.weight, 0.1))
