import torch
from dougong.testing import BlockConformance


class TestRMSNorm(BlockConformance):
    name = "block.rmsnorm"
    params = {"eps": 0.1}
    narrow = True
    refused = ({"eps": 0.0}, {"eps": -1e-6})
    accepted = ({"eps": 1e-12},)

    def expected(self, block, hidden):
        return torch.nn.functional.rms_norm(hidden, hidden.shape[-1:], block.weight, 0.1)
