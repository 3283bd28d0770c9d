from dougong.testing import CacheConformance


class TestStatic(CacheConformance):
    name = "cache.static"
    params = {"tokens": 40}
    refused = ({"tokens": 0},)
    accepted = ({"tokens": 1},)
