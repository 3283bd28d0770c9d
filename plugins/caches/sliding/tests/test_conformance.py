from dougong.testing import CacheConformance


class TestWithinItsWindow(CacheConformance):
    """As long as nothing has left the window it is a cache like any other."""

    name = "cache.sliding"
    params = {"window": 30}
    refused = ({"window": 0}, {"sinks": -1})
    accepted = ({"window": 1}, {"sinks": 0})


class TestBeyondItsWindow(CacheConformance):
    name = "cache.sliding"
    params = {"window": 4, "sinks": 2}
    lossless = False
    drift = 6.0  # it computes something else, on purpose: random weights know no recency. test_sliding.py says what
    forgets = True
