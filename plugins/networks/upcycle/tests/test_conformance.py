from dougong.testing import NetworkConformance

LAYER = {
    "use": "transformer",
    "attention": {"use": "attention", "heads": 4},
    "ffn": {"use": "ffn", "inner": 24},
}
DENSE = {"use": "network.decoder", "vocab": 40, "width": 16, "layers": 2, "layer": LAYER, "initializer_range": 0.2}


class TestUpcycle(NetworkConformance):
    name = "network.upcycle"
    params = {"of": DENSE, "experts": 2, "router": {"use": "router-mixtral"}}
    refused = ({"experts": 0}, {"every": 0})
    accepted = ({"every": 2},)

    def tree(self):
        """What config.json must name: blocks. The kit asks for every technique of the tree, and the dense network, a
        technique in a slot of this one, is used up in building."""
        tree = super().tree()
        return {key: value for key, value in tree.items() if key != "of"} | {"of": tree["of"]["layer"]}
