from dougong.testing import BlockConformance


class TestLayerNorm(BlockConformance):
    name = "block.layernorm"
    params = {"eps": 0.1}
    narrow = True
    refused = ({"eps": 0.0}, {"eps": -1e-6})
    accepted = ({"eps": 1e-12}, {"bias": False})

    def expected(self, block, hidden):
        """Section 3, equation 4, written out."""
        mean = hidden.mean(-1, keepdim=True)
        variance = (hidden - mean).pow(2).mean(-1, keepdim=True)
        return (hidden - mean) / (variance + 0.1).sqrt() * block.weight + block.bias


class TestWithoutShift(TestLayerNorm):
    params = {"eps": 0.1, "bias": False}

    def expected(self, block, hidden):
        assert list(block.state_dict()) == ["weight"]
        mean = hidden.mean(-1, keepdim=True)
        return (hidden - mean) / (hidden.var(-1, correction=0, keepdim=True) + 0.1).sqrt() * block.weight
