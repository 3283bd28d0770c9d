from dougong.testing import BlockConformance


class TestCycle(BlockConformance):
    name = "block.cycle"
    params = {"of": [{"use": "attention", "heads": 4}, {"use": "ffn", "inner": 8}]}
    mixes = causal = cached = True

    def test_layers_share_a_cache_without_mixing(self):
        """Not of two layers in a row: the second is another block by design. Of the first and the third."""
        first, second, third = (self.made(layer_idx=index) for index in (0, 1, 2))
        assert type(first) is type(third) is not type(second)
        assert (first.layer_idx, third.layer_idx) == (0, 2)
