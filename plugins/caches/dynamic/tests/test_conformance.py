from dougong.testing import CacheConformance


class TestDynamic(CacheConformance):
    name = "cache.dynamic"
    crops = True
