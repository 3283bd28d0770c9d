from dougong.testing import CacheConformance


class Quantized(CacheConformance):
    name = "cache.quantized"
    lossless = False


class TestInt8(Quantized):
    params = {"format": "int8", "group": 2, "residual": 0}
    drift = 0.05
    refused = ({"format": "int2"}, {"group": 1}, {"residual": -1})
    accepted = ({"group": 2}, {"residual": 0}, {"format": "int4"}, {"format": "fp8"})


class TestInt4(Quantized):
    params = {"format": "int4", "group": 2, "residual": 2}
    drift = 0.8


class TestFp8(Quantized):
    params = {"format": "fp8", "group": 2, "residual": 1}
    drift = 0.5


class TestNothingOldYet(CacheConformance):
    """What is inside the residual window is exact."""

    name = "cache.quantized"
    params = {"format": "int4", "group": 64, "residual": 64}
