from dougong.testing import CacheConformance


class TestPaged(CacheConformance):
    name = "cache.paged"
    params = {"block": 4}
    crops = True
    refused = ({"block": 0},)
    accepted = ({"block": 1}, {"share": False})


class TestBlocksOfOne(CacheConformance):
    name = "cache.paged"
    params = {"block": 1}
    crops = True


class TestBlocksLongerThanTheText(CacheConformance):
    name = "cache.paged"
    params = {"block": 64, "share": False}
    crops = True
